// Measures what the node and its pods use, for the summary API, the metrics endpoints and eviction. There are two measurements:
// CPU and memory alone, which is cheap enough to be asked for every few seconds, and a full one with disks and volumes. Each is
// made once for all who ask at the same time. Nothing here walks directories; volume-usage.ts does, in the background. Eviction
// looks at the node every few seconds, and has only those pods measured that it has to judge.
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { CgroupDetails } from "../../linux/cgroup-details.ts";
import type { MachineDisk } from "../../linux/machine-disks.ts";
import type { OpenFiles } from "../../linux/open-files.ts";
import type { MountedVolumes } from "../volumes/volume-manager.ts";
import { containerCgroup } from "./cadvisor-metrics.ts";
import { CpuRates } from "./cpu-rates.ts";
import { readContainerStats, readSandboxStats } from "./cri-stats.ts";
import { createDiskMeasurer } from "./disk-measurer.ts";
import type { MachineReader } from "./machine.ts";
import { measureNode } from "./measure-node.ts";
import { groupUsage, measurePods, type StatsPod } from "./measure-pods.ts";
import type { Measurement, UsageReading, VolumeMeasurement } from "./measurement.ts";
import { SharedResult } from "./shared-result.ts";
import type { StatsProvider, Summary } from "./summary.ts";
import { toSummary } from "./to-summary.ts";
import { VolumeUsage } from "./volume-usage.ts";

export interface StatsProviderDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pods: () => Iterable<StatsPod>;
  /** Of a pod, once they are made. */
  readonly volumes: (podUid: string) => MountedVolumes | undefined;
  /** Undefined where the runtime is simulated. */
  readonly machine?: MachineReader;
  /** For metrics. */
  readonly onVolumeMeasured?: (source: "du" | "statfs", durationMs: number) => void;
}

export interface StatsProviderOptions {
  readonly nodeName: string;
  readonly rootDirectory: string;
  /** Of the node, as its status has it. */
  readonly memoryBytes: number;
  /** --volume-stats-agg-period. Default 60 s. */
  readonly volumePeriodMs?: number;
}

export interface MeasureOptions {
  /** Default 10 s for full measurements, 1 s for CPU and memory. */
  readonly maxAgeMs?: number;
  readonly signal?: AbortSignal;
}

/** What the kubelet's server and eviction ask; `start` begins to measure volumes in the background. */
export interface GroupDetails extends CgroupDetails {
  /** Of a container. */
  readonly openFiles?: OpenFiles;
}

export interface KubeletStats extends StatsProvider, Running {
  start(): void;
  /** CPU and memory alone. */
  usage(options?: MeasureOptions): Promise<Measurement>;
  /** With disks, logs and volumes. */
  all(options?: MeasureOptions): Promise<Measurement>;
  /** The summary with CPU and memory alone. */
  usageSummary(options?: MeasureOptions): Promise<Summary>;
  /** Of control groups by their paths, those of pods, containers and classes of service. */
  details(measured: Measurement): Promise<ReadonlyMap<string, GroupDetails>>;
  /** The groups of all pods and of two classes of service, by their paths. */
  qosGroups(): Promise<ReadonlyMap<string, UsageReading>>;
  /** Of the machine; none where there is none. */
  disks(): Promise<readonly MachineDisk[]>;
  /** Measures the volumes now. */
  measureVolumes(): Promise<void>;
  /** As last measured; undefined before. */
  volumesOf(podUid: string): readonly VolumeMeasurement[] | undefined;
}

const usageMaxAgeMs = 1_000;
const fullMaxAgeMs = 10_000;
const ratesMaxAgeMs = 60_000;
const momentMs = 1_050;

