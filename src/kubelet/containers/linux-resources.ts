// From requests and limits to the kernel's figures: CPU shares and CFS quota, memory limit, OOM score.
import { parseQuantity } from "../../api/meta/quantity.ts";
import { podQos } from "../../api/semantics/pod-qos.ts";
import { podAmounts } from "../../api/semantics/pod-resources.ts";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import type { LinuxContainerResources } from "../../cri/generated/runtime-v1.ts";
import { type HugePages, pageSizeName } from "../../linux/huge-pages.ts";
import type { Input } from "../../rpc/protocol.ts";
import { isSidecar } from "../pods/pod-spec.ts";
import { containerMemoryQos, type MemoryQos } from "./memory-qos.ts";

/** How limits of CPU are kept: so much time in each period. */
export interface CpuQuota {
  /** Default true: without it a limit of CPU is a word only. */
  readonly enforced: boolean;
  /** Microseconds. */
  readonly periodUs: number;
}

export const enforcedQuota: CpuQuota = { enforced: true, periodUs: 100_000 };

/** cpuCFSQuota and cpuCFSQuotaPeriod. */
export const quotaOf = (options: { readonly cpuCFSQuota?: boolean; readonly cpuCFSQuotaPeriodMs?: number }): CpuQuota => ({
  enforced: options.cpuCFSQuota ?? true,
  periodUs: (options.cpuCFSQuotaPeriodMs ?? 100) * 1000,
});
const systemCriticalPriority = 2_000_000_000;

/** Relative weight: 1024 for a CPU, between 2 and 262144. */
export function cpuShares(milliCpu: number): number {
  return Math.min(262_144, Math.max(2, Math.floor((milliCpu * 1024) / 1000)));
}

/** Microseconds of CPU time per period; 0 is no limit. */
export function cpuQuota(milliCpu: number, { periodUs }: CpuQuota = enforcedQuota): number {
  return milliCpu === 0 ? 0 : Math.max(1000, Math.floor((milliCpu * periodUs) / 1000));
}

function milli(list: Readonly<Record<string, string | number>> | undefined, name: string): number | undefined {
  const value = list?.[name];
  return value === undefined ? undefined : parseQuantity(value).milliValue();
}

function bytes(list: Readonly<Record<string, string | number>> | undefined, name: string): number {
  const value = list?.[name];
  return value === undefined ? 0 : parseQuantity(value).value();
}

export interface NodeResourceRules {
  /** The node's. */
  readonly memoryBytes: number;
  /** Default: limits of CPU are enforced, every 100 ms. */
  readonly quota?: CpuQuota;
  /** Default: the kernel's. */
  readonly memoryQos?: MemoryQos;
  /** A container that runs out of memory ends as a whole (version 2 of control groups). Default false. */
  readonly endsTogether?: boolean;
}

export function linuxResources(pod: Pod, container: Container, rules: NodeResourceRules): Input<LinuxContainerResources> {
  const { memoryBytes, quota = enforcedQuota, memoryQos, endsTogether = false } = rules;
  const unified = {
    ...(endsTogether ? { "memory.oom.group": "1" } : {}),
    ...(memoryQos ? containerMemoryQos(pod, container, memoryQos) : {}),
  };
  const { requests, limits } = container.resources ?? {};
  const podLimits = pod.spec.resources?.limits;
  const cpuLimit = milli(limits, "cpu") ?? milli(podLimits, "cpu") ?? 0;
  const cpuRequest = milli(requests, "cpu") ?? cpuLimit;
  const memoryLimit = bytes(limits, "memory") || bytes(podLimits, "memory");
  return {
    cpuShares: cpuShares(cpuRequest),
    ...(quota.enforced ? { cpuPeriod: quota.periodUs, cpuQuota: cpuQuota(cpuLimit, quota) } : {}),
    oomScoreAdj: oomScoreAdjust(pod, container, memoryBytes),
    ...(memoryLimit > 0 ? { memoryLimitInBytes: memoryLimit } : {}),
    ...hugepages(limits),
    ...(Object.keys(unified).length > 0 ? { unified } : {}),
  };
}

export interface PodCgroupResources {
  readonly cpuShares: number;
  /** Absent: no limit. */
  readonly cpuQuota?: number;
  readonly memoryBytes?: number;
}

