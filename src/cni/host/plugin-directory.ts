// The directory of CNI plugins the runtime of a node looks into: ours, each a name of the one launcher, beside links to those that
// others have installed on the machine. Those that come later are linked when they come.
import { watch } from "node:fs";
import { link, lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";

/** Where others install plugins, the first first. */
export const systemPluginDirectories = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];

export function pluginDirectory(dataDir: string): string {
  return join(resolve(dataDir), "cni", "bin");
}

export interface PluginDirectoryOptions {
  readonly directory: string;
  /** Of plugins of ours. */
  readonly names: readonly string[];
  /** The text of the file behind all of them. */
  readonly launcher: string;
  readonly logger: Logger;
  /** Default systemPluginDirectories. */
  readonly vendors?: readonly string[];
}

/** Writes only what is different. Resolves when all is there; then follows what others install until it is stopped. */
export async function keepPluginDirectory(options: PluginDirectoryOptions): Promise<Running> {
  const { directory, names, launcher, logger, vendors = systemPluginDirectories } = options;
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const fresh = await writeLauncher(directory, launcher);
  for (const name of names) await ensureOwn(directory, name, fresh);
  await linkVendors(directory, names, vendors);
  const again = (): void => {
    linkVendors(directory, names, vendors).catch((error: unknown) => {
      logger.warn("A CNI plugin that was installed cannot be linked", { error: errorText(error) });
    });
  };
  const watchers = vendors.flatMap((vendor) => {
    try {
      return [watch(vendor, { persistent: false }, again).on("error", () => undefined)];
    } catch {
      return []; // it is not there: plugins installed into it later are found at the next start
    }
  });
  return {
    async stop() {
      for (const watcher of watchers) watcher.close();
    },
  };
}

const launcherName = ".launcher";

/** True where it was another one, or none. */
async function writeLauncher(directory: string, text: string): Promise<boolean> {
  const path = join(directory, launcherName);
  if ((await readFile(path, "utf8").catch(() => "")) === text) return false;
  await writeFile(`${path}.new`, text, { mode: 0o755 });
  await rename(`${path}.new`, path);
  return true;
}

/** A second name of the launcher: the kernel follows no link, and the script sees the name it was called by. */
async function ensureOwn(directory: string, name: string, fresh: boolean): Promise<void> {
  const path = join(directory, name);
  const there = await lstat(path).catch(() => undefined);
  if (there?.isFile() && !fresh) return;
  await rm(`${path}.new`, { force: true });
  await link(join(directory, launcherName), `${path}.new`);
  // Where both are the same file already, rename does nothing and leaves the new name.
  await rename(`${path}.new`, path);
  await rm(`${path}.new`, { force: true });
}

async function linkVendors(directory: string, own: readonly string[], vendors: readonly string[]): Promise<void> {
  const taken = new Set(own);
  for (const vendor of vendors) {
    for (const name of await readdir(vendor).catch(() => [])) {
      if (taken.has(name) || name.startsWith(".")) continue;
      taken.add(name);
      await ensureLink(join(directory, name), join(vendor, name));
    }
  }
}

async function ensureLink(path: string, target: string): Promise<void> {
  if ((await readlink(path).catch(() => "")) === target) return;
  await rm(path, { force: true });
  await symlink(target, path).catch((error: unknown) => {
    // Somebody, a second change that was noticed, has made it.
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  });
}
