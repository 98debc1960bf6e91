// The kubelet's /metrics/cadvisor: the container_* families that dashboards and alerts know, with cAdvisor's names and labels,
// made from the same measurement as everything else. A pod's own group has no container; the whole machine is "/".

import { type Sample, type SampledMetric, sampledText } from "../../base/metrics.ts";
import type { DiskTraffic, MachineDisk } from "../../linux/machine-disks.ts";
import type { ContainerMeasurement, Measurement, NetworkReading, PodMeasurement, UsageReading } from "./measurement.ts";
import type { GroupDetails } from "./stats-provider.ts";

type Labels = Readonly<Record<string, string>>;

interface Group extends UsageReading {
  readonly labels: Labels;
  readonly startTimeMs?: number;
  readonly processes?: number;
  readonly network?: NetworkReading;
  readonly diskBytes?: number;
  readonly details?: GroupDetails;
  /** Of the whole machine. */
  readonly disks?: readonly MachineDisk[];
}

export interface MachineFacts {
  readonly cpus: number;
  /** Default what `cpus` says, in one socket. */
  readonly cores?: number;
  readonly sockets?: number;
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
  readonly details: ReadonlyMap<string, GroupDetails>;
  /** The groups of all pods and of classes of service, by their paths. Default none. */
  readonly qos?: ReadonlyMap<string, UsageReading>;
  /** Of the machine. Default none. */
  readonly disks?: readonly MachineDisk[];
}

/** `measured` undefined: the measurement failed. */
export function cadvisorMetrics(
  measured: Measurement | undefined,
  { machine, details, disks = [], qos = new Map() }: CadvisorFacts,
): string {
  const error: SampledMetric = {
    name: "container_scrape_error",
    type: "gauge",
    help: "1 if there was an error while getting container metrics, 0 otherwise",
    samples: [{ value: measured ? 0 : 1 }],
  };
  return sampledText([
    ...machineMetrics(machine),
    ...(measured ? groupMetrics(groupsOf(measured, { details, disks, qos }), measured.timeMs) : []),
    error,
  ]);
}

/** Below the pod's, named by the container's id, as runtimes make it. */
export function containerCgroup(pod: PodMeasurement, { id }: ContainerMeasurement): string {
  return `${pod.cgroup ?? `/kubepods/pod${pod.uid}`}/${id}`;
}

function groupsOf(
  { node, pods }: Measurement,
  { details, disks, qos }: Required<Pick<CadvisorFacts, "details" | "disks" | "qos">>,
): readonly Group[] {
  const root: Group = {
    ...node,
    disks,
    labels: labelsOf({ id: "/" }),
    ...(node.processes === undefined ? {} : { processes: node.processes }),
  };
  const classes = [...qos].map(([id, usage]): Group => ({ ...usage, labels: labelsOf({ id }) }));
  const groups = pods.flatMap((pod) => [podGroup(pod), ...pod.containers.map((container) => containerGroup(pod, container))]);
  return [root, ...[...classes, ...groups].map((group) => withDetails(group, details.get(group.labels.id ?? "")))];
}

const withDetails = (group: Group, details: GroupDetails | undefined): Group => (details ? { ...group, details } : group);

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
    ["reads_total", "counter", "Cumulative count of reads completed", (t) => t.reads],
    ["reads_merged_total", "counter", "Cumulative count of reads merged", (t) => t.readsMerged],
    ["sector_reads_total", "counter", "Cumulative count of sector reads completed", (t) => t.sectorsRead],
    ["read_seconds_total", "counter", "Cumulative count of seconds spent reading", (t) => t.readMs / 1000],
    ["writes_total", "counter", "Cumulative count of writes completed", (t) => t.writes],
    ["writes_merged_total", "counter", "Cumulative count of writes merged", (t) => t.writesMerged],
    ["sector_writes_total", "counter", "Cumulative count of sector writes completed", (t) => t.sectorsWritten],
    ["write_seconds_total", "counter", "Cumulative count of seconds spent writing", (t) => t.writeMs / 1000],
    ["io_current", "gauge", "Number of I/Os currently in progress", (t) => t.underWay],
    ["io_time_seconds_total", "counter", "Cumulative count of seconds spent doing I/Os", (t) => t.busyMs / 1000],
    ["io_time_weighted_seconds_total", "counter", "Cumulative weighted I/O time in seconds", (t) => t.weightedMs / 1000],
  ] as readonly (readonly [string, SampledMetric["type"], string, (traffic: DiskTraffic) => number])[]
).map(([name, type, help, value]): readonly [string, SampledMetric["type"], string, Read] => [
  ...([`container_fs_${name}`, type, help] as const),
  ({ disks }) => ofDisks(disks, ({ traffic }) => (traffic ? value(traffic) : undefined)),
]);

