// From requests and limits to the kernel's figures: CPU shares and CFS quota, memory limit, OOM score.
import { parseQuantity } from "../api/meta/quantity.ts";
import { podQos } from "../api/semantics/pod-qos.ts";
import { podAmounts } from "../api/semantics/pod-resources.ts";
import type { Container, Pod } from "../api/types/core-v1.ts";
import type { LinuxContainerResources } from "../cri/generated/runtime-v1.ts";
import type { Input } from "../rpc/protocol.ts";
import { isSidecar } from "./pod-spec.ts";

const quotaPeriodMicroseconds = 100_000;
const systemCriticalPriority = 2_000_000_000;

/** Relative weight: 1024 for a CPU, between 2 and 262144. */
export function cpuShares(milliCpu: number): number {
  return Math.min(262_144, Math.max(2, Math.floor((milliCpu * 1024) / 1000)));
}

/** Microseconds of CPU time per period; 0 is no limit. */
export function cpuQuota(milliCpu: number): number {
  return milliCpu === 0 ? 0 : Math.max(1000, Math.floor((milliCpu * quotaPeriodMicroseconds) / 1000));
}

function milli(list: Readonly<Record<string, string | number>> | undefined, name: string): number | undefined {
  const value = list?.[name];
  return value === undefined ? undefined : parseQuantity(value).milliValue();
}

function bytes(list: Readonly<Record<string, string | number>> | undefined, name: string): number {
  const value = list?.[name];
  return value === undefined ? 0 : parseQuantity(value).value();
}

/** `memoryBytes` is the node's. */
export function linuxResources(pod: Pod, container: Container, memoryBytes: number): Input<LinuxContainerResources> {
  const { requests, limits } = container.resources ?? {};
  const podLimits = pod.spec.resources?.limits;
  const cpuLimit = milli(limits, "cpu") ?? milli(podLimits, "cpu") ?? 0;
  const cpuRequest = milli(requests, "cpu") ?? cpuLimit;
  const memoryLimit = bytes(limits, "memory") || bytes(podLimits, "memory");
  return {
    cpuPeriod: quotaPeriodMicroseconds,
    cpuShares: cpuShares(cpuRequest),
    cpuQuota: cpuQuota(cpuLimit),
    oomScoreAdj: oomScoreAdjust(pod, container, memoryBytes),
    ...(memoryLimit > 0 ? { memoryLimitInBytes: memoryLimit } : {}),
    ...hugepages(limits),
  };
}

export interface PodCgroupResources {
  readonly cpuShares: number;
  /** Absent: no limit. */
  readonly cpuQuota?: number;
  readonly memoryBytes?: number;
}

/** The pod's own cgroup: what its containers request together, and their limits together where every one has one. */
export function podCgroupResources(pod: Pod): PodCgroupResources {
  const requests = podAmounts(pod.spec);
  const limits = podAmounts(pod.spec, { of: "limits" });
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  const limited = (name: string): boolean =>
    bytes(pod.spec.resources?.limits, name) > 0 || all.every((c) => bytes(c.resources?.limits, name) > 0);
  return {
    cpuShares: cpuShares(requests.cpu ?? 0),
    ...(limited("cpu") ? { cpuQuota: cpuQuota(limits.cpu ?? 0) } : {}),
    ...(limited("memory") ? { memoryBytes: limits.memory ?? 0 } : {}),
  };
}

/** What the runtime itself costs, by the pod's RuntimeClass. */
export function overheadResources(overhead: Readonly<Record<string, string | number>>): Input<LinuxContainerResources> {
  const milliCpu = milli(overhead, "cpu") ?? 0;
  const memory = bytes(overhead, "memory");
  return {
    cpuPeriod: quotaPeriodMicroseconds,
    cpuShares: cpuShares(milliCpu),
    cpuQuota: cpuQuota(milliCpu),
    ...(memory > 0 ? { memoryLimitInBytes: memory } : {}),
  };
}

/** Who is killed first when the node runs out of memory: 1000 first, -997 last. */
function oomScoreAdjust(pod: Pod, container: Container, memoryBytes: number): number {
  if ((pod.spec.priority ?? 0) >= systemCriticalPriority) return -997;
  const qos = podQos(pod);
  if (qos === "Guaranteed") return -997;
  if (qos === "BestEffort") return 1000;
  const score = (requested: number): number => 1000 - Math.floor((1000 * requested) / memoryBytes);
  let adjust = score(bytes(container.resources?.requests, "memory"));
  if (isSidecar(container)) {
    const least = Math.min(...pod.spec.containers.map((c) => bytes(c.resources?.requests, "memory")));
    adjust = Math.min(adjust, score(least));
  }
  return Math.max(3, Math.min(999, adjust));
}

function hugepages(limits: Readonly<Record<string, string | number>> | undefined): Input<Pick<LinuxContainerResources, "hugepageLimits">> {
  const names = Object.keys(limits ?? {}).filter((name) => name.startsWith("hugepages-"));
  if (names.length === 0) return {};
  return {
    hugepageLimits: names.map((name) => ({
      pageSize: `${name.slice("hugepages-".length).replace(/i$/, "")}B`,
      limit: bytes(limits, name),
    })),
  };
}
