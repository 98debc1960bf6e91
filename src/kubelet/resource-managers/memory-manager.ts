// The static memory policy: containers of guaranteed pods get memory and huge pages of certain NUMA nodes, as few as possible,
// where the topology manager wants them; the runtime confines them to these nodes. Who has what outlives the kubelet. The
// policy "None" only guards the state's file.
import { parseQuantity } from "../../api/meta/quantity.ts";
import { podQos } from "../../api/semantics/pod-qos.ts";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { isSidecar } from "../pods/pod-spec.ts";
import { Checkpoint } from "../resize/checkpoint.ts";
import type { ManagerMetrics } from "./manager-metrics.ts";
import {
  bestHint,
  freshNodes,
  giveBlock,
  type MemoryAmounts,
  type MemoryBlock,
  type MemoryNodes,
  memoryHints,
  satisfies,
  takeBlock,
  violates,
} from "./memory-nodes.ts";
import { type MemoryCheckpoint, memoryCheckpointFormat, problemOfMemory } from "./memory-state.ts";
import { maskOf, type NodeMask, nodesIn } from "./node-mask.ts";
import type { NumaNode } from "./numa-nodes.ts";
import { podPeak } from "./pod-peak.ts";
import { containersOf, type PodAllocation, type ResourceProvider } from "./provider.ts";
import type { ProviderHints, TopologyHint } from "./topology-hints.ts";

export interface MemoryManagerDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ManagerMetrics;
  readonly nodes: readonly NumaNode[];
  /** Whether a pod still has what it was given; undefined while not all pods are known. */
  readonly isActive: (podUid: string) => boolean | undefined;
}

export interface MemoryManagerOptions {
  /** The state's file: <root>/memory_manager_state. */
  readonly path: string;
  readonly policy: "None" | "Static";
  /** Of each node, what nobody gets. */
  readonly reserved: ReadonlyMap<number, MemoryAmounts>;
}

/** What init containers have and those after them may have again, by nodes and kind. */
type Reusable = Map<NodeMask, Map<string, number>>;

export class MemoryManager implements ResourceProvider, Running {
  readonly #deps: MemoryManagerDependencies;
  readonly #options: MemoryManagerOptions;
  readonly #checkpoint: Checkpoint<MemoryCheckpoint>;
  readonly #fresh: MemoryNodes;
  readonly #given = new Map<string, Map<string, readonly MemoryBlock[]>>();
  #nodes: MemoryNodes;

  constructor(deps: MemoryManagerDependencies, options: MemoryManagerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#fresh = freshNodes(deps.nodes, options.reserved);
    this.#nodes = options.policy === "Static" ? this.#fresh : {};
    this.#checkpoint = new Checkpoint(options.path, () => this.#content(), deps, memoryCheckpointFormat);
  }

  get isStatic(): boolean {
    return this.#options.policy === "Static";
  }

