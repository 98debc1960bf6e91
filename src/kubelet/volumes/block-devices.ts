// Local volumes that are block devices: mounted for pods that want files, with a file system that is made where the device
// has none. A device may be mounted for several pods at once: the kernel has one file system of it.
import { mount } from "../../linux/mounts.ts";
import { CommandError, runCommand } from "../../linux/run-command.ts";

export const defaultFileSystem = "ext4";

/** blkid's exit code where it knows nothing of the device. */
const nothingFound = 2;

/** What is done with a device, by device: two pods must not both make its file system. */
const underWay = new Map<string, Promise<void>>();

/** Mounts the device at a directory, which is made. */
export async function mountDevice(device: string, target: string, fileSystem = defaultFileSystem): Promise<void> {
  const before = underWay.get(device) ?? Promise.resolve();
  const own = before
    .catch(() => undefined)
    .then(async () => {
      if ((await contentsOf(device)) === undefined) await makeFileSystem(device, fileSystem);
      await mount(device, target, { fileSystem });
    });
  underWay.set(device, own);
  try {
    await own;
  } finally {
    if (underWay.get(device) === own) underWay.delete(device);
  }
}

/** The type of its file system, or of its partitions; undefined where it is blank. */
async function contentsOf(device: string): Promise<string | undefined> {
  try {
    const { stdout } = await runCommand("blkid", ["-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", device]);
    return /^(?:PT)?TYPE=(.+)$/m.exec(stdout)?.[1];
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === nothingFound) return undefined;
    throw error;
  }
}

async function makeFileSystem(device: string, fileSystem: string): Promise<void> {
  const force = fileSystem === "ext3" || fileSystem === "ext4" ? ["-F", "-m0"] : [];
  await runCommand(`mkfs.${fileSystem}`, [...force, device]);
}
