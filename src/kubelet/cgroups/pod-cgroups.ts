// The control groups of pods: <root>/kubepods, below it one for each class of service but the guaranteed one, below that one
// for each pod, in which the runtime makes those of the containers.
import { podQos } from "../../api/semantics/pod-qos.ts";
import { podAmounts } from "../../api/semantics/pod-resources.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { type CgroupNames, cgroupfsNames, type PodQosClass } from "../../linux/cgroup-names.ts";
import type { CgroupLimits, Cgroups } from "../../linux/cgroups.ts";
import {
  type CpuQuota,
  cpuShares,
  enforcedQuota,
  type PodCgroupResources,
  podCgroupResources,
  podHugepages,
} from "../containers/linux-resources.ts";
import { classMemoryQos, type KeptMemory, type MemoryQos, podMemoryQos } from "../containers/memory-qos.ts";

export interface PodCgroups {
  /** Makes the pod's group; returns it as the parent for CRI. `hasOwnCpus`: no quota keeps it from using them. */
  ensure(pod: Pod, options?: { readonly hasOwnCpus?: boolean }): Promise<string>;
  /** Sets what is given and leaves the rest. */
  update(pod: Pod, resources: Partial<PodCgroupResources>): Promise<void>;
  /** Gives the classes of service what the pods on the node together are to have. */
  updateClasses(pods: readonly Pod[]): Promise<void>;
  /** Undefined where the pod has no group. */
  memoryUsage(pod: Pod): Promise<number | undefined>;
  remove(pod: Pod): Promise<void>;
  /** Of the control groups. Absent where there are none. */
  readonly version?: 1 | 2;
}

/** For nodes without control groups of their own: simulated ones. */
export const noPodCgroups: PodCgroups = {
  ensure: async () => "",
  update: async () => undefined,
  updateClasses: async () => undefined,
  memoryUsage: async () => undefined,
  remove: async () => undefined,
};

export interface PodCgroupOptions {
  /** Processes of one pod; -1 for no limit, the default. */
  readonly pidsLimit?: number;
  /** What all pods together may have. Default no limits. */
  readonly allocatable?: CgroupLimits;
  /** Default: limits of CPU are enforced, every 100 ms. */
  readonly quota?: CpuQuota;
  /** Default: the kernel's. */
  readonly memoryQos?: MemoryQos;
  /** What pods request is kept from the classes of service below theirs. Default nothing is. */
  readonly reservedMemory?: ReservedMemory;
  /** Default: the directories of cgroupfs. */
  readonly names?: CgroupNames;
}

/** qosReserved. */
export interface ReservedMemory {
  /** Of what the pods of a class request. */
  readonly percent: number;
  /** Of all pods together. */
  readonly allocatableBytes: number;
}

const minShares = 2;

