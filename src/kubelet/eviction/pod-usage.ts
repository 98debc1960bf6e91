// How much of a resource a pod uses: memory is the working set, disk what its writable layers, its logs and its local volumes
// take, whichever of them lie on the file system in question.
import type { Pod, Volume } from "../../api/types/core-v1.ts";
import type { FsStats, PodStats } from "../stats/summary.ts";
import type { DiskLayout, EvictionSignal } from "./thresholds.ts";

export type DiskPart = "rootfs" | "logs" | "volumes";

/** By pod uid. */
export type StatsByPod = ReadonlyMap<string, PodStats>;

/** Parts of a pod that lie on the file system of a disk signal. */
export function partsOn(signal: EvictionSignal, { dedicatedImageFs, separateContainerFs }: DiskLayout): readonly DiskPart[] {
  if (!dedicatedImageFs) return ["rootfs", "logs", "volumes"];
  if (separateContainerFs) return signal.startsWith("imagefs.") ? [] : ["rootfs", "logs", "volumes"];
  return signal.startsWith("nodefs.") ? ["logs", "volumes"] : ["rootfs"];
}

export function memoryUsage(stats: PodStats): number {
  return stats.memory?.workingSetBytes ?? 0;
}

export function processUsage(stats: PodStats): number {
  return stats.process_stats?.process_count ?? 0;
}

/** Bytes, or inodes. */
export function diskUsage(pod: Pod, stats: PodStats, parts: readonly DiskPart[], of: "ephemeral-storage" | "inodes"): number {
  const usage = (fs: FsStats | undefined): number => (of === "inodes" ? fs?.inodesUsed : fs?.usedBytes) ?? 0;
  let total = 0;
  for (const container of stats.containers) {
    if (parts.includes("rootfs")) total += usage(container.rootfs);
    if (parts.includes("logs")) total += usage(container.logs);
  }
  if (!parts.includes("volumes")) return total;
  const local = new Set((pod.spec.volumes ?? []).filter(isLocal).map((v) => v.name));
  for (const volume of stats.volume ?? []) if (local.has(volume.name)) total += usage(volume);
  return total;
}

/** Lies on the node's own disk, by upstream's reckoning. */
function isLocal({ hostPath, gitRepo, emptyDir, configMap }: Volume): boolean {
  return hostPath !== undefined || gitRepo !== undefined || configMap !== undefined || (emptyDir !== undefined && !emptyDir.medium);
}
