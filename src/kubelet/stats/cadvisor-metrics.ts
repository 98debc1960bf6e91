// The kubelet's /metrics/cadvisor: the container_* families that dashboards and alerts know, with cAdvisor's names and labels,
// made from the same measurement as everything else. A pod's own group has no container; the whole machine is "/".

import { type Sample, type SampledMetric, sampledText } from "../../base/metrics.ts";
import type { CgroupDetails } from "../../linux/cgroup-details.ts";
import type { DiskTraffic, MachineDisk } from "../../linux/machine-disks.ts";
import type { ContainerMeasurement, Measurement, NetworkReading, PodMeasurement, UsageReading } from "./measurement.ts";

type Labels = Readonly<Record<string, string>>;

interface Group extends UsageReading {
  readonly labels: Labels;
  readonly startTimeMs?: number;
  readonly processes?: number;
  readonly network?: NetworkReading;
  readonly diskBytes?: number;
  readonly details?: CgroupDetails;
  /** Of the whole machine. */
  readonly disks?: readonly MachineDisk[];
}

export interface MachineFacts {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly swapBytes: number;
  readonly machineId: string;
  readonly systemUuid: string;
  readonly bootId: string;
  readonly kernelVersion: string;
  readonly osImage: string;
}

export interface CadvisorFacts {
  readonly machine: MachineFacts | undefined;
  /** By the paths of control groups. */
  readonly details: ReadonlyMap<string, CgroupDetails>;
  /** Of the machine. Default none. */
  readonly disks?: readonly MachineDisk[];
}

/** `measured` undefined: the measurement failed. */
export function cadvisorMetrics(measured: Measurement | undefined, { machine, details, disks = [] }: CadvisorFacts): string {
  const error: SampledMetric = {
    name: "container_scrape_error",
    type: "gauge",
    help: "1 where measuring failed, else 0",
    samples: [{ value: measured ? 0 : 1 }],
  };
  return sampledText([
    ...machineMetrics(machine),
    ...(measured ? groupMetrics(groupsOf(measured, details, disks), measured.timeMs) : []),
    error,
  ]);
}

/** Below the pod's, named by the container's id, as runtimes make it. */
export function containerCgroup(pod: PodMeasurement, { id }: ContainerMeasurement): string {
  return `${pod.cgroup ?? `/kubepods/pod${pod.uid}`}/${id}`;
}

function groupsOf({ node, pods }: Measurement, details: CadvisorFacts["details"], disks: readonly MachineDisk[]): readonly Group[] {
  const root: Group = {
    ...node,
    disks,
    labels: labelsOf({ id: "/" }),
    ...(node.processes === undefined ? {} : { processes: node.processes }),
  };
  const groups = pods.flatMap((pod) => [podGroup(pod), ...pod.containers.map((container) => containerGroup(pod, container))]);
  return [root, ...groups.map((group) => withDetails(group, details.get(group.labels.id ?? "")))];
}

const withDetails = (group: Group, details: CgroupDetails | undefined): Group => (details ? { ...group, details } : group);

function labelsOf(known: Partial<Record<"container" | "id" | "image" | "name" | "namespace" | "pod", string>>): Labels {
  return { container: "", id: "", image: "", name: "", namespace: "", pod: "", ...known };
}

function podGroup(pod: PodMeasurement): Group {
  const { name, namespace, uid, cgroup, cpu, memory, swap, pressure, startTimeMs, processes, network } = pod;
  return {
    ...(cpu ? { cpu } : {}),
    ...(memory ? { memory } : {}),
    ...(swap ? { swap } : {}),
    ...(pressure ? { pressure } : {}),
    ...(processes === undefined ? {} : { processes }),
    ...(network ? { network } : {}),
    startTimeMs,
    labels: labelsOf({ pod: name, namespace, id: cgroup ?? `/kubepods/pod${uid}` }),
  };
}

function containerGroup(pod: PodMeasurement, container: ContainerMeasurement): Group {
  const { id, name, image, startedAtMs, writableLayer, cpu, memory, swap, pressure } = container;
  return {
    ...(cpu ? { cpu } : {}),
    ...(memory ? { memory } : {}),
    ...(swap ? { swap } : {}),
    ...(pressure ? { pressure } : {}),
    ...(writableLayer ? { diskBytes: writableLayer.bytes } : {}),
    startTimeMs: startedAtMs,
    labels: labelsOf({ container: name, id: containerCgroup(pod, container), image, name: id, namespace: pod.namespace, pod: pod.name }),
  };
}

