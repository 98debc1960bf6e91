// Sets the cgroups of a running pod and of its containers to what the pod was allocated, memory before CPU. Where the pod
// grows its own cgroup goes first, where it shrinks last, so that the containers always fit into it; limits are raised before
// requests and lowered after them. What fails leaves the rest for the next try.
import type { Pod, ResourceRequirements } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { RpcError } from "../../rpc/rpc-error.ts";
import type { PodCgroups } from "../cgroups/pod-cgroups.ts";
import {
  type CpuQuota,
  enforcedQuota,
  linuxResources,
  type NodeResourceRules,
  type PodCgroupResources,
  podCgroupResources,
} from "../containers/linux-resources.ts";
import { podText } from "../pods/pod-spec.ts";
import { runtimeErrorText } from "../pods/start-error.ts";
import type { PodAllocations } from "./pod-allocations.ts";
import type { ContainerUpdate, ResizePlan } from "./resize-plan.ts";

export interface PodResizerDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly cgroups: PodCgroups;
  readonly allocations: PodAllocations;
  readonly rules: NodeResourceRules;
  /** Milliseconds a resize took. */
  readonly onResized?: (durationMs: number, success: boolean) => void;
}

export interface ResizeRequest {
  /** With what it was allocated. */
  readonly pod: Pod;
  readonly sandboxId: string;
  readonly plan: ResizePlan;
  readonly signal: AbortSignal;
}

type Resource = "cpu" | "memory";

/** What the pod's cgroup is changed from and to; no limit is Infinity. */
interface PodChange {
  readonly limit: readonly [from: number, to: number];
  readonly request: readonly [from: number, to: number];
}

export class PodResizer {
  readonly #deps: PodResizerDependencies;

  constructor(deps: PodResizerDependencies) {
    this.#deps = deps;
  }

  get #quota(): CpuQuota {
    return this.#deps.rules.quota ?? enforcedQuota;
  }

  /** Throws an Error whose message the pod's condition shows. */
  async resize(request: ResizeRequest): Promise<void> {
    const { clock, onResized } = this.#deps;
    const begunMs = clock.monotonic();
    try {
      await this.#resize(request);
      onResized?.(clock.monotonic() - begunMs, true);
    } catch (error) {
      onResized?.(clock.monotonic() - begunMs, false);
      throw error;
    }
  }

  async #resize(request: ResizeRequest): Promise<void> {
    const { pod, plan } = request;
    const { allocations } = this.#deps;
    const desired = podCgroupResources(pod, this.#quota);
    const current = podCgroupResources(actuatedPod(pod, allocations), this.#quota);
    if (plan.memory.length > 0 || plan.podChanges) await this.#checkUsage(request, current, desired);
    if (plan.memory.length > 0 || plan.podChanges) {
      const limit = limitChange(current.memoryBytes, desired.memoryBytes);
      await this.#resizeOne(request, "memory", { limit, request: [0, 0] });
    }
    if (plan.cpu.length > 0 || plan.podChanges) {
      const limit = limitChange(current.cpuQuota, desired.cpuQuota);
      await this.#resizeOne(request, "cpu", { limit, request: [current.cpuShares, desired.cpuShares] });
    }
    allocations.actuatePodLevel(pod.metadata.uid, pod.spec.resources);
  }

  async #resizeOne(context: ResizeRequest, resource: Resource, { limit, request }: PodChange): Promise<void> {
    const setLimit = (): Promise<void> =>
      this.#setPod(context, resource === "cpu" ? { cpuQuota: limit[1] } : { memoryBytes: limit[1] }, resource);
    const setRequest = (): Promise<void> => this.#setPod(context, { cpuShares: request[1] }, resource);
    if (limit[1] > limit[0]) await setLimit();
    if (request[1] > request[0]) await setRequest();
    for (const update of context.plan[resource]) await this.#updateContainer(context, update, resource);
    // Also where nothing seems to change: a try before this one may have stopped here, or no container was running.
    if (request[1] <= request[0] && resource === "cpu") await setRequest();
    if (limit[1] <= limit[0] && Number.isFinite(limit[1])) await setLimit();
  }

  async #setPod({ pod, sandboxId, signal }: ResizeRequest, change: Partial<PodCgroupResources>, resource: Resource): Promise<void> {
    const { cri, cgroups } = this.#deps;
    const finite = Object.fromEntries(Object.entries(change).filter(([, value]) => Number.isFinite(value))) as Partial<PodCgroupResources>;
    try {
      // The runtime is told first: it may refuse.
      await cri.updatePodSandboxResources({ podSandboxId: sandboxId, resources: sandboxResources(pod, this.#quota) }, { signal });
    } catch (error) {
      if (!isUnimplemented(error))
        throw new Error(
          `failed to notify runtime for UpdatePodSandboxResources (resource=${resource}); resize rejected: updatePodSandboxResources failed for sanboxID "${sandboxId}": ${runtimeErrorText(error)}`,
          { cause: error },
        );
    }
    await cgroups.update(pod, finite);
  }

  async #updateContainer({ pod, signal }: ResizeRequest, { container, id }: ContainerUpdate, resource: Resource): Promise<void> {
    const { cri, allocations, rules } = this.#deps;
    const { uid } = pod.metadata;
    const resources = withOne(allocations.actuated(uid, container.name) ?? {}, container.resources ?? {}, resource);
    try {
      await cri.updateContainerResources(
        { containerId: id, linux: linuxResources(this.#podDuring(pod, resource), { ...container, resources }, rules) },
        { signal },
      );
    } catch (error) {
      throw new Error(runtimeErrorText(error), { cause: error });
    }
    allocations.actuate(uid, container.name, resources, { now: true });
  }

  /** While memory is set the pod's CPU is still what it was: containers without a limit have the pod's. */
  #podDuring(pod: Pod, resource: Resource): Pod {
    const before = this.#deps.allocations.actuatedPodLevel(pod.metadata.uid);
    if (resource === "cpu" || !pod.spec.resources || !before) return pod;
    return { ...pod, spec: { ...pod.spec, resources: withOne(before, pod.spec.resources, "memory") } };
  }

  /** A limit below what is in use would only get processes killed. */
  async #checkUsage({ pod, plan }: ResizeRequest, current: PodCgroupResources, desired: PodCgroupResources): Promise<void> {
    const podLimit = desired.memoryBytes;
    const podShrinks = podLimit !== undefined && podLimit < (current.memoryBytes ?? Infinity);
    const shrinking = plan.memory.filter((u) => u.desired.memoryLimit > 0 && u.desired.memoryLimit < (u.current.memoryLimit || Infinity));
    if (!podShrinks && shrinking.length === 0) return;
    const problems: string[] = [];
    const used = await this.#usageOf(pod);
    if (podShrinks && used.pod >= podLimit)
      problems.push(`attempting to set pod memory limit (${podLimit}) below current usage (${used.pod})`);
    for (const { container, id, desired: to } of shrinking) {
      const bytes = used.containers.get(id);
      if (bytes === undefined) problems.push(`missing container "${container.name}" memory usage`);
      else if (bytes >= to.memoryLimit)
        problems.push(`attempting to set container "${container.name}" memory limit (${to.memoryLimit}) below current usage (${bytes})`);
    }
    if (problems.length === 0) return;
    throw new Error(`cannot decrease memory limits: ${problems.length === 1 ? problems[0] : `[${problems.join(", ")}]`}`);
  }

  async #usageOf(pod: Pod): Promise<{ readonly pod: number; readonly containers: ReadonlyMap<string, number> }> {
    const { cri, cgroups } = this.#deps;
    try {
      const { stats } = await cri.listContainerStats({ filter: { labelSelector: { "io.kubernetes.pod.uid": pod.metadata.uid } } });
      const containers = new Map(
        stats.map(({ attributes, memory }) => [attributes?.id ?? "", memory?.usageBytes?.value || (memory?.workingSetBytes?.value ?? 0)]),
      );
      const together = [...containers.values()].reduce((sum, bytes) => sum + bytes, 0);
      return { pod: (await cgroups.memoryUsage(pod)) ?? together, containers };
    } catch (error) {
      throw new Error(`unable to read memory usage for pod "${podText(pod)}"`, { cause: error });
    }
  }
}

