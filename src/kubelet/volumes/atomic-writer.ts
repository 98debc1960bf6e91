// Writes the files of a volume so that a reader sees either all old or all new ones: they go into a new directory
// "..<time>", and the link "..data" is moved to it in one rename. What the container sees by name are links into "..data".
// Layout and behaviour are those of upstream's atomic writer, so that programs that watch "..data" work.
import { dirname, join } from "node:path";
import { type FileCalls, pooledFiles } from "../../base/file-calls.ts";

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
  /** Default pooledFiles. */
  readonly files?: FileCalls;
}

/** Returns whether anything was written. */
export async function writePayload(
  directory: string,
  payload: Payload,
  { nowMs, prepare, files = pooledFiles }: WriteOptions,
): Promise<boolean> {
  for (const path of payload.keys()) checkPath(path);
  const current = await files.readlink(join(directory, "..data")).catch(() => undefined);
  if (current !== undefined && (await isUnchanged(files, join(directory, current), payload))) return false;

  const next = await files.mkdtemp(join(directory, `..${timestamp(nowMs)}.`));
  await files.chmod(next, 0o755);
  for (const [path, file] of payload) {
    const target = join(next, path);
    if (path.includes("/")) await files.mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await files.writeFile(target, file.data);
    // writeFile's mode is subject to the umask.
    await files.chmod(target, file.mode);
  }
  await prepare?.(next);
  const name = next.slice(directory.length + 1);
  const temporary = join(directory, "..data_tmp");
  await files.rm(temporary, { force: true });
  await files.symlink(name, temporary);
  await files.rename(temporary, join(directory, "..data"));
  await linkVisible(files, directory, payload);
  if (current !== undefined) await files.rm(join(directory, current), { recursive: true, force: true });
  return true;
}

function checkPath(path: string): void {
  const parts = path.split("/");
  if (path === "" || path.startsWith("/") || parts.includes("..")) throw new Error(`invalid path "${path}" in volume`);
  if (parts[0]?.startsWith("..")) throw new Error(`path "${path}" in volume must not start with ".."`);
}

async function isUnchanged(files: FileCalls, directory: string, payload: Payload): Promise<boolean> {
  if ((await countFiles(files, directory)) !== payload.size) return false;
  for (const [path, file] of payload) {
    const data = await files.readFile(join(directory, path)).catch(() => undefined);
    if (!data?.equals(file.data)) return false;
    if (file.mode !== 0 && ((await files.lstat(join(directory, path))).mode & 0o700) !== (file.mode & 0o700)) return false;
  }
  return true;
}

async function countFiles(files: FileCalls, directory: string): Promise<number> {
  let count = 0;
  for (const name of await files.readdir(directory).catch(() => [])) {
    const path = join(directory, name);
    const found = await files.lstat(path).catch(() => undefined);
    if (found?.isFile()) count++;
    else if (found?.isDirectory()) count += await countFiles(files, path);
  }
  return count;
}

/** One link for each first component; links of files that are gone are removed. */
async function linkVisible(files: FileCalls, directory: string, payload: Payload): Promise<void> {
  const wanted = new Set([...payload.keys()].map((path) => path.split("/")[0] as string));
  for (const name of await files.readdir(directory)) {
    if (name.startsWith("..")) continue;
    if (!wanted.delete(name)) await files.rm(join(directory, name), { force: true, recursive: true });
  }
  for (const name of wanted) await files.symlink(join("..data", name), join(directory, name));
}

/** "2026_11_22_13_45_08"; only to be read by people. */
function timestamp(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace(/[-:T]/g, "_");
}