/** A value of a group, with labels beside the group's; undefined where it has none. */
type Read = (group: Group) => readonly (Omit<Sample, "labels"> & { readonly more?: Labels })[];

const one = (value: number | undefined, timestampMs?: number, more?: Labels): ReturnType<Read> =>
  value === undefined ? [] : [{ value, ...(timestampMs === undefined ? {} : { timestampMs }), ...(more ? { more } : {}) }];

function ofDisks(disks: readonly MachineDisk[] = [], value: (disk: MachineDisk) => number | undefined): ReturnType<Read> {
  return disks.flatMap((disk) => one(value(disk), undefined, { device: disk.device }));
}

/** What the kernel counts of each disk. Times are seconds. */
const diskTraffic = (
  [
    ["reads_total", "counter", "Reads of a disk.", (t) => t.reads],
    ["reads_merged_total", "counter", "Reads that were made together with others.", (t) => t.readsMerged],
    ["sector_reads_total", "counter", "Sectors read.", (t) => t.sectorsRead],
    ["read_seconds_total", "counter", "Time reads took.", (t) => t.readMs / 1000],
    ["writes_total", "counter", "Writes to a disk.", (t) => t.writes],
    ["writes_merged_total", "counter", "Writes that were made together with others.", (t) => t.writesMerged],
    ["sector_writes_total", "counter", "Sectors written.", (t) => t.sectorsWritten],
    ["write_seconds_total", "counter", "Time writes took.", (t) => t.writeMs / 1000],
    ["io_current", "gauge", "What a disk is doing now.", (t) => t.underWay],
    ["io_time_seconds_total", "counter", "Time a disk was busy.", (t) => t.busyMs / 1000],
    ["io_time_weighted_seconds_total", "counter", "The same, weighted by how much it had to do.", (t) => t.weightedMs / 1000],
  ] as readonly (readonly [string, SampledMetric["type"], string, (traffic: DiskTraffic) => number])[]
).map(([name, type, help, value]): readonly [string, SampledMetric["type"], string, Read] => [
  ...([`container_fs_${name}`, type, help] as const),
  ({ disks }) => ofDisks(disks, ({ traffic }) => (traffic ? value(traffic) : undefined)),
]);

