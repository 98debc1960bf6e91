// Limits of local storage that only the kubelet can enforce: the size of an emptyDir volume, and the ephemeral storage of a
// pod and of each container. A pod beyond one of them is evicted, whether the node is short of disk or not.
import { parseQuantity, quantityOf } from "../../api/meta/quantity.ts";
import { podAmounts } from "../../api/semantics/pod-resources.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { PodStats } from "../stats/summary.ts";
import type { DiskLayout } from "./thresholds.ts";

export interface StorageExcess {
  readonly message: string;
  /** As the metric of evictions names it. */
  readonly signal: "emptydirfs.limit" | "ephemeralpodfs.limit" | "ephemeralcontainerfs.limit";
}

/** Whether there is anything that the pod could exceed. */
export function hasStorageLimit({ spec }: Pod): boolean {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  return (
    containers.some((c) => c.resources?.limits?.["ephemeral-storage"] !== undefined) ||
    spec.resources?.limits?.["ephemeral-storage"] !== undefined ||
    (spec.volumes ?? []).some((v) => v.emptyDir?.sizeLimit !== undefined)
  );
}

/** Undefined while the pod stays within its limits. */
export function storageExcess(pod: Pod, stats: PodStats, layout: Pick<DiskLayout, "dedicatedImageFs">): StorageExcess | undefined {
  return emptyDirExcess(pod, stats) ?? podExcess(pod, stats) ?? containerExcess(pod, stats, layout);
}

function emptyDirExcess(pod: Pod, stats: PodStats): StorageExcess | undefined {
  for (const { name, emptyDir } of pod.spec.volumes ?? []) {
    const used = stats.volume?.find((v) => v.name === name)?.usedBytes;
    if (!emptyDir?.sizeLimit || used === undefined) continue;
    const limit = parseQuantity(emptyDir.sizeLimit);
    if (limit.sign > 0 && used > limit.value())
      return { message: `Usage of EmptyDir volume "${name}" exceeds the limit "${limit}". `, signal: "emptydirfs.limit" };
  }
  return undefined;
}

/** The pod's limit is there when any of its containers has one. */
function podExcess(pod: Pod, stats: PodStats): StorageExcess | undefined {
  const limit = podAmounts(pod.spec, { of: "limits" })["ephemeral-storage"];
  if (limit === undefined || (stats["ephemeral-storage"]?.usedBytes ?? 0) <= limit) return undefined;
  const text = limitText(pod, limit);
  return { message: `Pod ephemeral local storage usage exceeds the total limit of containers ${text}. `, signal: "ephemeralpodfs.limit" };
}

/** Written as the containers' limits are. */
function limitText(pod: Pod, limit: number): string {
  const texts = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].map((c) => c.resources?.limits?.["ephemeral-storage"]);
  const first = texts.find((text) => text !== undefined);
  const { format } = parseQuantity(first ?? 0);
  return quantityOf(limit, format).toString();
}

function containerExcess(pod: Pod, stats: PodStats, { dedicatedImageFs }: Pick<DiskLayout, "dedicatedImageFs">): StorageExcess | undefined {
  for (const { name, logs, rootfs } of stats.containers) {
    const text = pod.spec.containers.find((c) => c.name === name)?.resources?.limits?.["ephemeral-storage"];
    const limit = parseQuantity(text ?? 0);
    const used = (logs?.usedBytes ?? 0) + (dedicatedImageFs ? 0 : (rootfs?.usedBytes ?? 0));
    if (limit.isZero || used <= limit.value()) continue;
    return { message: `Container ${name} exceeded its local ephemeral storage limit "${limit}". `, signal: "ephemeralcontainerfs.limit" };
  }
  return undefined;
}
