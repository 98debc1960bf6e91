// hostPath volumes: a path of the node, checked or made as its type asks.
import { mkdir, stat, writeFile } from "node:fs/promises";
import type { HostPathVolumeSource } from "../../api/types/core-v1.ts";

/** Throws with upstream's text when the path is not of the wanted type. */
export async function prepareHostPath({ path, type = "" }: HostPathVolumeSource): Promise<void> {
  if (type === "") return;
  const info = await stat(path).catch(() => undefined);
  const fail = (what: string): never => {
    throw new Error(`hostPath type check failed: ${path} is not ${what}`);
  };
  switch (type) {
    case "DirectoryOrCreate":
      if (!info) await mkdir(path, { recursive: true, mode: 0o755 });
      else if (!info.isDirectory()) fail("a directory");
      return;
    case "FileOrCreate":
      if (!info) await writeFile(path, "", { mode: 0o644 });
      else if (!info.isFile()) fail("a file");
      return;
    case "Directory":
      if (!info?.isDirectory()) fail("a directory");
      return;
    case "File":
      if (!info?.isFile()) fail("a file");
      return;
    case "Socket":
      if (!info?.isSocket()) fail("a socket file");
      return;
    case "CharDevice":
      if (!info?.isCharacterDevice()) fail("a character device");
      return;
    case "BlockDevice":
      if (!info?.isBlockDevice()) fail("a block device");
      return;
  }
}
