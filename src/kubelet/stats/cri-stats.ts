// What the container runtime says its containers and sandboxes use, by id. Runtimes differ in what they can tell: sandboxes'
// statistics are optional (older ones answer UNIMPLEMENTED, or fail when one sandbox is just ending), containers' are not.
import { type CriRuntime, criTimeMs } from "../../cri/cri.ts";
import type { ContainerStats, NetworkInterfaceUsage, PodSandboxStats } from "../../cri/generated/runtime-v1.ts";
import type { InterfaceUsage } from "../../linux/network-usage.ts";
import type { CpuRates } from "./cpu-rates.ts";
import type { DiskReading, MemoryReading, NetworkReading, UsageReading } from "./measurement.ts";

export interface ContainerReading extends UsageReading {
  readonly writableLayer?: DiskReading;
}

export interface SandboxReading extends UsageReading {
  readonly network?: NetworkReading;
  readonly processes?: number;
}

export interface CriReadings {
  /** By container id. */
  readonly containers: ReadonlyMap<string, ContainerReading>;
  /** By sandbox id; empty where the runtime has none. */
  readonly sandboxes: ReadonlyMap<string, SandboxReading>;
}

const timeoutMs = 10_000;

type Value = { readonly value: number } | undefined;

export async function readCriStats(cri: CriRuntime, rates: CpuRates): Promise<CriReadings> {
  const [containers, sandboxes] = await Promise.all([
    cri.listContainerStats({}, { timeoutMs }),
    // Everything in it is to be had elsewhere, if less well.
    cri.listPodSandboxStats({}, { timeoutMs }).catch(() => ({ stats: [] })),
  ]);
  return {
    containers: new Map(containers.stats.map((stats) => [stats.attributes?.id ?? "", containerReading(stats, rates)])),
    sandboxes: new Map(sandboxes.stats.map((stats) => [stats.attributes?.id ?? "", sandboxReading(stats, rates)])),
  };
}

function containerReading(stats: ContainerStats, rates: CpuRates): ContainerReading {
  const { swap, writableLayer: layer } = stats;
  return {
    ...usageOf(`container/${stats.attributes?.id}`, stats, rates),
    ...(swap ? { swap: { timeMs: criTimeMs(swap.timestamp), ...swapValues(swap) } } : {}),
    ...(layer?.usedBytes
      ? { writableLayer: { timeMs: criTimeMs(layer.timestamp), bytes: layer.usedBytes.value, ...inodesOf(layer) } }
      : {}),
  };
}

function sandboxReading({ attributes, linux }: PodSandboxStats, rates: CpuRates): SandboxReading {
  if (!linux) return {};
  const { network, process } = linux;
  return {
    ...usageOf(`sandbox/${attributes?.id}`, linux, rates),
    ...(network ? { network: networkReading(criTimeMs(network.timestamp), network.defaultInterface, network.interfaces) } : {}),
    ...(process?.processCount ? { processes: process.processCount.value } : {}),
  };
}

function usageOf(key: string, { cpu, memory }: Pick<ContainerStats, "cpu" | "memory">, rates: CpuRates): UsageReading {
  const used = cpu?.usageCoreNanoSeconds;
  return {
    ...(cpu && used ? { cpu: rates.reading(key, criTimeMs(cpu.timestamp), used.value) } : {}),
    ...(memory ? { memory: memoryReading(memory) } : {}),
  };
}

function memoryReading(memory: NonNullable<ContainerStats["memory"]>): MemoryReading {
  const { workingSetBytes, availableBytes } = memory;
  const limit = workingSetBytes && availableBytes && availableBytes.value > 0 ? workingSetBytes.value + availableBytes.value : undefined;
  return {
    timeMs: criTimeMs(memory.timestamp),
    ...present({
      usageBytes: memory.usageBytes,
      workingSetBytes,
      rssBytes: memory.rssBytes,
      pageFaults: memory.pageFaults,
      majorPageFaults: memory.majorPageFaults,
    }),
    ...(limit === undefined ? {} : { limitBytes: limit }),
  };
}

const swapValues = (swap: NonNullable<ContainerStats["swap"]>) =>
  present({ usageBytes: swap.swapUsageBytes, availableBytes: swap.swapAvailableBytes });

const inodesOf = (layer: { readonly inodesUsed?: Value }) => present({ inodes: layer.inodesUsed });

function present<K extends string>(values: Readonly<Record<K, Value>>): { readonly [key in K]?: number } {
  const found = Object.entries<Value>(values).flatMap(([key, value]) => (value === undefined ? [] : [[key, value.value] as const]));
  return Object.fromEntries(found) as { readonly [key in K]?: number };
}

function networkReading(
  timeMs: number,
  first: NetworkInterfaceUsage | undefined,
  others: readonly NetworkInterfaceUsage[],
): NetworkReading {
  const all = [...(first ? [first] : []), ...others.filter((other) => other.name !== first?.name)];
  return { timeMs, interfaces: all.map(interfaceOf), ...(first ? { defaultInterface: first.name } : {}) };
}

function interfaceOf({ name, rxBytes, rxErrors, txBytes, txErrors }: NetworkInterfaceUsage): InterfaceUsage {
  const of = (value: Value): number => value?.value ?? 0;
  return {
    ...{ name, rxBytes: of(rxBytes), rxErrors: of(rxErrors), rxPackets: 0, rxDropped: 0 },
    ...{ txBytes: of(txBytes), txErrors: of(txErrors), txPackets: 0, txDropped: 0 },
  };
}