const families = (nowMs: number): readonly (readonly [string, SampledMetric["type"], string, Read])[] => [
  [
    "container_cpu_usage_seconds_total",
    "counter",
    "CPU time used, in seconds.",
    ({ cpu }) => one(cpu && cpu.nanoseconds / 1e9, cpu?.timeMs, { cpu: "total" }),
  ],
  ["container_memory_usage_bytes", "gauge", "Memory used, whenever it was last touched.", ({ memory: m }) => one(m?.usageBytes, m?.timeMs)],
  [
    "container_memory_working_set_bytes",
    "gauge",
    "Memory that cannot be dropped at once.",
    ({ memory: m }) => one(m?.workingSetBytes, m?.timeMs),
  ],
  ["container_memory_rss", "gauge", "Anonymous memory.", ({ memory: m }) => one(m?.rssBytes, m?.timeMs)],
  ["container_memory_swap", "gauge", "Swap used.", ({ swap }) => one(swap?.usageBytes, swap?.timeMs)],
  ["container_memory_failures_total", "counter", "Page faults.", ({ memory }) => pageFaults(memory)],
  [
    "container_spec_memory_limit_bytes",
    "gauge",
    "Memory limit; 0 for none.",
    ({ memory: m }) => (m ? one(m.limitBytes ?? 0, m.timeMs) : []),
  ],
  ["container_start_time_seconds", "gauge", "When it was started, in seconds since 1970.", ({ startTimeMs: t }) => one(t && t / 1000)],
  ["container_last_seen", "gauge", "When it was last measured.", () => one(Math.floor(nowMs / 1000))],
  ["container_cpu_user_seconds_total", "counter", "CPU time in user space.", ({ details: d }) => seconds(d?.userNanoseconds)],
  ["container_cpu_system_seconds_total", "counter", "CPU time in the kernel.", ({ details: d }) => seconds(d?.systemNanoseconds)],
  ["container_cpu_cfs_periods_total", "counter", "Periods of the CPU quota.", ({ details: d }) => one(quotaOf(d)?.periods)],
  [
    "container_cpu_cfs_throttled_periods_total",
    "counter",
    "Periods with throttling.",
    ({ details: d }) => one(quotaOf(d)?.throttledPeriods),
  ],
  [
    "container_cpu_cfs_throttled_seconds_total",
    "counter",
    "Time throttled.",
    ({ details: d }) => seconds(quotaOf(d)?.throttledNanoseconds),
  ],
  ["container_spec_cpu_quota", "gauge", "CPU time in a period, in microseconds.", ({ details: d }) => one(d?.cpuQuotaUs)],
  ["container_spec_cpu_period", "gauge", "The period, in microseconds.", ({ details: d }) => one(d?.cpuPeriodUs)],
  ["container_spec_cpu_shares", "gauge", "CPU shares.", ({ details: d }) => one(d?.cpuShares)],
  ["container_memory_cache", "gauge", "Page cache.", ({ details: d }) => one(d?.cacheBytes)],
  ["container_memory_mapped_file", "gauge", "Mapped files.", ({ details: d }) => one(d?.mappedFileBytes)],
  ["container_memory_max_usage_bytes", "gauge", "The most memory used so far.", ({ details: d }) => one(d?.peakBytes)],
  ["container_memory_total_active_file_bytes", "gauge", "Files used lately.", ({ details: d }) => one(d?.activeFileBytes)],
  ["container_memory_total_inactive_file_bytes", "gauge", "Files not used lately.", ({ details: d }) => one(d?.inactiveFileBytes)],
  ["container_memory_kernel_usage", "gauge", "Memory of the kernel itself.", ({ details: d }) => one(d?.kernelBytes)],
  ["container_spec_memory_reservation_limit_bytes", "gauge", "Memory kept for it.", ({ details: d }) => one(d?.reservedBytes)],
  ["container_spec_memory_swap_limit_bytes", "gauge", "Limit of swap; 0 for none.", ({ details: d }) => one(d?.swapLimitBytes)],
  ["container_oom_events_total", "counter", "Processes killed for want of memory.", ({ details: d }) => one(d?.oomKills)],
  ["container_threads", "gauge", "Threads in it.", ({ details: d }) => one(d?.threads)],
  ["container_threads_max", "gauge", "How many there may be; 0 for no limit.", ({ details: d }) => one(d?.threadsMax)],
  ["container_memory_failcnt", "counter", "How often the memory limit was met.", ({ details: d }) => one(d?.limitHits)],
  [
    "container_pressure_cpu_waiting_seconds_total",
    "counter",
    "Time in which something waited for CPU.",
    ({ pressure: p }) => micros(p?.cpu?.some.total),
  ],
  [
    "container_pressure_cpu_stalled_seconds_total",
    "counter",
    "Time in which everything waited for CPU.",
    ({ pressure: p }) => micros(p?.cpu?.full.total),
  ],
  [
    "container_pressure_memory_waiting_seconds_total",
    "counter",
    "Time in which something waited for memory.",
    ({ pressure: p }) => micros(p?.memory?.some.total),
  ],
  [
    "container_pressure_memory_stalled_seconds_total",
    "counter",
    "Time in which everything waited for memory.",
    ({ pressure: p }) => micros(p?.memory?.full.total),
  ],
  [
    "container_pressure_io_waiting_seconds_total",
    "counter",
    "Time in which something waited for disks.",
    ({ pressure: p }) => micros(p?.io?.some.total),
  ],
  [
    "container_pressure_io_stalled_seconds_total",
    "counter",
    "Time in which everything waited for disks.",
    ({ pressure: p }) => micros(p?.io?.full.total),
  ],
  ["container_processes", "gauge", "Processes in it.", ({ processes }) => one(processes)],
  [
    "container_fs_usage_bytes",
    "gauge",
    "Bytes of the writable layer, or of the machine's disks.",
    ({ diskBytes, disks }) => [...one(diskBytes, undefined, { device: "" }), ...ofDisks(disks, (disk) => disk.usedBytes)],
  ],
  ["container_fs_limit_bytes", "gauge", "Size of a disk.", ({ disks }) => ofDisks(disks, (disk) => disk.capacityBytes)],
  ["container_fs_inodes_total", "gauge", "Inodes of a disk.", ({ disks }) => ofDisks(disks, (disk) => disk.inodes)],
  ["container_fs_inodes_free", "gauge", "Free inodes of a disk.", ({ disks }) => ofDisks(disks, (disk) => disk.inodesFree)],
  ...diskTraffic,
  ["container_network_receive_bytes_total", "counter", "Bytes received.", ({ network }) => ofInterfaces(network, "rxBytes")],
  ["container_network_receive_packets_total", "counter", "Packets received.", ({ network }) => ofInterfaces(network, "rxPackets")],
  [
    "container_network_receive_packets_dropped_total",
    "counter",
    "Packets dropped on receipt.",
    ({ network }) => ofInterfaces(network, "rxDropped"),
  ],
  ["container_network_receive_errors_total", "counter", "Errors on receipt.", ({ network }) => ofInterfaces(network, "rxErrors")],
  ["container_network_transmit_bytes_total", "counter", "Bytes sent.", ({ network }) => ofInterfaces(network, "txBytes")],
  ["container_network_transmit_packets_total", "counter", "Packets sent.", ({ network }) => ofInterfaces(network, "txPackets")],
  [
    "container_network_transmit_packets_dropped_total",
    "counter",
    "Packets dropped on sending.",
    ({ network }) => ofInterfaces(network, "txDropped"),
  ],
  ["container_network_transmit_errors_total", "counter", "Errors on sending.", ({ network }) => ofInterfaces(network, "txErrors")],
];

