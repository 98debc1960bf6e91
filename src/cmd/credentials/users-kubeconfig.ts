// The kubeconfig that people use, which may hold more than our cluster: others' clusters in ~/.kube/config, and what was set with
// `kubectl config`, such as a namespace. All of that stays; our entries are brought up to date, and their context is the current one.
import { access, constants, readFile, realpath, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { makeDirectory } from "../../base/make-directory.ts";
import { writeFileAtomically } from "../atomic-file.ts";
import { CommandError } from "../command-error.ts";
import { type KubeconfigOptions, kubeconfigText } from "./kubeconfig.ts";

/** Throws an error where the file holds something else than a kubeconfig. */
export async function writeUsersKubeconfig(path: string, options: KubeconfigOptions): Promise<void> {
  const own = kubeconfigText(options);
  const found = await readFile(path, "utf8").catch(() => "");
  if (found === own) return;
  // Where the name is a link, what it leads to is written.
  const file = await realpath(path).catch(() => path);
  const merged = found.trim() === "" ? own : (await import("./merged-kubeconfig.ts")).mergedKubeconfig(found, options);
  await writeFileAtomically(file, merged);
}

/** Before anything is started. Makes the directory: that of ~/.kube/config is often not there yet. Throws CommandError. */
export async function requireWritableKubeconfig(path: string): Promise<void> {
  try {
    const directory = dirname(resolve(path));
    makeDirectory(directory, 0o755);
    await access(directory, constants.W_OK);
    if (
      await stat(path).then(
        (state) => state.isDirectory(),
        () => false,
      )
    )
      throw new Error("it is a directory; expected a file");
  } catch (error) {
    throw new CommandError(`--kubeconfig ${path}`, { cause: error });
  }
}
