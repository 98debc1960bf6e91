// What each pod has been allocated of its node, and what its containers (and its cgroup) were last set to. A resize changes
// the specification first; the node allocates it when it fits, and then sets it: while the three differ, the pod runs with
// what it was allocated. Both states outlive the kubelet, in upstream's files allocated_pods_state and actuated_pods_state.
import { join } from "node:path";
import { semanticallyEqual } from "../../api/meta/equality.ts";
import type { Container, Pod, ResourceRequirements } from "../../api/types/core-v1.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { Checkpoint, type CheckpointDependencies } from "./checkpoint.ts";

/** Of one pod. */
export interface PodResourceInfo {
  readonly ContainerResources: Readonly<Record<string, ResourceRequirements>>;
  readonly PodLevelResources?: ResourceRequirements;
}

interface State {
  readonly entries?: Readonly<Record<string, PodResourceInfo>>;
}

const none: PodResourceInfo = { ContainerResources: {} };

export class PodAllocations implements Running {
  readonly #allocated = new Map<string, PodResourceInfo>();
  readonly #actuated = new Map<string, PodResourceInfo>();
  readonly #allocatedFile: Checkpoint<State>;
  readonly #actuatedFile: Checkpoint<State>;
  readonly #stops = new StopStack();

  /** Without a directory nothing outlives it. */
  constructor(directory: string | undefined, deps: CheckpointDependencies) {
    const file = (name: string, entries: ReadonlyMap<string, PodResourceInfo>): Checkpoint<State> =>
      this.#stops.add(
        new Checkpoint<State>(
          directory === undefined ? undefined : join(directory, name),
          () => ({ entries: Object.fromEntries(entries) }),
          deps,
        ),
      );
    this.#allocatedFile = file("allocated_pods_state", this.#allocated);
    this.#actuatedFile = file("actuated_pods_state", this.#actuated);
  }

  /** What was known before the kubelet was started. */
  async load(): Promise<void> {
    const [allocated, actuated] = await Promise.all([this.#allocatedFile.load(), this.#actuatedFile.load()]);
    for (const [uid, info] of Object.entries(allocated?.entries ?? {})) this.#allocated.set(uid, info);
    for (const [uid, info] of Object.entries(actuated?.entries ?? {})) this.#actuated.set(uid, info);
  }

  /** Writes what is not written yet. */
  stop(): Promise<void> {
    return this.#stops.stop();
  }

  /** The pod has what its specification asks for. `now`: it had something else before. */
  allocate(pod: Pod, options: { readonly now?: boolean } = {}): void {
    const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
    const ContainerResources = Object.fromEntries(containers.map((c) => [c.name, c.resources ?? {}]));
    this.#allocated.set(pod.metadata.uid, { ContainerResources, ...(pod.spec.resources ? { PodLevelResources: pod.spec.resources } : {}) });
    this.#allocatedFile.touch(options);
  }

  /** The pod with what it was allocated in the place of what it asks for: the same object where that is the same. */
  allocatedPod(pod: Pod): Pod {
    const info = this.#allocated.get(pod.metadata.uid);
    if (!info) return pod;
    const containers = withResources(pod.spec.containers, info);
    const initContainers = withResources(pod.spec.initContainers, info);
    const samePod = semanticallyEqual(pod.spec.resources, info.PodLevelResources);
    if (samePod && containers === pod.spec.containers && initContainers === pod.spec.initContainers) return pod;
    const { resources: _asked, ...spec } = pod.spec;
    return {
      ...pod,
      spec: {
        ...spec,
        ...(info.PodLevelResources ? { resources: info.PodLevelResources } : {}),
        ...(initContainers ? { initContainers } : {}),
        containers: containers ?? [],
      },
    };
  }

  /**
   * Takes over a pod that runs already, as far as nothing is known of it: what it has been given is what its status says,
   * whatever its specification has become since.
   */
  adopt(pod: Pod): void {
    const { uid } = pod.metadata;
    const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
    const statuses = new Map([...containerStatuses, ...initContainerStatuses].map((s) => [s.name, s]));
    const given = (container: Container): Container => {
      const resources = statuses.get(container.name)?.resources;
      return resources ? { ...container, resources } : container;
    };
    const { initContainers, containers } = pod.spec;
    const spec = {
      ...pod.spec,
      ...(initContainers ? { initContainers: initContainers.map(given) } : {}),
      containers: containers.map(given),
    };
    if (!this.#allocated.has(uid)) this.allocate({ ...pod, spec });
    if (this.#actuated.has(uid)) return;
    for (const { name, state, resources } of statuses.values()) if (state?.running && resources) this.actuate(uid, name, resources);
  }

  /** What the container was last set to; undefined when this kubelet has never set it. */
  actuated(podUid: string, containerName: string): ResourceRequirements | undefined {
    return this.#actuated.get(podUid)?.ContainerResources[containerName];
  }

  actuatedPodLevel(podUid: string): ResourceRequirements | undefined {
    return this.#actuated.get(podUid)?.PodLevelResources;
  }

  actuate(podUid: string, containerName: string, resources: ResourceRequirements, options: { readonly now?: boolean } = {}): void {
    const before = this.#actuated.get(podUid) ?? none;
    const known = before.ContainerResources[containerName];
    if (known && semanticallyEqual(known, resources)) return;
    this.#actuated.set(podUid, { ...before, ContainerResources: { ...before.ContainerResources, [containerName]: resources } });
    this.#actuatedFile.touch(options);
  }

  actuatePodLevel(podUid: string, resources: ResourceRequirements | undefined): void {
    const before = this.#actuated.get(podUid) ?? none;
    if (!resources || semanticallyEqual(before.PodLevelResources, resources)) return;
    this.#actuated.set(podUid, { ...before, PodLevelResources: resources });
    this.#actuatedFile.touch();
  }

  /** Nothing is left of the pod. */
  remove(podUid: string): void {
    if (this.#allocated.delete(podUid)) this.#allocatedFile.touch();
    if (this.#actuated.delete(podUid)) this.#actuatedFile.touch();
  }

  /** Of pods that went while no kubelet ran. */
  removeOthers(isKnown: (podUid: string) => boolean): void {
    for (const uid of new Set([...this.#allocated.keys(), ...this.#actuated.keys()])) if (!isKnown(uid)) this.remove(uid);
  }
}

function withResources(
  containers: readonly Container[] | undefined,
  { ContainerResources }: PodResourceInfo,
): readonly Container[] | undefined {
  let changed = false;
  const result = containers?.map((container) => {
    const allocated = ContainerResources[container.name];
    if (!allocated || semanticallyEqual(container.resources ?? {}, allocated)) return container;
    changed = true;
    return { ...container, resources: allocated };
  });
  return changed ? result : containers;
}
