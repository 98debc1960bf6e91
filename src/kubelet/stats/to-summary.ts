// A measurement in the words of the summary API.
import { formatTime } from "../../base/clock.ts";
import type { ResourcePressure } from "../../linux/pressure.ts";
import type {
  ContainerMeasurement,
  CpuReading,
  DiskReading,
  FileSystemReading,
  Measurement,
  MemoryReading,
  NetworkReading,
  NodeMeasurement,
  PodMeasurement,
  SwapReading,
  UsageReading,
  VolumeMeasurement,
} from "./measurement.ts";
import type {
  ContainerStats,
  CpuStats,
  FsStats,
  MemoryStats,
  NetworkStats,
  NodeStats,
  PodStats,
  Summary,
  SwapStats,
  VolumeStats,
} from "./summary.ts";

export function toSummary({ node, pods }: Measurement): Summary {
  return { node: nodeStats(node), pods: pods.map((pod) => podStats(pod, node)) };
}

function nodeStats(node: NodeMeasurement): NodeStats {
  const { fileSystem, imageFileSystem, containerFileSystem, processes, maxProcesses, systemContainers } = node;
  const runtime = {
    ...(imageFileSystem ? { imageFs: fsStats(imageFileSystem) } : {}),
    ...(containerFileSystem ? { containerFs: fsStats(containerFileSystem) } : {}),
  };
  const time = formatTime(node.cpu?.timeMs ?? node.startTimeMs);
  return {
    nodeName: node.name,
    ...(systemContainers.length === 0
      ? {}
      : { systemContainers: systemContainers.map((c) => ({ name: c.name, startTime: formatTime(c.startTimeMs), ...usageStats(c) })) }),
    startTime: formatTime(node.startTimeMs),
    ...usageStats(node),
    ...(node.network ? { network: networkStats(node.network) } : {}),
    ...(fileSystem ? { fs: fsStats(fileSystem) } : {}),
    ...(Object.keys(runtime).length > 0 ? { runtime } : {}),
    ...(maxProcesses === undefined && processes === undefined
      ? {}
      : {
          rlimit: {
            time,
            ...(maxProcesses === undefined ? {} : { maxpid: maxProcesses }),
            ...(processes === undefined ? {} : { curproc: processes }),
          },
        }),
  };
}

function podStats(pod: PodMeasurement, node: NodeMeasurement): PodStats {
  const { name, namespace, uid, network, volumes, processes } = pod;
  return {
    podRef: { name, namespace, uid },
    startTime: formatTime(pod.startTimeMs),
    containers: pod.containers.map((container) => containerStats(container, node)),
    ...usageStats(pod),
    ...(network ? { network: networkStats(network) } : {}),
    ...(volumes && volumes.length > 0 ? { volume: volumes.map(volumeStats) } : {}),
    ...(node.fileSystem ? { "ephemeral-storage": ephemeralStorage(pod, node.fileSystem) } : {}),
    ...(processes === undefined ? {} : { process_stats: { process_count: processes } }),
  };
}

function containerStats(container: ContainerMeasurement, node: NodeMeasurement): ContainerStats {
  const { name, startedAtMs, writableLayer, logs } = container;
  return {
    name,
    startTime: formatTime(startedAtMs),
    ...usageStats(container),
    ...(writableLayer && node.fileSystem ? { rootfs: partOf(writableLayer, node.containerFileSystem ?? node.fileSystem) } : {}),
    ...(logs && node.fileSystem ? { logs: partOf(logs, node.fileSystem) } : {}),
  };
}

/** What one container or pod takes of a file system that all share. */
function partOf(
  { timeMs, bytes, inodes }: DiskReading,
  { capacityBytes, availableBytes, inodes: all, inodesFree }: FileSystemReading,
): FsStats {
  return fsStats({
    timeMs,
    usedBytes: bytes,
    ...(inodes === undefined ? {} : { inodesUsed: inodes }),
    ...(capacityBytes === undefined ? {} : { capacityBytes }),
    ...(availableBytes === undefined ? {} : { availableBytes }),
    ...(all === undefined ? {} : { inodes: all }),
    ...(inodesFree === undefined ? {} : { inodesFree }),
  });
}

/** Writable layers, logs and the volumes on the node's disk, together. */
function ephemeralStorage({ containers, volumes = [] }: PodMeasurement, disk: FileSystemReading): FsStats {
  const parts = [
    ...containers.flatMap(({ writableLayer, logs }) => [writableLayer, logs]),
    ...volumes.filter((v) => v.isEphemeral).map((v) => ({ bytes: v.usedBytes ?? 0, inodes: v.inodesUsed ?? 0 })),
  ];
  const bytes = parts.reduce((sum, part) => sum + (part?.bytes ?? 0), 0);
  const inodes = parts.reduce((sum, part) => sum + (part?.inodes ?? 0), 0);
  return partOf({ timeMs: disk.timeMs, bytes, inodes }, disk);
}

type UsageStats = Pick<NodeStats, "cpu" | "memory" | "io" | "swap">;

function usageStats({ cpu, memory, swap, pressure = {} }: UsageReading): UsageStats {
  const psi = (of: ResourcePressure | undefined) => (of ? { psi: of } : {});
  return {
    ...(cpu ? { cpu: { ...cpuStats(cpu), ...psi(pressure.cpu) } } : {}),
    ...(memory ? { memory: { ...memoryStats(memory), ...psi(pressure.memory) } } : {}),
    ...(pressure.io ? { io: { time: formatTime(cpu?.timeMs ?? memory?.timeMs ?? 0), psi: pressure.io } } : {}),
    ...(swap ? { swap: swapStats(swap) } : {}),
  };
}

function cpuStats({ timeMs, nanoseconds, nanoCores }: CpuReading): CpuStats {
  return {
    time: formatTime(timeMs),
    ...(nanoCores === undefined ? {} : { usageNanoCores: nanoCores }),
    usageCoreNanoSeconds: Math.round(nanoseconds),
  };
}

function memoryStats({ timeMs, limitBytes, ...values }: MemoryReading): MemoryStats {
  const { workingSetBytes } = values;
  const isLimited = limitBytes !== undefined && workingSetBytes !== undefined;
  return {
    time: formatTime(timeMs),
    ...(isLimited ? { availableBytes: Math.max(0, limitBytes - workingSetBytes) } : {}),
    ...values,
  };
}

function swapStats({ timeMs, availableBytes, usageBytes }: SwapReading): SwapStats {
  return {
    time: formatTime(timeMs),
    ...(availableBytes === undefined ? {} : { swapAvailableBytes: availableBytes }),
    ...(usageBytes === undefined ? {} : { swapUsageBytes: usageBytes }),
  };
}

function networkStats({ timeMs, defaultInterface, interfaces }: NetworkReading): NetworkStats {
  const all = interfaces.map(({ rxPackets: _rp, rxDropped: _rd, txPackets: _tp, txDropped: _td, ...shown }) => shown);
  const first = all.find(({ name }) => name === defaultInterface);
  return { time: formatTime(timeMs), ...(first ?? { name: "" }), interfaces: all };
}

function fsStats({ timeMs, ...values }: FileSystemReading): FsStats {
  return { time: formatTime(timeMs), ...values };
}

function volumeStats({ name, claim, isEphemeral: _, ...figures }: VolumeMeasurement): VolumeStats {
  return { ...fsStats(figures), name, ...(claim ? { pvcRef: { name: claim.name, namespace: claim.namespace } } : {}) };
}