/** The pod's own cgroup: what its containers request together, and their limits together where every one has one. */
export function podCgroupResources(pod: Pod, quota: CpuQuota = enforcedQuota): PodCgroupResources {
  const requests = podAmounts(pod.spec);
  const limits = podAmounts(pod.spec, { of: "limits" });
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  const limited = (name: string): boolean =>
    bytes(pod.spec.resources?.limits, name) > 0 || all.every((c) => bytes(c.resources?.limits, name) > 0);
  return {
    cpuShares: cpuShares(requests.cpu ?? 0),
    ...(limited("cpu") ? { cpuQuota: quota.enforced ? cpuQuota(limits.cpu ?? 0, quota) : -1 } : {}),
    ...(limited("memory") ? { memoryBytes: limits.memory ?? 0 } : {}),
  };
}

/** What the runtime itself costs, by the pod's RuntimeClass. */
export function overheadResources(overhead: Readonly<Record<string, string | number>>, quota: CpuQuota): Input<LinuxContainerResources> {
  const milliCpu = milli(overhead, "cpu") ?? 0;
  const memory = bytes(overhead, "memory");
  return {
    cpuPeriod: quota.periodUs,
    cpuShares: cpuShares(milliCpu),
    cpuQuota: cpuQuota(milliCpu, quota),
    ...(memory > 0 ? { memoryLimitInBytes: memory } : {}),
  };
}

/** Who is killed first when the node runs out of memory: 1000 first, -997 last. */
function oomScoreAdjust(pod: Pod, container: Container, memoryBytes: number): number {
  if ((pod.spec.priority ?? 0) >= systemCriticalPriority) return -997;
  const qos = podQos(pod);
  if (qos === "Guaranteed") return -997;
  if (qos === "BestEffort") return 1000;
  const share = unclaimedShare(pod);
  const score = (requested: number): number => 1000 - Math.floor((1000 * (requested + share)) / memoryBytes);
  let adjust = score(bytes(container.resources?.requests, "memory"));
  if (isSidecar(container)) {
    const least = Math.min(...pod.spec.containers.map((c) => bytes(c.resources?.requests, "memory")));
    adjust = Math.min(adjust, score(least));
  }
  return Math.max(3, Math.min(999, adjust));
}

/** What the pod as a whole requests beyond its containers, divided among them. */
function unclaimedShare({ spec }: Pod): number {
  const requested = bytes(spec.resources?.requests, "memory");
  if (requested === 0) return 0;
  const { resources: _ofPod, overhead: _overhead, ...alone } = spec;
  const count = spec.containers.length + (spec.initContainers?.length ?? 0);
  return Math.floor((requested - (podAmounts(alone).memory ?? 0)) / count);
}

function hugepages(limits: Readonly<Record<string, string | number>> | undefined): Input<Pick<LinuxContainerResources, "hugepageLimits">> {
  const limited = hugepagesOf(limits);
  return limited.length === 0 ? {} : { hugepageLimits: limited };
}

function hugepagesOf(
  limits: Readonly<Record<string, string | number>> | undefined,
): readonly { readonly pageSize: string; readonly limit: number }[] {
  const names = Object.keys(limits ?? {}).filter((name) => name.startsWith("hugepages-"));
  return names.map((name) => ({
    pageSize: pageSizeName(parseQuantity(name.slice("hugepages-".length)).value()),
    limit: bytes(limits, name),
  }));
}

/** Of every size the machine has: none of those the container has not asked for. What it leaves open is the pod's. */
export function hugepageLimits(
  pod: Pod,
  container: Container,
  sizes: readonly HugePages[],
): NonNullable<Input<LinuxContainerResources>["hugepageLimits"]> {
  const asked = new Map(
    [...hugepagesOf(pod.spec.resources?.limits), ...hugepagesOf(container.resources?.limits)].map((h) => [h.pageSize, h.limit]),
  );
  return sizes.map(({ pageBytes }) => {
    const pageSize = pageSizeName(pageBytes);
    return { pageSize, limit: asked.get(pageSize) ?? 0 };
  });
}

/** Page size → bytes, of all containers together. */
export function podHugepages(pod: Pod): Readonly<Record<string, number>> {
  return Object.fromEntries(hugepagesOf(podAmounts(pod.spec)).map((h) => [h.pageSize, h.limit]));
}
