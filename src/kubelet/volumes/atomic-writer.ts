// Writes the files of a volume so that a reader sees either all old or all new ones: they go into a new directory
// "..<time>", and the link "..data" is moved to it in one rename. What the container sees by name are links into "..data".
// Layout and behaviour are those of upstream's atomic writer, so that programs that watch "..data" work.
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

export interface PayloadFile {
  readonly data: Uint8Array;
  readonly mode: number;
  /** Owner, for tokens that only one user may read. */
  readonly uid?: number;
}

/** Relative path ("a" or "dir/a") → file. */
export type Payload = ReadonlyMap<string, PayloadFile>;

export interface WriteOptions {
  /** For the name of the directory. */
  readonly nowMs: number;
  /** Runs on the new directory before anyone can see it: to set owners. */
  readonly prepare?: (directory: string) => Promise<void>;
}

/** Returns whether anything was written. */
export async function writePayload(directory: string, payload: Payload, { nowMs, prepare }: WriteOptions): Promise<boolean> {
  for (const path of payload.keys()) checkPath(path);
  const current = await readlink(join(directory, "..data")).catch(() => undefined);
  if (current !== undefined && (await isUnchanged(join(directory, current), payload))) return false;

  const next = await mkdtemp(join(directory, `..${timestamp(nowMs)}.`));
  await chmod(next, 0o755);
  for (const [path, file] of payload) {
    const target = join(next, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await writeFile(target, file.data);
    // writeFile's mode is subject to the umask.
    await chmod(target, file.mode);
  }
  await prepare?.(next);
  const name = next.slice(directory.length + 1);
  const temporary = join(directory, "..data_tmp");
  await rm(temporary, { force: true });
  await symlink(name, temporary);
  await rename(temporary, join(directory, "..data"));
  await linkVisible(directory, payload);
  if (current !== undefined) await rm(join(directory, current), { recursive: true, force: true });
  return true;
}

function checkPath(path: string): void {
  const parts = path.split("/");
  if (path === "" || path.startsWith("/") || parts.includes("..")) throw new Error(`invalid path "${path}" in volume`);
  if (parts[0]?.startsWith("..")) throw new Error(`path "${path}" in volume must not start with ".."`);
}

async function isUnchanged(directory: string, payload: Payload): Promise<boolean> {
  const present = await filesBelow(directory);
  if (present.length !== payload.size) return false;
  for (const [path, file] of payload) {
    const data = await readFile(join(directory, path)).catch(() => undefined);
    if (!data?.equals(file.data)) return false;
    if (file.mode !== 0 && ((await lstat(join(directory, path))).mode & 0o700) !== (file.mode & 0o700)) return false;
  }
  return true;
}

async function filesBelow(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(() => []);
  return entries.filter((e) => e.isFile()).map((e) => e.name);
}

/** One link for each first component; links of files that are gone are removed. */
async function linkVisible(directory: string, payload: Payload): Promise<void> {
  const wanted = new Set([...payload.keys()].map((path) => path.split("/")[0] as string));
  for (const name of await readdir(directory)) {
    if (name.startsWith("..")) continue;
    if (!wanted.delete(name)) await rm(join(directory, name), { force: true, recursive: true });
  }
  for (const name of wanted) await symlink(join("..data", name), join(directory, name));
}

/** "2026_11_22_13_45_08"; only to be read by people. */
function timestamp(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace(/[-:T]/g, "_");
}