const seconds = (nanoseconds: number | undefined): ReturnType<Read> => one(nanoseconds === undefined ? undefined : nanoseconds / 1e9);

const micros = (total: number | undefined): ReturnType<Read> => one(total === undefined ? undefined : total / 1e6);

/** A group without a quota is never throttled, and has no such figures. */
const quotaOf = (details: CgroupDetails | undefined): CgroupDetails | undefined =>
  details?.cpuQuotaUs === undefined ? undefined : details;

function pageFaults(memory: UsageReading["memory"]): ReturnType<Read> {
  return [
    ...one(memory?.pageFaults, memory?.timeMs, { failure_type: "pgfault", scope: "container" }),
    ...one(memory?.majorPageFaults, memory?.timeMs, { failure_type: "pgmajfault", scope: "container" }),
  ];
}

function ofInterfaces(
  network: NetworkReading | undefined,
  key: Exclude<keyof NetworkReading["interfaces"][number], "name">,
): ReturnType<Read> {
  return (network?.interfaces ?? []).flatMap((found) => one(found[key], network?.timeMs, { interface: found.name }));
}

function groupMetrics(groups: readonly Group[], nowMs: number): readonly SampledMetric[] {
  return families(nowMs).map(([name, type, help, read]) => ({
    ...{ name, type, help },
    samples: groups.flatMap((group) => read(group).map(({ more, ...sample }) => ({ ...sample, labels: { ...group.labels, ...more } }))),
  }));
}

function machineMetrics(machine: MachineFacts | undefined): readonly SampledMetric[] {
  if (!machine) return [];
  const { cpus, memoryBytes, swapBytes, machineId, systemUuid, bootId, kernelVersion, osImage } = machine;
  const labels = { boot_id: bootId, machine_id: machineId, system_uuid: systemUuid };
  const version = { cadvisorRevision: "", cadvisorVersion: "", dockerVersion: "", kernelVersion, osVersion: osImage };
  return [
    { name: "cadvisor_version_info", type: "gauge", help: "Kernel and system, as labels.", samples: [{ labels: version, value: 1 }] },
    { name: "machine_cpu_cores", type: "gauge", help: "Logical CPUs of the machine.", samples: [{ labels, value: cpus }] },
    { name: "machine_memory_bytes", type: "gauge", help: "Memory of the machine.", samples: [{ labels, value: memoryBytes }] },
    { name: "machine_swap_bytes", type: "gauge", help: "Swap of the machine.", samples: [{ labels, value: swapBytes }] },
    { name: "machine_scrape_error", type: "gauge", help: "1 where measuring the machine failed, else 0", samples: [{ value: 0 }] },
  ];
}
