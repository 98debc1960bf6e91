// The node's mounts for volumes. Whether something is mounted is told by the device number, which differs from that of the
// directory above: the kernel's list of mounts is no reliable witness, because an entry can be missed in it when others
// come and go while it is read, as they do on a busy node.
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { immediateFiles } from "../../base/file-calls.ts";
import { mountHugePages, mountTmpfs, unmountBelow } from "../../linux/mounts.ts";
import { runCommand } from "../../linux/run-command.ts";
import { mountDevice } from "./block-devices.ts";
import type { HostMounts } from "./volume-manager.ts";

/** More mounts on top of each other than anything here makes. */
const maxStacked = 16;

export const hostMounts: HostMounts = {
  mountTmpfs,
  mountHugePages,
  isMounted,
  unmountBelow,
  mountDevice,
  async unmount(target) {
    for (let i = 0; i < maxStacked && (await isMounted(target)); i++) await runCommand("umount", ["-l", "--", target]);
  },
};

/** For simulated pods, which look into no volume, on machines that may give no right to mount. */
export const directoriesOnly: HostMounts = {
  mountTmpfs: async (target) => void (await immediateFiles.mkdir(target, { recursive: true })),
  mountHugePages: async (target) => void (await immediateFiles.mkdir(target, { recursive: true })),
  isMounted: async () => false,
  unmount: async () => undefined,
  unmountBelow: async () => undefined,
  mountDevice: async (_device, target) => void (await immediateFiles.mkdir(target, { recursive: true })),
};

async function isMounted(target: string): Promise<boolean> {
  try {
    const [own, above] = await Promise.all([stat(target), stat(dirname(target))]);
    return own.dev !== above.dev;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
