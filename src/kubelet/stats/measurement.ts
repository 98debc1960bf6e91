// What was measured of a node and its pods, as numbers with exact times: the summary, the resource metrics and those in
// cAdvisor's names are all made from one of these. Times are milliseconds since 1970, everything else bytes or nanoseconds. A
// value that could not be read is absent.
import type { InterfaceUsage } from "../../linux/network-usage.ts";
import type { Pressure } from "../../linux/pressure.ts";

export interface CpuReading {
  readonly timeMs: number;
  /** Since the start. */
  readonly nanoseconds: number;
  /** From two readings; absent before the second. */
  readonly nanoCores?: number;
}

export interface MemoryReading {
  readonly timeMs: number;
  readonly usageBytes?: number;
  readonly workingSetBytes?: number;
  readonly rssBytes?: number;
  readonly pageFaults?: number;
  readonly majorPageFaults?: number;
  /** The limit; for the node its memory. */
  readonly limitBytes?: number;
}

export interface SwapReading {
  readonly timeMs: number;
  readonly usageBytes?: number;
  readonly availableBytes?: number;
}

export interface DiskReading {
  readonly timeMs: number;
  readonly bytes: number;
  readonly inodes?: number;
}

export type InterfaceReading = Pick<InterfaceUsage, "name"> & Partial<InterfaceUsage>;

export interface NetworkReading {
  readonly timeMs: number;
  /** Of the interface by which packets leave. */
  readonly defaultInterface?: string;
  readonly interfaces: readonly InterfaceReading[];
}

export interface FileSystemReading {
  readonly timeMs: number;
  readonly capacityBytes?: number;
  readonly availableBytes?: number;
  readonly usedBytes?: number;
  readonly inodes?: number;
  readonly inodesFree?: number;
  readonly inodesUsed?: number;
}

/** What of control groups, of CRI or of /proc comes in one piece. */
export interface UsageReading {
  readonly cpu?: CpuReading;
  readonly memory?: MemoryReading;
  readonly swap?: SwapReading;
  /** Only in a full measurement. */
  readonly pressure?: Pressure;
}

export interface ContainerMeasurement extends UsageReading {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly startedAtMs: number;
  readonly restartCount: number;
  readonly writableLayer?: DiskReading;
  readonly logPath: string;
  /** Only in a full measurement. */
  readonly logs?: DiskReading;
}

export interface VolumeMeasurement extends FileSystemReading {
  readonly name: string;
  readonly claim?: { readonly namespace: string; readonly name: string };
  /** Counts as the pod's ephemeral storage. */
  readonly isEphemeral: boolean;
}

export interface PodMeasurement extends UsageReading {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly sandboxId?: string;
  /** Of its control group, below the root of the trees. */
  readonly cgroup?: string;
  readonly startTimeMs: number;
  readonly containers: readonly ContainerMeasurement[];
  readonly processes?: number;
  /** Shares the node's network, and has no figures of its own. */
  readonly hostNetwork: boolean;
  readonly network?: NetworkReading;
  /** Only in a full measurement. */
  readonly volumes?: readonly VolumeMeasurement[];
}

export interface SystemContainer extends UsageReading {
  readonly name: "kubelet" | "runtime" | "pods";
  readonly startTimeMs: number;
}

export interface NodeMeasurement extends UsageReading {
  readonly name: string;
  readonly startTimeMs: number;
  readonly systemContainers: readonly SystemContainer[];
  readonly network?: NetworkReading;
  /** Only in a full measurement, like the other file systems. */
  readonly fileSystem?: FileSystemReading;
  readonly imageFileSystem?: FileSystemReading;
  readonly containerFileSystem?: FileSystemReading;
  readonly processes?: number;
  readonly maxProcesses?: number;
}

export interface Measurement {
  readonly timeMs: number;
  readonly node: NodeMeasurement;
  readonly pods: readonly PodMeasurement[];
}