const families = (nowMs: number): readonly (readonly [string, SampledMetric["type"], string, Read])[] => [
  [
    "container_cpu_usage_seconds_total",
    "counter",
    "Cumulative cpu time consumed in seconds.",
    ({ cpu }) => one(cpu && cpu.nanoseconds / 1e9, cpu?.timeMs, { cpu: "total" }),
  ],
  [
    "container_memory_usage_bytes",
    "gauge",
    "Current memory usage in bytes, including all memory regardless of when it was accessed",
    ({ memory: m }) => one(m?.usageBytes, m?.timeMs),
  ],
  ["container_memory_working_set_bytes", "gauge", "Current working set in bytes.", ({ memory: m }) => one(m?.workingSetBytes, m?.timeMs)],
  ["container_memory_rss", "gauge", "Size of RSS in bytes.", ({ memory: m }) => one(m?.rssBytes, m?.timeMs)],
  ["container_memory_swap", "gauge", "Container swap usage in bytes.", ({ swap }) => one(swap?.usageBytes, swap?.timeMs)],
  ["container_memory_failures_total", "counter", "Cumulative count of memory allocation failures.", ({ memory }) => pageFaults(memory)],
  [
    "container_spec_memory_limit_bytes",
    "gauge",
    "Memory limit for the container.",
    ({ memory: m }) => (m ? one(m.limitBytes ?? 0, m.timeMs) : []),
  ],
  [
    "container_start_time_seconds",
    "gauge",
    "Start time of the container since unix epoch in seconds.",
    ({ startTimeMs: t }) => one(t && t / 1000),
  ],
  ["container_last_seen", "gauge", "Last time a container was seen by the exporter", () => one(Math.floor(nowMs / 1000))],
  [
    "container_cpu_user_seconds_total",
    "counter",
    "Cumulative user cpu time consumed in seconds.",
    ({ details: d }) => seconds(d?.userNanoseconds),
  ],
  [
    "container_cpu_system_seconds_total",
    "counter",
    "Cumulative system cpu time consumed in seconds.",
    ({ details: d }) => seconds(d?.systemNanoseconds),
  ],
  [
    "container_cpu_cfs_periods_total",
    "counter",
    "Number of elapsed enforcement period intervals.",
    ({ details: d }) => one(quotaOf(d)?.periods),
  ],
  [
    "container_cpu_cfs_throttled_periods_total",
    "counter",
    "Number of throttled period intervals.",
    ({ details: d }) => one(quotaOf(d)?.throttledPeriods),
  ],
  [
    "container_cpu_cfs_throttled_seconds_total",
    "counter",
    "Total time duration the container has been throttled.",
    ({ details: d }) => seconds(quotaOf(d)?.throttledNanoseconds),
  ],
  ["container_cpu_cfs_burst_periods_total", "counter", "Number of periods when burst occurs.", ({ details: d }) => one(quotaOf(d)?.bursts)],
  [
    "container_cpu_cfs_burst_seconds_total",
    "counter",
    "Total time duration the container has been bursted.",
    ({ details: d }) => seconds(quotaOf(d)?.burstNanoseconds),
  ],
  // Nobody samples the run queues, nor the states of tasks: cAdvisor says 0 unless it is told to.
  ["container_cpu_load_average_10s", "gauge", "Value of container cpu load average over the last 10 seconds.", () => one(0)],
  ["container_cpu_load_d_average_10s", "gauge", "Value of container cpu load.d average over the last 10 seconds.", () => one(0)],
  ["container_tasks_state", "gauge", "Number of tasks in given state", () => taskStates.flatMap((state) => one(0, undefined, { state }))],
  // Containers of CRI have no checks of the runtime's.
  ["container_health_state", "gauge", "The result of the container's health check", () => one(-1)],
  ["container_file_descriptors", "gauge", "Number of open file descriptors for the container.", (g) => one(filesOf(g)?.fileDescriptors)],
  ["container_sockets", "gauge", "Number of open sockets for the container.", (g) => one(filesOf(g)?.sockets)],
  [
    "container_ulimits_soft",
    "gauge",
    "Soft ulimit values for the container root process. Unlimited if -1, except priority and nice",
    ({ details: d }) => one(d?.openFiles?.softLimit, undefined, { ulimit: "max_open_files" }),
  ],
  ["container_spec_cpu_quota", "gauge", "CPU quota of the container.", ({ details: d }) => one(d?.cpuQuotaUs)],
  ["container_spec_cpu_period", "gauge", "CPU period of the container.", ({ details: d }) => one(d?.cpuPeriodUs)],
  ["container_spec_cpu_shares", "gauge", "CPU share of the container.", ({ details: d }) => one(d?.cpuShares)],
  ["container_memory_cache", "gauge", "Number of bytes of page cache memory.", ({ details: d }) => one(d?.cacheBytes)],
  ["container_memory_mapped_file", "gauge", "Size of memory mapped files in bytes.", ({ details: d }) => one(d?.mappedFileBytes)],
  ["container_memory_max_usage_bytes", "gauge", "Maximum memory usage recorded in bytes", ({ details: d }) => one(d?.peakBytes)],
  ["container_memory_total_active_file_bytes", "gauge", "Current total active file in bytes.", ({ details: d }) => one(d?.activeFileBytes)],
  [
    "container_memory_total_inactive_file_bytes",
    "gauge",
    "Current total inactive file in bytes.",
    ({ details: d }) => one(d?.inactiveFileBytes),
  ],
  ["container_memory_kernel_usage", "gauge", "Size of kernel memory allocated in bytes.", ({ details: d }) => one(d?.kernelBytes)],
  [
    "container_spec_memory_reservation_limit_bytes",
    "gauge",
    "Memory reservation limit for the container.",
    ({ details: d }) => one(d?.reservedBytes),
  ],
  ["container_spec_memory_swap_limit_bytes", "gauge", "Memory swap limit for the container.", ({ details: d }) => one(d?.swapLimitBytes)],
  [
    "container_oom_events_total",
    "counter",
    "Count of out of memory events observed for the container",
    ({ details: d }) => one(d?.oomKills),
  ],
  ["container_threads", "gauge", "Number of threads running inside the container", ({ details: d }) => one(d?.threads)],
  [
    "container_threads_max",
    "gauge",
    "Maximum number of threads allowed inside the container, infinity if value is zero",
    ({ details: d }) => one(d?.threadsMax),
  ],
  ["container_memory_failcnt", "counter", "Number of memory usage hits limits", ({ details: d }) => one(d?.limitHits)],
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
  ["container_processes", "gauge", "Number of processes running inside the container.", ({ processes }) => one(processes)],
  [
    "container_fs_usage_bytes",
    "gauge",
    "Number of bytes that are consumed by the container on this filesystem.",
    ({ diskBytes, disks }) => [...one(diskBytes, undefined, { device: "" }), ...ofDisks(disks, (disk) => disk.usedBytes)],
  ],
  [
    "container_fs_limit_bytes",
    "gauge",
    "Number of bytes that can be consumed by the container on this filesystem.",
    ({ disks }) => ofDisks(disks, (disk) => disk.capacityBytes),
  ],
  ["container_fs_inodes_total", "gauge", "Number of Inodes", ({ disks }) => ofDisks(disks, (disk) => disk.inodes)],
  ["container_fs_inodes_free", "gauge", "Number of available Inodes", ({ disks }) => ofDisks(disks, (disk) => disk.inodesFree)],
  ...diskTraffic,
  [
    "container_network_receive_bytes_total",
    "counter",
    "Cumulative count of bytes received",
    ({ network }) => ofInterfaces(network, "rxBytes"),
  ],
  [
    "container_network_receive_packets_total",
    "counter",
    "Cumulative count of packets received",
    ({ network }) => ofInterfaces(network, "rxPackets"),
  ],
  [
    "container_network_receive_packets_dropped_total",
    "counter",
    "Cumulative count of packets dropped while receiving",
    ({ network }) => ofInterfaces(network, "rxDropped"),
  ],
  [
    "container_network_receive_errors_total",
    "counter",
    "Cumulative count of errors encountered while receiving",
    ({ network }) => ofInterfaces(network, "rxErrors"),
  ],
  [
    "container_network_transmit_bytes_total",
    "counter",
    "Cumulative count of bytes transmitted",
    ({ network }) => ofInterfaces(network, "txBytes"),
  ],
  [
    "container_network_transmit_packets_total",
    "counter",
    "Cumulative count of packets transmitted",
    ({ network }) => ofInterfaces(network, "txPackets"),
  ],
  [
    "container_network_transmit_packets_dropped_total",
    "counter",
    "Cumulative count of packets dropped while transmitting",
    ({ network }) => ofInterfaces(network, "txDropped"),
  ],
  [
    "container_network_transmit_errors_total",
    "counter",
    "Cumulative count of errors encountered while transmitting",
    ({ network }) => ofInterfaces(network, "txErrors"),
  ],
];

