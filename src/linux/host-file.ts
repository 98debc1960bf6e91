// Small files of the system that may not exist: of /proc, /sys and /etc.
import { readFile } from "node:fs/promises";

/** The file's text without surrounding white space; "" where it is missing or unreadable. */
export async function hostFile(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch {
    return ""; // absence is an ordinary answer: another kernel, another distribution, no permission
  }
}
