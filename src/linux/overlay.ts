// Whether a directory's file system can hold the layers of an overlay mount: not so on another overlay (containers), on some
// network file systems, and without the right to mount. The only reliable question is to mount one.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { mount, unmount } from "./mounts.ts";
import { CommandError } from "./run-command.ts";

export async function supportsOverlay(directory: string): Promise<boolean> {
  await mkdir(directory, { recursive: true });
  const base = await mkdtemp(join(directory, "overlay-probe-"));
  const [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map((name) => join(base, name)) as [
    string,
    string,
    string,
    string,
  ];
  try {
    for (const path of [lower, upper, work]) await mkdir(path);
    await mount("overlay", merged, { fileSystem: "overlay", options: [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`] });
    return true;
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  } finally {
    await unmount(merged);
    await rm(base, { recursive: true, force: true });
  }
}
