// What a node and its pods use, in the shape of the kubelet's summary API (stats.k8s.io v1alpha1): what /stats/summary answers
// with, what the resource metrics are made from, and what eviction decides by. Times are RFC 3339, sizes bytes. A field that
// could not be read is absent, never 0.

export interface Summary {
  readonly node: NodeStats;
  readonly pods: readonly PodStats[];
}

export interface NodeStats {
  readonly nodeName: string;
  /** "kubelet", "runtime", "pods", "misc". */
  readonly systemContainers?: readonly ContainerStats[];
  readonly startTime: string;
  readonly cpu?: CpuStats;
  readonly memory?: MemoryStats;
  readonly io?: IoStats;
  readonly network?: NetworkStats;
  /** The file system of the kubelet's root directory: nodefs. */
  readonly fs?: FsStats;
  readonly runtime?: { readonly imageFs?: FsStats; readonly containerFs?: FsStats };
  readonly rlimit?: { readonly time: string; readonly maxpid?: number; readonly curproc?: number };
  readonly swap?: SwapStats;
}

export interface PodStats {
  readonly podRef: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly startTime: string;
  /** Of running containers, init and ephemeral ones among them. */
  readonly containers: readonly ContainerStats[];
  readonly cpu?: CpuStats;
  readonly memory?: MemoryStats;
  readonly io?: IoStats;
  readonly network?: NetworkStats;
  readonly volume?: readonly VolumeStats[];
  /** Containers' writable layers and logs, and emptyDir volumes that are on disk, together. */
  readonly "ephemeral-storage"?: FsStats;
  readonly process_stats?: { readonly process_count?: number };
  readonly swap?: SwapStats;
}

export interface ContainerStats {
  readonly name: string;
  readonly startTime: string;
  readonly cpu?: CpuStats;
  readonly memory?: MemoryStats;
  readonly io?: IoStats;
  /** The writable layer. */
  readonly rootfs?: FsStats;
  readonly logs?: FsStats;
  readonly swap?: SwapStats;
}

/** Of tasks that waited: totals in microseconds, averages in percent of the last 10, 60 and 300 seconds. */
export interface PsiData {
  readonly total: number;
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
}

export interface PsiStats {
  readonly full: PsiData;
  readonly some: PsiData;
}

export interface IoStats {
  readonly time: string;
  readonly psi?: PsiStats;
}

export interface CpuStats {
  readonly time: string;
  readonly psi?: PsiStats;
  readonly usageNanoCores?: number;
  readonly usageCoreNanoSeconds?: number;
}

export interface MemoryStats {
  readonly time: string;
  readonly psi?: PsiStats;
  readonly availableBytes?: number;
  readonly usageBytes?: number;
  readonly workingSetBytes?: number;
  readonly rssBytes?: number;
  readonly pageFaults?: number;
  readonly majorPageFaults?: number;
}

export interface InterfaceStats {
  readonly name: string;
  readonly rxBytes?: number;
  readonly rxErrors?: number;
  readonly txBytes?: number;
  readonly txErrors?: number;
}

/** The fields of the default interface, and all interfaces. */
export interface NetworkStats extends InterfaceStats {
  readonly time: string;
  readonly interfaces?: readonly InterfaceStats[];
}

export interface SwapStats {
  readonly time: string;
  readonly swapAvailableBytes?: number;
  readonly swapUsageBytes?: number;
}

export interface FsStats {
  readonly time: string;
  readonly availableBytes?: number;
  readonly capacityBytes?: number;
  readonly usedBytes?: number;
  readonly inodesFree?: number;
  readonly inodes?: number;
  readonly inodesUsed?: number;
}

export interface VolumeStats extends FsStats {
  readonly name: string;
  readonly pvcRef?: { readonly name: string; readonly namespace: string };
}

export interface StatsProvider {
  /**
   * Measures, or gives back what was measured at most `maxAgeMs` ago (default 10 s); callers of the same moment share one
   * measurement. Rejects when the runtime does not answer in time. With `pods`, of which it gives back these alone, by their
   * uids, it measures anew, and what belongs to other pods is not touched; rates are not among what it tells then.
   */
  summary(options?: { readonly maxAgeMs?: number; readonly signal?: AbortSignal; readonly pods?: ReadonlySet<string> }): Promise<Summary>;
}