const taskStates = ["iowaiting", "running", "sleeping", "stopped", "uninterruptible"] as const;

/** Groups without processes of their own have nothing open. Nothing is known of the machine, nor of what is simulated. */
const filesOf = ({ labels, details }: Group): { readonly fileDescriptors: number; readonly sockets: number } | undefined =>
  labels.id === "/" || !details ? undefined : (details.openFiles ?? { fileDescriptors: 0, sockets: 0 });

const seconds = (nanoseconds: number | undefined): ReturnType<Read> => one(nanoseconds === undefined ? undefined : nanoseconds / 1e9);

const micros = (total: number | undefined): ReturnType<Read> => one(total === undefined ? undefined : total / 1e6);

/** A group without a quota is never throttled, and has no such figures. */
const quotaOf = (details: GroupDetails | undefined): GroupDetails | undefined => (details?.cpuQuotaUs === undefined ? undefined : details);

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
  const { cpus, cores = cpus, sockets = 1, memoryBytes, swapBytes, machineId, systemUuid, bootId, kernelVersion, osImage } = machine;
  const labels = { boot_id: bootId, machine_id: machineId, system_uuid: systemUuid };
  const version = { cadvisorRevision: "", cadvisorVersion: "", dockerVersion: "", kernelVersion, osVersion: osImage };
  const gauge = (name: string, help: string, value: number): SampledMetric => ({ name, type: "gauge", help, samples: [{ labels, value }] });
  return [
    {
      name: "cadvisor_version_info",
      type: "gauge",
      help: "A metric with a constant '1' value labeled by kernel version, OS version, docker version, cadvisor version & cadvisor revision.",
      samples: [{ labels: version, value: 1 }],
    },
    gauge("machine_cpu_books", "Number of CPU books.", 0),
    gauge("machine_cpu_drawers", "Number of CPU drawers.", 0),
    gauge("machine_cpu_physical_cores", "Number of physical CPU cores.", cores),
    gauge("machine_cpu_sockets", "Number of CPU sockets.", sockets),
    { name: "machine_cpu_cores", type: "gauge", help: "Number of logical CPU cores.", samples: [{ labels, value: cpus }] },
    {
      name: "machine_memory_bytes",
      type: "gauge",
      help: "Amount of memory installed on the machine.",
      samples: [{ labels, value: memoryBytes }],
    },
    {
      name: "machine_swap_bytes",
      type: "gauge",
      help: "Amount of swap memory available on the machine.",
      samples: [{ labels, value: swapBytes }],
    },
    {
      name: "machine_scrape_error",
      type: "gauge",
      help: "1 if there was an error while getting machine metrics, 0 otherwise.",
      samples: [{ value: 0 }],
    },
  ];
}
