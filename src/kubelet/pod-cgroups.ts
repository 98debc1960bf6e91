// The control groups of pods: <root>/kubepods, below it one for each class of service but the guaranteed one, below that one
// for each pod, in which the runtime makes those of the containers.
import { podQos } from "../api/semantics/pod-qos.ts";
import type { Pod } from "../api/types/core-v1.ts";
import { type CgroupLimits, type Cgroups, podCgroup, qosCgroup } from "../linux/cgroups.ts";
import { type PodCgroupResources, podCgroupResources } from "./linux-resources.ts";

export interface PodCgroups {
  /** Makes the pod's group; returns it as the parent for CRI. */
  ensure(pod: Pod): Promise<string>;
  /** Sets what is given and leaves the rest. */
  update(pod: Pod, resources: Partial<PodCgroupResources>): Promise<void>;
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
  memoryUsage: async () => undefined,
  remove: async () => undefined,
};

export interface PodCgroupOptions {
  /** Processes of one pod; -1 for no limit, the default. */
  readonly pidsLimit?: number;
  /** What all pods together may have. Default no limits. */
  readonly allocatable?: CgroupLimits;
}

const minShares = 2;

export function createPodCgroups(cgroups: Cgroups, root: string, options: PodCgroupOptions = {}): PodCgroups {
  const { pidsLimit = -1, allocatable = {} } = options;
  let classes: Promise<void> | undefined;
  const ensureClasses = async (): Promise<void> => {
    await cgroups.ensure(qosCgroup(root, "Guaranteed"), allocatable);
    await cgroups.ensure(qosCgroup(root, "Burstable"));
    // Best effort means what is left over.
    await cgroups.ensure(qosCgroup(root, "BestEffort"), { cpuShares: minShares });
  };
  const pathOf = (pod: Pod): string => podCgroup(root, podQos(pod), pod.metadata.uid);
  return {
    version: cgroups.version,
    async ensure(pod) {
      classes ??= ensureClasses().catch((error: unknown) => {
        classes = undefined;
        throw error;
      });
      await classes;
      const path = pathOf(pod);
      if (await cgroups.exists(path)) return path;
      await cgroups.ensure(path, { ...limitsOf(podCgroupResources(pod)), ...(pidsLimit < 0 ? {} : { pids: pidsLimit }) });
      return path;
    },
    async update(pod, resources) {
      await cgroups.update(pathOf(pod), limitsOf(resources));
    },
    async memoryUsage(pod) {
      return (await cgroups.usage(pathOf(pod)))?.memoryBytes;
    },
    async remove(pod) {
      await cgroups.remove(pathOf(pod));
    },
  };
}

function limitsOf({ cpuShares, cpuQuota, memoryBytes }: Partial<PodCgroupResources>): CgroupLimits {
  return {
    ...(cpuShares === undefined ? {} : { cpuShares }),
    ...(cpuQuota === undefined ? {} : { cpuQuotaUs: cpuQuota }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
  };
}