export function createStatsProvider(deps: StatsProviderDependencies, options: StatsProviderOptions): KubeletStats {
  const { clock, logger } = deps;
  const volumes = new VolumeUsage(
    { clock, logger, mounted: deps.volumes, pods: () => [...deps.pods()].map(({ pod }) => pod), onMeasured: deps.onVolumeMeasured },
    { ...(options.volumePeriodMs === undefined ? {} : { periodMs: options.volumePeriodMs }) },
  );
  const usage = new SharedResult(clock, withFreshRates(deps, usageMeasurer(deps, options)));
  const disks = createDiskMeasurer(deps, { rootDirectory: options.rootDirectory, volumes: (uid) => volumes.of(uid) });
  const full = new SharedResult(clock, async () => disks(await usage.get(usageMaxAgeMs)));
  const some = async (uids: ReadonlySet<string>, signal?: AbortSignal): Promise<Measurement> => {
    const chosen = (uid: string): boolean => uids.has(uid);
    await volumes.measureNew(uids);
    // A simulated node uses what its pods use: all of them have to be asked.
    const measured = deps.machine ? await usageMeasurer(deps, options, chosen)() : await usage.get(usageMaxAgeMs, signal);
    return disks({ ...measured, pods: measured.pods.filter(({ uid }) => chosen(uid)) });
  };
  const provider: KubeletStats = {
    start: () => volumes.start(),
    stop: () => volumes.stop(),
    details: (measured) => readGroupDetails(measured, deps.machine),
    qosGroups: () => readQosGroups(deps),
    disks: async () => (await deps.machine?.disks()) ?? [],
    measureVolumes: () => volumes.measure(),
    volumesOf: (uid) => volumes.of(uid),
    usage: ({ maxAgeMs = usageMaxAgeMs, signal } = {}) => usage.get(maxAgeMs, signal),
    all: ({ maxAgeMs = fullMaxAgeMs, signal } = {}) => full.get(maxAgeMs, signal),
    summary: async (asked = {}) => toSummary(asked.pods ? await some(asked.pods, asked.signal) : await provider.all(asked)),
    usageSummary: async (asked) => toSummary(await provider.usage(asked)),
  };
  return provider;
}

/**
 * Rates of CPU are those since the measurement before. Where that is long ago, or there was none, two are made, a moment apart:
 * nobody measures all pods of a machine while nobody asks. Of a simulated node eviction does.
 */
function withFreshRates({ clock, machine }: StatsProviderDependencies, measure: () => Promise<Measurement>): () => Promise<Measurement> {
  let lastMs = -Infinity;
  return async () => {
    const sinceMs = clock.monotonic() - lastMs;
    let measured = await measure();
    if (machine && sinceMs > ratesMaxAgeMs) {
      await clock.sleep(momentMs);
      measured = await measure();
    }
    lastMs = clock.monotonic();
    return measured;
  };
}

function usageMeasurer(
  deps: StatsProviderDependencies,
  options: StatsProviderOptions,
  chosen: (podUid: string) => boolean = () => true,
): () => Promise<Measurement> {
  const { cri, clock, machine } = deps;
  const { nodeName, memoryBytes } = options;
  const rates = new CpuRates();
  const startedAtMs = clock.now();
  return async () => {
    const nowMs = clock.now();
    const containers = once(() => readContainerStats(cri, rates));
    const sandboxes = once(() => readSandboxStats(cri, { rates, nowMs }));
    const asked = [...deps.pods()].filter(({ pod }) => chosen(pod.metadata.uid));
    const pods = await measurePods(asked, { machine, rates, containers, sandboxes, nowMs });
    const node = await measureNode({ nodeName, machine, rates, pods, memoryBytes, startedAtMs, nowMs });
    rates.endRound();
    return { timeMs: nowMs, node, pods };
  };
}

/** Asked by several, done once, and only if somebody asks. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

async function readGroupDetails({ pods }: Measurement, machine: MachineReader | undefined): Promise<ReadonlyMap<string, GroupDetails>> {
  if (!machine) return new Map();
  const grouped = pods.filter(({ cgroup }) => cgroup !== undefined);
  const containers = grouped.flatMap((pod) => pod.containers.map((c) => containerCgroup(pod, c)));
  const groups = [...machine.qosGroups(), ...grouped.map(({ cgroup }) => cgroup ?? "")];
  const entries = [
    ...groups.map(async (path): Promise<readonly [string, GroupDetails]> => [path, await machine.cgroupDetails(path)]),
    ...containers.map(async (path): Promise<readonly [string, GroupDetails]> => {
      const [details, openFiles] = await Promise.all([machine.cgroupDetails(path), machine.openFiles(path)]);
      return [path, { ...details, openFiles }];
    }),
  ];
  return new Map(await Promise.all(entries));
}

/** Those that there are: rates are nobody's business here. */
async function readQosGroups({ machine, clock }: StatsProviderDependencies): Promise<ReadonlyMap<string, UsageReading>> {
  if (!machine) return new Map();
  const at = { rates: new CpuRates(), nowMs: clock.now() };
  const found = await Promise.all(
    machine.qosGroups().map(async (path) => {
      const usage = await machine.cgroupUsage(path);
      return usage ? [[path, groupUsage(path, usage, at)] as const] : [];
    }),
  );
  return new Map(found.flat());
}