  /** Throws when the state left by an earlier kubelet is not one to go on with. */
  async start(): Promise<void> {
    const { path, policy } = this.#options;
    const load = async (): Promise<MemoryCheckpoint | undefined> => {
      const state = await this.#checkpoint.load({ strict: true });
      if (state && state.policyName !== policy)
        throw new Error(
          `[memorymanager] configured policy ${JSON.stringify(policy)} differs from state checkpoint policy ${JSON.stringify(state.policyName)}`,
        );
      return state;
    };
    const known = await load().catch((error: unknown) => {
      const advice = `please drain this node and delete the memory manager checkpoint file ${JSON.stringify(path)} before restarting Kubelet`;
      throw new Error(`could not restore state from checkpoint: ${errorText(error)}, ${advice}`, { cause: error });
    });
    if (known && this.isStatic && this.#restore(known)) return;
    if (known && !this.isStatic) return;
    this.#checkpoint.touch();
    await this.#checkpoint.flush();
  }

  stop(): Promise<void> {
    return this.#checkpoint.stop();
  }

  /** Whether there was something. */
  #restore(known: MemoryCheckpoint): boolean {
    const { machineState, entries = {} } = known;
    if (Object.keys(machineState).length === 0) {
      if (Object.keys(entries).length > 0) throw new Error("[memorymanager] machine state can not be empty when it has memory assignments");
      return false;
    }
    const problem = problemOfMemory(known, this.#fresh);
    if (problem !== undefined) throw new Error(problem);
    this.#nodes = machineState;
    for (const [pod, containers] of Object.entries(entries)) this.#given.set(pod, new Map(Object.entries(containers)));
    return true;
  }

  #content(): MemoryCheckpoint {
    const entries = Object.fromEntries([...this.#given].map(([pod, containers]) => [pod, Object.fromEntries(containers)]));
    return { policyName: this.#options.policy, machineState: this.#nodes, ...(this.#given.size > 0 ? { entries } : {}) };
  }

  concerns(pod: Pod): boolean {
    return this.isStatic && !pod.spec.resources && podQos(pod) === "Guaranteed";
  }

  /** Of a container, node by node; for the pod-resources API. */
  blocksOf(podUid: string, container: string): readonly MemoryBlock[] {
    return this.#given.get(podUid)?.get(container) ?? [];
  }

  /** The nodes the container's memory is on, in the kernel's notation; undefined for anywhere. */
  memoryNodes(podUid: string, container: string): string | undefined {
    const nodes = nodesIn(maskOf(this.blocksOf(podUid, container).flatMap((block) => block.numaAffinity)));
    return nodes.length === 0 ? undefined : nodes.join(",");
  }

  /** What containers could get at all. */
  allocatableMemory(): readonly MemoryBlock[] {
    if (!this.isStatic) return [];
    return Object.entries(this.#fresh).flatMap(([id, { memoryMap }]) =>
      Object.entries(memoryMap)
        .filter(([, table]) => table.allocatable > 0)
        .map(([type, table]) => ({ numaAffinity: [Number(id)], type, size: table.allocatable })),
    );
  }

  begin(pod: Pod): PodAllocation {
    this.#dropInactive();
    const isConcerned = this.concerns(pod);
    const reusable: Reusable = new Map();
    return {
      hints: (container) => (isConcerned ? this.#hints(pod, container, reusable) : {}),
      podHints: () => (isConcerned ? this.#podHints(pod) : {}),
      allocate: async (container, hint) => {
        if (!isConcerned) return;
        const blocks = this.#allocateCounted(pod, container, { hint, reusable });
        this.#reuse(pod, container, { blocks, reusable });
        await this.#checkpoint.flush();
      },
    };
  }

  #hints(pod: Pod, container: Container, reusable: Reusable): ProviderHints {
    const asked = memoryOf(container);
    const before = this.#given.get(pod.metadata.uid)?.get(container.name);
    return before ? hintsOfBlocks(before, asked) : this.#fromNodes(asked, reusable);
  }

  #podHints(pod: Pod): ProviderHints {
    const asked = podPeak(pod, memoryOf);
    if (Object.keys(asked).length === 0) return {};
    const before = containersOf(pod)
      .map((c) => this.#given.get(pod.metadata.uid)?.get(c.name))
      .find((blocks) => blocks !== undefined);
    return before ? hintsOfBlocks(before, asked) : this.#fromNodes(asked, new Map());
  }

  #fromNodes(asked: MemoryAmounts, reusable: Reusable): ProviderHints {
    const hints = memoryHints(this.#nodes, asked, (mask, type) => reusable.get(mask)?.get(type) ?? 0);
    // Nowhere at all is, as upstream has it, no word about it: allocating says why it cannot be.
    return hints.length === 0 ? {} : Object.fromEntries(Object.keys(asked).map((type) => [type, hints]));
  }

  #allocateCounted(pod: Pod, container: Container, request: AllocationRequest): readonly MemoryBlock[] {
    const { metrics } = this.#deps;
    metrics.memoryRequests.add();
    try {
      return this.#given.get(pod.metadata.uid)?.get(container.name) ?? this.#allocate(pod, container, request);
    } catch (error) {
      metrics.memoryErrors.add();
      throw error;
    }
  }

  #allocate(pod: Pod, container: Container, { hint, reusable }: AllocationRequest): readonly MemoryBlock[] {
    const asked = memoryOf(container);
    const numaAffinity = nodesIn(this.#place(asked, hint, reusable));
    const mask = maskOf(numaAffinity);
    const blocks = Object.entries(asked).map(([type, size]) => ({ numaAffinity, type, size }));
    for (const block of blocks) this.#nodes = giveBlock(this.#nodes, block, reusable.get(mask)?.get(block.type) ?? 0);
    this.#keep(pod.metadata.uid, container.name, blocks);
    this.#shrinkInitContainers(pod, container, blocks);
    return blocks;
  }

  /** Where the hint says, or on more nodes where those have too little. */
  #place(asked: MemoryAmounts, hint: TopologyHint, reusable: Reusable): NodeMask {
    const hints = memoryHints(this.#nodes, asked, (mask, type) => reusable.get(mask)?.get(type) ?? 0);
    let chosen = hint;
    if (chosen.nodes === undefined) {
      const best = bestHint(hints);
      if (!best) throw new Error("[memorymanager] failed to get the default NUMA affinity, no NUMA nodes with enough memory is available");
      if (hint.preferred && !best.preferred) throw new Error("[memorymanager] failed to find the default preferred hint");
      chosen = best;
    }
    let mask = chosen.nodes ?? 0;
    if (!satisfies(this.#nodes, mask, asked)) {
      const wider = bestHint(hints.filter((h) => ((h.nodes ?? 0) & mask) === mask));
      if (!wider) throw new Error("[memorymanager] failed to find NUMA nodes to extend the current topology hint");
      if (chosen.preferred && !wider.preferred) throw new Error("[memorymanager] failed to find the extended preferred hint");
      mask = wider.nodes ?? mask;
    }
    if (violates(this.#nodes, mask)) throw new Error("[memorymanager] preferred hint violates NUMA node allocation");
    return mask;
  }

  #reuse(pod: Pod, container: Container, { blocks, reusable }: { readonly blocks: readonly MemoryBlock[]; readonly reusable: Reusable }) {
    const ends = isEndingInit(pod, container.name);
    for (const { numaAffinity, type, size } of blocks) {
      const mask = maskOf(numaAffinity);
      const of = reusable.get(mask) ?? new Map<string, number>();
      const before = of.get(type) ?? 0;
      reusable.set(mask, of.set(type, ends ? Math.max(before, size) : Math.max(0, before - size)));
    }
  }

  /** What the container has taken over is no longer counted as theirs. */
  #shrinkInitContainers(pod: Pod, container: Container, blocks: readonly MemoryBlock[]): void {
    const { uid } = pod.metadata;
    for (const { type, size, numaAffinity } of blocks) {
      let left = size;
      for (const init of pod.spec.initContainers ?? []) {
        if (init.name === container.name || left === 0) break;
        const theirs = isSidecar(init) ? undefined : this.#given.get(uid)?.get(init.name);
        if (!theirs) continue;
        const shrunk = theirs.map((block) => {
          if (block.type !== type || maskOf(block.numaAffinity) !== maskOf(numaAffinity)) return block;
          const part = Math.min(left, block.size);
          left -= part;
          return { ...block, size: block.size - part };
        });
        this.#keep(uid, init.name, shrunk);
      }
    }
  }

  #keep(podUid: string, container: string, blocks: readonly MemoryBlock[]): void {
    this.#given.set(podUid, (this.#given.get(podUid) ?? new Map<string, readonly MemoryBlock[]>()).set(container, blocks));
    this.#checkpoint.touch();
  }

  /** The container is about to be started: init containers before it have ended, and what they had is for others. */
  starting(pod: Pod, container: Container): void {
    for (const init of pod.spec.initContainers ?? []) {
      if (init.name === container.name) return;
      if (!isSidecar(init)) this.#releaseContainer(pod.metadata.uid, init.name);
    }
  }

  /** Gives back what the pod had. */
  release(podUid: string): void {
    for (const container of [...(this.#given.get(podUid)?.keys() ?? [])]) this.#releaseContainer(podUid, container);
  }

  #releaseContainer(podUid: string, container: string): void {
    const containers = this.#given.get(podUid);
    const blocks = containers?.get(container);
    if (!containers || !blocks) return;
    containers.delete(container);
    if (containers.size === 0) this.#given.delete(podUid);
    for (const block of blocks) this.#nodes = takeBlock(this.#nodes, block);
    this.#checkpoint.touch();
  }

  #dropInactive(): void {
    for (const uid of [...this.#given.keys()]) if (this.#deps.isActive(uid) === false) this.release(uid);
  }
}

interface AllocationRequest {
  readonly hint: TopologyHint;
  readonly reusable: Reusable;
}

/** Memory and huge pages the container asks for. */
function memoryOf({ resources }: Container): MemoryAmounts {
  const asked = { ...resources?.limits, ...resources?.requests };
  const kinds = Object.entries(asked).filter(([name]) => name === "memory" || name.startsWith("hugepages-"));
  return Object.fromEntries(kinds.map(([name, quantity]) => [name, parseQuantity(quantity).value()]));
}

/** Those it was given on; nothing where it now asks for something else. */
function hintsOfBlocks(blocks: readonly MemoryBlock[], asked: MemoryAmounts): ProviderHints {
  const same = blocks.length === Object.keys(asked).length && blocks.every((block) => asked[block.type] === block.size);
  if (!same) return {};
  return Object.fromEntries(blocks.map(({ type, numaAffinity }) => [type, [{ nodes: maskOf(numaAffinity), preferred: true }]]));
}

const isEndingInit = ({ spec }: Pod, name: string): boolean =>
  spec.initContainers?.some((init) => init.name === name && !isSidecar(init)) === true;
