// subPath of a volume mount: a file or directory within the volume. It must not lead out of the volume, not even by a
// symbolic link that a container made there: the real path is checked, and what is handed to the runtime contains no links.
import { chmod, mkdir, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, relative } from "node:path";

/** The host path to mount. Makes a directory with the volume's mode where nothing is. */
export async function resolveSubPath(volumePath: string, subPath: string): Promise<string> {
  checkSubPath(subPath);
  const root = await realpath(volumePath);
  await makeMissing(
    root,
    subPath.split("/").filter((part) => part !== "" && part !== "."),
  );
  return await within(root, join(root, subPath));
}

/** Throws with upstream's text for a path that could lead out of its volume. */
export function checkSubPath(subPath: string): void {
  if (isAbsolute(subPath)) throw new Error(`error SubPath \`${subPath}\` must not be an absolute path`);
  if (subPath.split("/").includes("..")) throw new Error(`unable to provision SubPath \`${subPath}\`: must not contain '..'`);
}

async function makeMissing(root: string, parts: readonly string[]): Promise<void> {
  const { mode } = await stat(root);
  let at = root;
  for (const part of parts) {
    const next = join(at, part);
    const exists = await stat(next).then(
      () => true,
      () => false,
    );
    if (!exists) {
      await mkdir(next);
      await chmod(next, mode & 0o7777);
    }
    at = await within(root, next);
  }
}

async function within(root: string, path: string): Promise<string> {
  const real = await realpath(path);
  const inside = relative(root, real);
  // Not every name that begins with dots leads out: atomic writers keep their data in "..<time>".
  if (inside === ".." || inside.startsWith("../") || isAbsolute(inside))
    throw new Error(`subpath "${real}" is outside of the volume "${root}"`);
  return real;
}
