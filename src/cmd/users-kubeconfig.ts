// The kubeconfig that people use, which may hold more than our cluster: others' clusters in ~/.kube/config, and what was set with
// `kubectl config`, such as a namespace. All of that stays; our entries are brought up to date, and their context is the current one.
import { access, constants, readFile, realpath, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { makeDirectory } from "../base/make-directory.ts";
import { writeFileAtomically } from "./atomic-file.ts";
import { CommandError } from "./command-error.ts";
import { type KubeconfigOptions, kubeconfigText } from "./kubeconfig.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Our names where somebody else's cluster has the usual one. */
const otherNames = { cluster: "coracle", user: "coracle-admin" };

/** Throws an error where the file holds something else than a kubeconfig. */
export async function writeUsersKubeconfig(path: string, options: KubeconfigOptions): Promise<void> {
  const own = kubeconfigText(options);
  const found = await readFile(path, "utf8").catch(() => "");
  if (found === own) return;
  // Where the name is a link, what it leads to is written.
  const file = await realpath(path).catch(() => path);
  await writeFileAtomically(file, found.trim() === "" ? own : await merged(found, options));
}

async function merged(found: string, options: KubeconfigOptions): Promise<string> {
  const { parse, stringify } = await import("yaml");
  const before: unknown = parse(found);
  if (!isFields(before) || before.kind !== "Config")
    throw new Error("there is something else in the file; expected a kubeconfig, or no file");
  const authority = Buffer.from(options.authority).toString("base64");
  const isOurs = ({ cluster }: Fields): boolean =>
    isFields(cluster) && (cluster.server === options.server || cluster["certificate-authority-data"] === authority);
  const named = entriesOf(before.clusters).find(({ name }) => name === (options.cluster ?? "kubernetes"));
  const own: Fields = parse(kubeconfigText(named && !isOurs(named) ? { ...options, ...otherNames } : options));
  const lists = ["clusters", "users", "contexts"].map((list) => [list, withEntries(entriesOf(before[list]), entriesOf(own[list]))]);
  return stringify({ ...before, ...Object.fromEntries(lists), "current-context": own["current-context"] });
}

/** Replaces entries by their names. A context keeps what was set in it. */
function withEntries(before: readonly Fields[], own: readonly Fields[]): readonly Fields[] {
  const replaced = before.map((entry) => {
    const mine = own.find(({ name }) => name === entry.name);
    if (!mine) return entry;
    return isFields(entry.context) && isFields(mine.context) ? { ...mine, context: { ...entry.context, ...mine.context } } : mine;
  });
  return [...replaced, ...own.filter(({ name }) => !before.some((entry) => entry.name === name))];
}

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);
const entriesOf = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value.filter(isFields) : []);

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
