// Finds the system's tools, also in the sbin directories that are often missing from the path.
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { join } from "node:path";

/** The first executable file of this name along PATH and the sbin directories. */
export async function findExecutable(name: string): Promise<string | undefined> {
  const directories = [
    ...(process.env.PATH ?? "").split(":"),
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
  ];
  for (const directory of directories) {
    const path = join(directory, name);
    if (directory !== "" && (await isExecutable(path))) return path;
  }
  return undefined;
}

/** The first of these directories that holds all of the files, each executable. */
export async function findDirectoryWith(files: readonly string[], directories: readonly string[]): Promise<string | undefined> {
  for (const directory of directories) {
    const present = await Promise.all(files.map((file) => isExecutable(join(directory, file))));
    if (present.every(Boolean)) return directory;
  }
  return undefined;
}

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
