// On which file systems the kubelet's own files, images and containers' writable layers lie: what the runtime tells of its
// file systems, compared by device.
import { stat } from "node:fs/promises";
import type { CriRuntime } from "../../cri/cri.ts";
import type { DiskLayout } from "./thresholds.ts";

const timeoutMs = 10_000;

/** Rejects when the runtime does not answer. */
export async function readDiskLayout(cri: CriRuntime, rootDirectory: string): Promise<DiskLayout> {
  const { imageFilesystems, containerFilesystems } = await cri.imageFsInfo({}, { timeoutMs });
  const own = await deviceOf(rootDirectory);
  const images = await deviceOf(imageFilesystems[0]?.fsId?.mountpoint);
  const containers = await deviceOf(containerFilesystems[0]?.fsId?.mountpoint);
  return {
    dedicatedImageFs: images !== undefined && own !== undefined && images !== own,
    separateContainerFs: containers !== undefined && images !== undefined && containers !== images,
  };
}

/** Undefined for directories this machine does not have. */
async function deviceOf(path: string | undefined): Promise<number | undefined> {
  if (!path) return undefined;
  try {
    return (await stat(path)).dev;
  } catch {
    return undefined;
  }
}
