// Measures the node: the machine as a whole, and of it the kubelet, the container runtime and all pods together. On a simulated
// node there is no machine: the node uses what its pods use.
import type { CgroupUsage } from "../../linux/cgroups.ts";
import type { MachineUsage } from "../../linux/machine-usage.ts";
import type { ProcessUsage } from "../../linux/process-usage.ts";
import type { CpuRates } from "./cpu-rates.ts";
import type { MachineReader } from "./machine.ts";
import { groupUsage, sumOf } from "./measure-pods.ts";
import type { NodeMeasurement, PodMeasurement, SystemContainer, UsageReading } from "./measurement.ts";

export interface MeasureNodeContext {
  readonly nodeName: string;
  readonly machine: MachineReader | undefined;
  readonly rates: CpuRates;
  readonly pods: readonly PodMeasurement[];
  /** Of the node, as its status has it. */
  readonly memoryBytes: number;
  /** When the kubelet began. */
  readonly startedAtMs: number;
  readonly nowMs: number;
}

export async function measureNode(context: MeasureNodeContext): Promise<NodeMeasurement> {
  const { nodeName: name, machine, rates, nowMs, startedAtMs, memoryBytes } = context;
  if (!machine) return { name, startTimeMs: startedAtMs, systemContainers: [], ...simulatedUsage(context) };
  const [usage, booted, network, podsUsage, kubelet, runtime] = await Promise.all([
    machine.usage(),
    machine.bootTimeMs(),
    machine.network(),
    machine.podsUsage(),
    machine.kubeletUsage(),
    machine.runtimeUsage(),
  ]);
  const startTimeMs = booted ?? startedAtMs;
  const at = { rates, nowMs };
  return {
    name,
    startTimeMs,
    ...(usage ? machineReading(usage, { ...at, memoryBytes }) : {}),
    network: { timeMs: nowMs, ...network },
    systemContainers: systemContainers({ kubelet, runtime, podsUsage }, { ...at, startedAtMs }),
  };
}

function simulatedUsage({ pods, nowMs, memoryBytes }: MeasureNodeContext): UsageReading {
  const { cpu = { timeMs: nowMs, nanoseconds: 0, nanoCores: 0 }, memory } = sumOf(pods, nowMs);
  const used = memory ?? { timeMs: nowMs, usageBytes: 0, workingSetBytes: 0, rssBytes: 0, pageFaults: 0, majorPageFaults: 0 };
  return { cpu, memory: { ...used, limitBytes: memoryBytes } };
}

function machineReading(
  usage: MachineUsage,
  { rates, nowMs, memoryBytes }: { readonly rates: CpuRates; readonly nowMs: number; readonly memoryBytes: number },
): UsageReading {
  const { memoryBytes: usageBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults, swapTotalBytes, swapFreeBytes } = usage;
  return {
    cpu: rates.reading("node", nowMs, usage.cpuNanoseconds),
    memory: { timeMs: nowMs, usageBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults, limitBytes: memoryBytes },
    swap: { timeMs: nowMs, usageBytes: swapTotalBytes - swapFreeBytes, availableBytes: swapFreeBytes },
  };
}

interface Parts {
  readonly kubelet: ProcessUsage | undefined;
  readonly runtime: ProcessUsage | undefined;
  readonly podsUsage: CgroupUsage | undefined;
}

function systemContainers(
  { kubelet, runtime, podsUsage }: Parts,
  { rates, nowMs, startedAtMs: startTimeMs }: { readonly rates: CpuRates; readonly nowMs: number; readonly startedAtMs: number },
): readonly SystemContainer[] {
  const processReading = (key: string, { cpuNanoseconds, rssBytes, pageFaults, majorPageFaults }: ProcessUsage): UsageReading => ({
    cpu: rates.reading(key, nowMs, cpuNanoseconds),
    memory: { timeMs: nowMs, usageBytes: rssBytes, workingSetBytes: rssBytes, rssBytes, pageFaults, majorPageFaults },
  });
  return [
    ...(kubelet ? [{ name: "kubelet" as const, startTimeMs, ...processReading("kubelet", kubelet) }] : []),
    ...(runtime ? [{ name: "runtime" as const, startTimeMs, ...processReading("runtime", runtime) }] : []),
    ...(podsUsage ? [{ name: "pods" as const, startTimeMs, ...groupUsage("pods", podsUsage, { rates, nowMs }) }] : []),
  ];
}