/** The pod with what its containers were last set to. */
function actuatedPod(pod: Pod, allocations: PodAllocations): Pod {
  const { uid } = pod.metadata;
  const old = <T extends { readonly name: string; readonly resources?: ResourceRequirements }>(container: T): T => {
    const resources = allocations.actuated(uid, container.name);
    return resources ? { ...container, resources } : container;
  };
  const podLevel = allocations.actuatedPodLevel(uid);
  return {
    ...pod,
    spec: {
      ...pod.spec,
      ...(pod.spec.resources && podLevel ? { resources: podLevel } : {}),
      ...(pod.spec.initContainers ? { initContainers: pod.spec.initContainers.map(old) } : {}),
      containers: pod.spec.containers.map(old),
    },
  };
}

/** A limit is never taken away from a running pod: where none is wanted, the one there is stays. */
function limitChange(from: number = Infinity, to: number | undefined): readonly [number, number] {
  return [from, to ?? from];
}

function sandboxResources(pod: Pod, quota: CpuQuota) {
  const { cpuShares, cpuQuota, memoryBytes } = podCgroupResources(pod, quota);
  return {
    cpuShares,
    ...(cpuQuota === undefined ? {} : { cpuQuota, cpuPeriod: quota.periodUs }),
    ...(memoryBytes === undefined ? {} : { memoryLimitInBytes: memoryBytes }),
  };
}

/** `base` with the amounts of one resource taken from `wanted`. */
function withOne(base: ResourceRequirements, wanted: ResourceRequirements, resource: Resource): ResourceRequirements {
  const merged = (kind: "requests" | "limits"): Readonly<Record<string, string | number>> => {
    const { [resource]: _old, ...others } = base[kind] ?? {};
    const value = wanted[kind]?.[resource];
    return value === undefined ? others : { ...others, [resource]: value };
  };
  return { ...wanted, requests: merged("requests"), limits: merged("limits") } as ResourceRequirements;
}

/** Older runtimes do not know the call, which only informs them. */
function isUnimplemented(error: unknown): boolean {
  return (
    error instanceof RpcError && (error.code === "UNIMPLEMENTED" || (error.code === "UNKNOWN" && error.details.includes("not implemented")))
  );
}
