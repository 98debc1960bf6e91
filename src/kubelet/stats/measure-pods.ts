// Measures the pods of a node and their containers by their control groups. Where there are none (a simulated runtime, one that
// names groups in another way) the runtime's statistics serve, and a pod may be the sum of its containers.
import type { Pod } from "../../api/types/core-v1.ts";
import type { CgroupUsage } from "../../linux/cgroups.ts";
import type { RuntimeContainer, RuntimePod } from "../runtime/runtime-pod.ts";
import type { CpuRates } from "./cpu-rates.ts";
import type { ContainerReading, SandboxReading } from "./cri-stats.ts";
import type { MachineReader } from "./machine.ts";
import type { ContainerMeasurement, MemoryReading, PodMeasurement, UsageReading } from "./measurement.ts";

/** A pod of this node, and what the runtime last had of it. */
export interface StatsPod {
  readonly pod: Pod;
  readonly runtime: RuntimePod;
}

export interface MeasurePodsContext {
  /** Undefined where the runtime is simulated. */
  readonly machine: MachineReader | undefined;
  readonly rates: CpuRates;
  /** By container id; asked for where a container has no control group here. */
  readonly containers: () => Promise<ReadonlyMap<string, ContainerReading>>;
  /** By sandbox id; asked for where a pod has none. */
  readonly sandboxes: () => Promise<ReadonlyMap<string, SandboxReading>>;
  readonly nowMs: number;
}

export function measurePods(pods: Iterable<StatsPod>, context: MeasurePodsContext): Promise<readonly PodMeasurement[]> {
  // Pods of which nothing runs use nothing.
  const running = [...pods].filter(({ runtime }) => runtime.sandboxes.some((s) => s.ready));
  return Promise.all(running.map((pod) => measurePod(pod, context)));
}

async function measurePod({ pod, runtime }: StatsPod, context: MeasurePodsContext): Promise<PodMeasurement> {
  const { machine, rates, nowMs } = context;
  const { name, namespace, uid } = pod.metadata;
  const sandbox = runtime.sandboxes.find((s) => s.ready);
  const path = machine?.podCgroup(pod);
  const group = path === undefined ? undefined : await machine?.cgroupUsage(path);
  const running = runtime.containers.filter((c) => c.state === "running");
  const containers = await Promise.all(running.map((c) => measureContainer(c, path, context)));
  const ofSandbox = group ? undefined : (await context.sandboxes()).get(sandbox?.id ?? "");
  const usage = group ? groupUsage(`pod/${uid}`, group, { rates, nowMs }) : { ...sumOf(containers, nowMs), ...usageOf(ofSandbox) };
  const processes = group?.processes || ofSandbox?.processes;
  return {
    ...{ name, namespace, uid, containers, ...usage },
    hostNetwork: sandbox?.hostNetwork === true,
    startTimeMs: pod.status?.startTime ? Date.parse(pod.status.startTime) : (sandbox?.createdAtMs ?? nowMs),
    ...(sandbox ? { sandboxId: sandbox.id } : {}),
    ...(path === undefined || !group ? {} : { cgroup: path }),
    ...(processes ? { processes } : {}),
    ...(ofSandbox?.network && !sandbox?.hostNetwork ? { network: ofSandbox.network } : {}),
  };
}

/** `podGroup`: the path of its pod's control group, below which the runtime makes the container's, named by its id. */
async function measureContainer(
  container: RuntimeContainer,
  podGroup: string | undefined,
  { machine, rates, nowMs, containers }: MeasurePodsContext,
): Promise<ContainerMeasurement> {
  const { id, name, image, startedAtMs, restartCount, logPath } = container;
  const group = podGroup === undefined ? undefined : await machine?.cgroupUsage(machine.containerCgroup(podGroup, id));
  const usage = group ? groupUsage(`container/${id}`, group, { rates, nowMs }) : (await containers()).get(id);
  return { id, name, image, startedAtMs, restartCount, logPath, ...usage };
}

export function groupUsage(
  key: string,
  usage: CgroupUsage,
  { rates, nowMs }: { readonly rates: CpuRates; readonly nowMs: number },
): UsageReading {
  const { memoryBytes: usageBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults, memoryLimitBytes, swapBytes } = usage;
  return {
    cpu: rates.reading(key, nowMs, usage.cpuNanoseconds),
    memory: {
      ...{ timeMs: nowMs, usageBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults },
      ...(memoryLimitBytes === undefined ? {} : { limitBytes: memoryLimitBytes }),
    },
    ...(swapBytes === undefined ? {} : { swap: { timeMs: nowMs, usageBytes: swapBytes } }),
  };
}

function usageOf(sandbox: SandboxReading | undefined): UsageReading {
  return { ...(sandbox?.cpu ? { cpu: sandbox.cpu } : {}), ...(sandbox?.memory ? { memory: sandbox.memory } : {}) };
}

/** Of what each part could tell; absent where none could. */
export function sumOf(parts: readonly UsageReading[], nowMs: number): UsageReading {
  const cpus = parts.flatMap(({ cpu }) => (cpu ? [cpu] : []));
  const memories = parts.flatMap(({ memory }) => (memory ? [memory] : []));
  const total = (values: readonly (number | undefined)[]): number => values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  const rates = cpus.flatMap(({ nanoCores }) => (nanoCores === undefined ? [] : [nanoCores]));
  const of = (key: Exclude<keyof MemoryReading, "timeMs">): number => total(memories.map((m) => m[key]));
  return {
    ...(cpus.length === 0
      ? {}
      : {
          cpu: {
            timeMs: Math.max(...cpus.map((c) => c.timeMs)),
            nanoseconds: total(cpus.map((c) => c.nanoseconds)),
            ...(rates.length === 0 ? {} : { nanoCores: total(rates) }),
          },
        }),
    ...(memories.length === 0
      ? {}
      : {
          memory: {
            ...{ timeMs: nowMs, usageBytes: of("usageBytes"), workingSetBytes: of("workingSetBytes"), rssBytes: of("rssBytes") },
            ...{ pageFaults: of("pageFaults"), majorPageFaults: of("majorPageFaults") },
          },
        }),
  };
}
