// How running containers are brought from the resources they have to those their pod was allocated: which have to be
// restarted for it (resizePolicy), which are updated in place and in which order (first those that shrink), and whether the
// pod's own cgroup changes. Pure; pod-actions.ts asks it, pod-resizer.ts does it.
import { amountOf } from "../../api/semantics/pod-resources.ts";
import type { Container, Pod, ResourceRequirements } from "../../api/types/core-v1.ts";
import type { RuntimeContainer } from "../runtime/runtime-pod.ts";

/** CPU in thousandths, memory in bytes; 0 is none. */
export interface Figures {
  readonly cpuRequest: number;
  readonly cpuLimit: number;
  readonly memoryRequest: number;
  readonly memoryLimit: number;
}

export interface ContainerUpdate {
  readonly container: Container;
  readonly id: string;
  readonly current: Figures;
  readonly desired: Figures;
}

export interface ResizePlan {
  /** In the order in which they are to be made. */
  readonly memory: readonly ContainerUpdate[];
  readonly cpu: readonly ContainerUpdate[];
  /** Containers are restarted with other resources, or the pod's own have changed: its cgroup has to follow. */
  readonly podChanges: boolean;
}

export interface Actuated {
  /** Undefined when it is not known: then nothing is to be done. */
  readonly container: (name: string) => ResourceRequirements | undefined;
  readonly pod: ResourceRequirements | undefined;
  /** Something was allocated anew and not set in full: the pod's cgroup has to be, whatever its containers have. */
  readonly unset?: boolean;
}

/** A container without a limit of its own has the pod's. */
export function figuresOf(resources: ResourceRequirements | undefined, podLevel: ResourceRequirements | undefined): Figures {
  const of = (list: "requests" | "limits", name: "cpu" | "memory", from = resources): number => {
    const value = from?.[list]?.[name];
    return value === undefined ? 0 : amountOf(name, value);
  };
  return {
    cpuRequest: of("requests", "cpu"),
    cpuLimit: of("limits", "cpu") || of("limits", "cpu", podLevel),
    memoryRequest: of("requests", "memory"),
    memoryLimit: of("limits", "memory") || of("limits", "memory", podLevel),
  };
}

export function sameFigures(a: Figures, b: Figures): boolean {
  return sameCpu(a, b) && sameMemory(a, b);
}

function sameCpu(a: Figures, b: Figures): boolean {
  return a.cpuRequest === b.cpuRequest && a.cpuLimit === b.cpuLimit;
}

function sameMemory(a: Figures, b: Figures): boolean {
  return a.memoryRequest === b.memoryRequest && a.memoryLimit === b.memoryLimit;
}

/** Collects what is to be done for the containers of a pod, one after the other. */
export class ResizePlanner {
  readonly #pod: Pod;
  readonly #actuated: Actuated;
  readonly #memory: ContainerUpdate[] = [];
  readonly #cpu: ContainerUpdate[] = [];
  #restarts = false;

  constructor(pod: Pod, actuated: Actuated) {
    this.#pod = pod;
    this.#actuated = actuated;
  }

  /** Takes a running container into the plan. Returns whether it has to be restarted. */
  add(container: Container, running: RuntimeContainer): boolean {
    const update = this.#updateOf(container, running.id);
    if (!update) return false;
    const { current, desired } = update;
    const changed = { cpu: !sameCpu(current, desired), memory: !sameMemory(current, desired) };
    if ((["cpu", "memory"] as const).some((name) => changed[name] && needsRestart(container, name))) {
      this.#restarts = true;
      return true;
    }
    if (changed.memory) insert(this.#memory, update, decreases(current, desired, "memory"));
    if (changed.cpu) insert(this.#cpu, update, decreases(current, desired, "cpu"));
    return false;
  }

  /** Undefined when nothing has to be done. */
  plan(): ResizePlan | undefined {
    const wanted = this.#pod.spec.resources;
    const podLevel = wanted !== undefined && !sameFigures(figuresOf(wanted, undefined), figuresOf(this.#actuated.pod ?? wanted, undefined));
    const podChanges = this.#restarts || podLevel || this.#actuated.unset === true;
    if (this.#memory.length === 0 && this.#cpu.length === 0 && !podChanges) return undefined;
    return { memory: this.#memory, cpu: this.#cpu, podChanges };
  }

  #updateOf(container: Container, id: string): ContainerUpdate | undefined {
    const actuated = this.#actuated.container(container.name);
    if (!actuated) return undefined;
    const desired = figuresOf(container.resources, this.#pod.spec.resources);
    const current = figuresOf(actuated, this.#actuated.pod ?? this.#pod.spec.resources);
    return sameFigures(current, desired) ? undefined : { container, id, current, desired };
  }
}

/** Whether a running container does not have yet what its pod was allocated, or the pod itself does not. */
export function isResizing(pod: Pod, containers: readonly RuntimeContainer[], actuated: Actuated): boolean {
  const planner = new ResizePlanner(pod, actuated);
  for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
    const last = containers.find((c) => c.name === container.name);
    if (last?.state === "running") planner.add(container, last);
  }
  return planner.plan() !== undefined;
}

function needsRestart(container: Container, resource: string): boolean {
  return container.resizePolicy?.some((p) => p.resourceName === resource && p.restartPolicy === "RestartContainer") === true;
}

/** The limit decides; the request where the limit stays. */
function decreases(current: Figures, desired: Figures, resource: "cpu" | "memory"): boolean {
  const [limit, request] = resource === "cpu" ? (["cpuLimit", "cpuRequest"] as const) : (["memoryLimit", "memoryRequest"] as const);
  return current[limit] === desired[limit] ? desired[request] < current[request] : desired[limit] < current[limit];
}

function insert(list: ContainerUpdate[], update: ContainerUpdate, first: boolean): void {
  if (first) list.unshift(update);
  else list.push(update);
}
