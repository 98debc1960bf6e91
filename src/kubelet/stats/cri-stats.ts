// What the container runtime says its containers and sandboxes use, by id. Runtimes differ in what they can tell: sandboxes'
// statistics are optional (older ones answer UNIMPLEMENTED, or fail when one sandbox is just ending), containers' are not.
import { type CriRuntime, criTimeMs } from "../../cri/cri.ts";
import type { ContainerStats, NetworkInterfaceUsage, PodSandboxStats } from "../../cri/generated/runtime-v1.ts";
import type { CpuRates } from "./cpu-rates.ts";
import type { DiskReading, InterfaceReading, MemoryReading, NetworkReading, UsageReading } from "./measurement.ts";

export interface ContainerReading extends UsageReading {
  readonly writableLayer?: DiskReading;
}

export interface SandboxReading extends UsageReading {
  readonly network?: NetworkReading;
  readonly processes?: number;
}

const timeoutMs = 10_000;

type Value = { readonly value: number } | undefined;

/** By container id. */
export async function readContainerStats(cri: CriRuntime, rates: CpuRates): Promise<ReadonlyMap<string, ContainerReading>> {
  const { stats } = await cri.listContainerStats({}, { timeoutMs });
  return new Map(stats.map((of) => [of.attributes?.id ?? "", containerReading(of, rates)]));
}

/** By sandbox id; empty where the runtime has none. Runtimes enter every pod's network for it, so it is asked for only at need. */
export async function readSandboxStats(
  cri: CriRuntime,
  { rates, nowMs }: { readonly rates: CpuRates; readonly nowMs: number },
): Promise<ReadonlyMap<string, SandboxReading>> {
  const { stats } = await cri.listPodSandboxStats({}, { timeoutMs }).catch(() => ({ stats: [] }));
  return new Map(stats.map((of) => [of.attributes?.id ?? "", sandboxReading(of, rates, nowMs)]));
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

function sandboxReading({ attributes, linux }: PodSandboxStats, rates: CpuRates, nowMs: number): SandboxReading {
  if (!linux) return {};
  const { network, process } = linux;
  return {
    ...usageOf(`sandbox/${attributes?.id}`, linux, rates),
    ...(network ? { network: networkReading(criTimeMs(network.timestamp) || nowMs, network.defaultInterface, network.interfaces) } : {}),
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

function interfaceOf({ name, rxBytes, rxErrors, txBytes, txErrors }: NetworkInterfaceUsage): InterfaceReading {
  return {
    name,
    ...present({ rxBytes, rxErrors, txBytes, txErrors }),
  };
}