export function createPodCgroups(cgroups: Cgroups, root: string, options: PodCgroupOptions = {}): PodCgroups {
  const { pidsLimit = -1, allocatable = {}, quota = enforcedQuota, names = cgroupfsNames, reservedMemory } = options;
  const memoryQos = cgroups.version === 2 ? options.memoryQos : undefined;
  const classOf = (qos: PodQosClass): string => names.qos(root, qos);
  const [guaranteed, burstable, bestEffort] = [classOf("Guaranteed"), classOf("Burstable"), classOf("BestEffort")];
  let classes: Promise<void> | undefined;
  let applied = "";
  const ensureClasses = async (): Promise<void> => {
    await cgroups.ensure(guaranteed, allocatable);
    await cgroups.ensure(burstable);
    // Best effort means what is left over.
    await cgroups.ensure(bestEffort, { cpuShares: minShares });
  };
  const ensureOnce = (): Promise<void> => {
    classes ??= ensureClasses().catch((error: unknown) => {
      classes = undefined;
      throw error;
    });
    return classes;
  };
  const pathOf = (pod: Pod): string => names.pod(root, podQos(pod), pod.metadata.uid);
  return {
    version: cgroups.version,
    async ensure(pod, { hasOwnCpus = false } = {}) {
      await ensureOnce();
      const own = pathOf(pod);
      if (await cgroups.exists(own)) return names.parent(own);
      const { cpuQuota, ...resources } = podCgroupResources(pod, quota);
      const limits = limitsOf({ ...resources, ...(hasOwnCpus || cpuQuota === undefined ? {} : { cpuQuota }) }, quota);
      const kept = memoryQos ? podMemoryQos(pod, memoryQos) : {};
      await cgroups.ensure(own, { ...limits, ...kept, hugepages: podHugepages(pod), ...(pidsLimit < 0 ? {} : { pids: pidsLimit }) });
      return names.parent(own);
    },
    async update(pod, resources) {
      await cgroups.update(pathOf(pod), limitsOf(resources, quota));
    },
    async updateClasses(pods) {
      const shares = burstableShares(pods);
      const kept = memoryQos ? classMemoryQos(pods, memoryQos) : { guaranteed: {}, burstable: {} };
      const left = reservedMemory ? memoryLeft(pods, reservedMemory) : { burstable: {}, bestEffort: {} };
      const wanted: readonly ClassLimits[] = [
        [guaranteed, kept.guaranteed],
        [burstable, { cpuShares: shares, ...kept.burstable, ...left.burstable }],
        [bestEffort, { cpuShares: minShares, ...left.bestEffort }],
      ];
      const text = JSON.stringify(wanted);
      if (text === applied) return;
      await ensureOnce();
      if (reservedMemory) await updateReachable(cgroups, wanted);
      else await updateAll(cgroups, wanted);
      applied = text;
    },
    async memoryUsage(pod) {
      return (await cgroups.usage(pathOf(pod)))?.memoryBytes;
    },
    async remove(pod) {
      await cgroups.remove(pathOf(pod));
    },
  };
}

type ClassLimits = readonly [group: string, limits: CgroupLimits & KeptMemory];

async function updateAll(cgroups: Cgroups, wanted: readonly ClassLimits[]): Promise<void> {
  for (const [group, limits] of wanted) await cgroups.update(group, limits);
}

/** A class that uses more already, and cannot give it back, is kept from using still more. */
async function updateReachable(cgroups: Cgroups, wanted: readonly ClassLimits[]): Promise<void> {
  const results = await Promise.allSettled(wanted.map(([group, limits]) => cgroups.update(group, limits)));
  if (results.every((result) => result.status === "fulfilled")) return;
  const reachable = wanted.map(async ([group, limits]): Promise<ClassLimits> => {
    const used = (await cgroups.usage(group))?.memoryBytes ?? 0;
    return [group, limits.memoryBytes !== undefined && used > limits.memoryBytes ? { ...limits, memoryBytes: used } : limits];
  });
  await updateAll(cgroups, await Promise.all(reachable));
}

/** What is left for burstable pods and for those of best effort, when so much of what is requested above them is kept. */
function memoryLeft(pods: readonly Pod[], { percent, allocatableBytes }: ReservedMemory) {
  const requested = (qos: PodQosClass): number =>
    pods.reduce((sum, pod) => sum + (podQos(pod) === qos ? (podAmounts(pod.spec).memory ?? 0) : 0), 0);
  const burstable = allocatableBytes - Math.floor((requested("Guaranteed") * percent) / 100);
  const bestEffort = burstable - Math.floor((requested("Burstable") * percent) / 100);
  return { burstable: { memoryBytes: Math.max(0, burstable) }, bestEffort: { memoryBytes: Math.max(0, bestEffort) } };
}

/** What the burstable pods request together. */
function burstableShares(pods: readonly Pod[]): number {
  const milli = pods.reduce((sum, pod) => sum + (podQos(pod) === "Burstable" ? (podAmounts(pod.spec).cpu ?? 0) : 0), 0);
  return cpuShares(milli);
}

function limitsOf({ cpuShares: shares, cpuQuota, memoryBytes }: Partial<PodCgroupResources>, { periodUs }: CpuQuota): CgroupLimits {
  return {
    ...(shares === undefined ? {} : { cpuShares: shares }),
    ...(cpuQuota === undefined ? {} : { cpuQuotaUs: cpuQuota, cpuPeriodUs: periodUs }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
  };
}
