// Makes a directory with what is missing above it. Node's own `recursive: true` goes on for ever where the file system does not
// take a new directory and says that there is none (below /proc, for one): a wrong --data-dir would hang instead of failing.
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** `mode` is that of each directory that is made. Throws the file system's error where the last of them cannot be. */
export function makeDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const parent = dirname(path);
    if (code === "EEXIST" && statSync(path).isDirectory()) return;
    if (code !== "ENOENT" || parent === path || statSync(parent, { throwIfNoEntry: false }) !== undefined) throw error;
    makeDirectory(parent, mode);
    mkdirSync(path, { mode });
  }
}
