// The static CPU policy: containers of guaranteed pods that ask for whole CPUs have them for themselves; all other containers
// share the rest, of which some stay reserved for the system. What the shared containers may use changes with every pod that
// comes and goes; running containers are told through the runtime. The policy "none" only guards the state's file.
import { parseQuantity } from "../../api/meta/quantity.ts";
import { podQos } from "../../api/semantics/pod-qos.ts";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { isSidecar } from "../pods/pod-spec.ts";
import { Checkpoint } from "../resize/checkpoint.ts";
import { type CpuSet, formatCpuSet, intersection, parseCpuSet, union, without } from "./cpu-set.ts";
import { type CpuCheckpoint, type CpuState, cpuCheckpointFormat, problemOfState, restoreCpuState, toCheckpoint } from "./cpu-state.ts";
import { type CpuTopology, idsOf } from "./cpu-topology.ts";
import type { ManagerMetrics } from "./manager-metrics.ts";
import type { CpuPolicy } from "./manager-options.ts";
import { hasNode, maskOf, type NodeMask } from "./node-mask.ts";
import { podPeak } from "./pod-peak.ts";
import { AdmissionError, containersOf, type PodAllocation, type ResourceProvider } from "./provider.ts";
import { preferSockets, socketCpus } from "./socket-alignment.ts";
import { type CpuRequest, takeCpus } from "./take-cpus.ts";
import { hintsFor, type Placed, type ProviderHints } from "./topology-hints.ts";

export interface RunningContainer {
  readonly podUid: string;
  readonly name: string;
  readonly id: string;
}

export interface CpuManagerDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ManagerMetrics;
  readonly topology: CpuTopology;
  /** Whether a pod still has what it was given; undefined while not all pods are known. */
  readonly isActive: (podUid: string) => boolean | undefined;
  readonly containers: () => Iterable<RunningContainer>;
}

export interface CpuManagerOptions extends CpuPolicy {
  /** The state's file: <root>/cpu_manager_state. */
  readonly path: string;
  /** Of systemReserved and kubeReserved together, in thousandths of a CPU. */
  readonly reservedMilliCpu: number;
}

const updateTimeoutMs = 10_000;

export class CpuManager implements ResourceProvider, Running {
  readonly #deps: CpuManagerDependencies;
  readonly #options: CpuManagerOptions;
  readonly #checkpoint: Checkpoint<CpuCheckpoint>;
  readonly #all: CpuSet;
  readonly #reserved: CpuSet;
  readonly #exclusive = new Map<string, Map<string, CpuSet>>();
  #shared: CpuSet = [];
  /** What containers were last set to, by id. */
  #applied = new Map<string, string>();
  #timer: Timer | undefined;
  #reconciling: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  /** Throws when the options do not fit the machine. */
  constructor(deps: CpuManagerDependencies, options: CpuManagerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#all = idsOf(deps.topology);
    if (options.options.has("align-by-socket") && socketsOf(deps.topology) > deps.topology.numaNodes.length)
      throw new Error("Align by socket is not compatible with hardware where number of sockets are more than number of NUMA");
    this.#reserved = options.policy === "static" ? this.#reservedCpus() : [];
    const content = (): CpuCheckpoint => toCheckpoint(options.policy, { shared: this.#shared, exclusive: this.#exclusive });
    this.#checkpoint = new Checkpoint(options.path, content, deps, cpuCheckpointFormat);
  }

  #reservedCpus(): CpuSet {
    const { reservedSystemCPUs, reservedMilliCpu } = this.#options;
    if (reservedSystemCPUs !== "") {
      const given = parseCpuSet(reservedSystemCPUs);
      if (!given) throw new Error(`unable to parse reservedSystemCPUs ${JSON.stringify(reservedSystemCPUs)}`);
      const missing = without(given, this.#all);
      if (missing.length > 0)
        throw new Error(`[cpumanager] reservedSystemCPUs names CPUs this machine does not have: ${formatCpuSet(missing)}`);
      return given;
    }
    if (reservedMilliCpu <= 0)
      throw new Error("[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero");
    const count = Math.ceil(reservedMilliCpu / 1000);
    const taken = this.#take({ available: this.#all, count });
    if (!taken) throw new Error(`[cpumanager] unable to reserve the required amount of CPUs (size of  did not equal ${count})`);
    return taken;
  }

  get isStatic(): boolean {
    return this.#options.policy === "static";
  }

  /** Throws when the state left by an earlier kubelet is not one to go on with. */
  async start(): Promise<void> {
    await this.#restore();
    if (!this.isStatic) return;
    this.#report();
    this.#reconcileSoon();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#reconciling;
    await this.#checkpoint.stop();
  }

  async #restore(): Promise<void> {
    const { path, policy, options } = this.#options;
    const strict = options.has("strict-cpu-reservation");
    const load = async (): Promise<CpuState | undefined> => {
      const state = await this.#checkpoint.load({ strict: true });
      return state && restoreCpuState(state, policy);
    };
    const known = await load().catch((error: unknown) => {
      const advice = `please drain this node and delete the CPU manager checkpoint file ${JSON.stringify(path)} before restarting Kubelet`;
      throw new Error(`could not restore state from checkpoint: ${errorText(error)}, ${advice}`, { cause: error });
    });
    if (known && this.isStatic) {
      const problem = problemOfState(known, { all: this.#all, reserved: this.#reserved, strict });
      if (problem !== undefined) throw new Error(problem);
      this.#shared = known.shared;
      for (const [pod, containers] of known.exclusive) this.#exclusive.set(pod, new Map(containers));
    }
    if (this.isStatic && this.#shared.length === 0) this.#shared = strict ? without(this.#all, this.#reserved) : this.#all;
    else if (known) return;
    this.#checkpoint.touch();
    await this.#checkpoint.flush();
  }

  concerns(pod: Pod): boolean {
    return this.isStatic && containersOf(pod).some((container) => this.#exclusiveCount(pod, container) > 0);
  }

  /** How many CPUs the container is to have for itself. */
  #exclusiveCount(pod: Pod, { resources }: Container): number {
    if (!this.isStatic || pod.spec.resources || podQos(pod) !== "Guaranteed") return 0;
    const milli = parseQuantity(resources?.requests?.cpu ?? resources?.limits?.cpu ?? 0).milliValue();
    return milli % 1000 === 0 ? milli / 1000 : 0;
  }

  /** Its own, or those it shares; undefined without the static policy. */
  cpusFor(podUid: string, container: string): CpuSet | undefined {
    if (!this.isStatic) return undefined;
    return this.exclusiveCpus(podUid, container) ?? this.#shared;
  }

  exclusiveCpus(podUid: string, container: string): CpuSet | undefined {
    return this.#exclusive.get(podUid)?.get(container);
  }

  hasExclusiveCpus(podUid: string): boolean {
    return this.#exclusive.has(podUid);
  }

  /** Those a container could get for itself. */
  allocatableCpus(): CpuSet {
    return this.isStatic ? without(this.#all, this.#reserved) : this.#all;
  }

  begin(pod: Pod): PodAllocation {
    this.#dropInactive();
    const { uid } = pod.metadata;
    let reusable: CpuSet = [];
    return {
      hints: (container) => this.#hints(this.#exclusiveCount(pod, container), reusable, this.exclusiveCpus(uid, container.name)),
      podHints: () => this.#podHints(pod),
      allocate: async (container, { nodes: affinity }) => {
        const count = this.#exclusiveCount(pod, container);
        if (count === 0) return;
        const cpus = this.#allocateCounted(uid, container.name, { count, reusable, affinity });
        const ends = pod.spec.initContainers?.some((c) => c.name === container.name) === true && !isSidecar(container);
        reusable = ends ? union(reusable, cpus) : without(reusable, cpus);
        await this.#checkpoint.flush();
      },
    };
  }

  #allocateCounted(podUid: string, container: string, request: AllocationRequest): CpuSet {
    const { metrics } = this.#deps;
    const wholeCores = this.#options.options.has("full-pcpus-only");
    metrics.pinningRequests.add();
    try {
      this.#checkWholeCores(request.count);
      const before = this.exclusiveCpus(podUid, container);
      const cpus = before ?? this.#allocate(podUid, container, request);
      if (wholeCores) metrics.aligned.series("container", "physical_cpu").add();
      return cpus;
    } catch (error) {
      metrics.pinningErrors.add();
      if (wholeCores) metrics.notAligned.series("container", "physical_cpu").add();
      throw error;
    }
  }

  #allocate(podUid: string, container: string, { count, reusable, affinity }: AllocationRequest): CpuSet {
    const available = union(without(this.#shared, this.#reserved), reusable);
    const aligned = affinity === undefined ? [] : intersection(available, this.#near(affinity));
    const first = this.#take({ available: aligned, count: Math.min(count, aligned.length) }) ?? [];
    const rest = this.#take({ available: without(available, first), count: count - first.length });
    if (!rest)
      throw new Error(
        `not enough cpus available to satisfy request: requested=${count - first.length}, available=${available.length - first.length}`,
      );
    const cpus = union(first, rest);
    if (this.#ofOneCache(cpus)) this.#deps.metrics.aligned.series("container", "uncore_cache").add();
    this.#exclusive.set(podUid, (this.#exclusive.get(podUid) ?? new Map<string, CpuSet>()).set(container, cpus));
    this.#share(without(this.#shared, cpus));
    return cpus;
  }

  /** The CPUs of these nodes, or of their sockets. */
  #near(affinity: NodeMask): CpuSet {
    const { topology } = this.#deps;
    if (this.#options.options.has("align-by-socket")) return socketCpus(topology, affinity);
    return topology.cpus.filter((cpu) => hasNode(affinity, cpu.node)).map((cpu) => cpu.id);
  }

  #take(request: Pick<CpuRequest, "available" | "count">): CpuSet | undefined {
    const { topology } = this.#deps;
    const { options } = this.#options;
    const groupSize = options.has("full-pcpus-only") ? topology.cpusPerCore : 1;
    return takeCpus(topology, {
      ...request,
      spread: options.has("distribute-cpus-across-cores"),
      byCache: options.has("prefer-align-cpus-by-uncorecache"),
      distributedBy: options.has("distribute-cpus-across-numa") ? groupSize : 0,
    });
  }

  #ofOneCache(cpus: CpuSet): boolean {
    const caches = this.#deps.topology.cpus.filter((cpu) => cpus.includes(cpu.id)).map((cpu) => cpu.cache ?? cpu.socket);
    return new Set(caches).size <= 1;
  }

  /** full-pcpus-only: nobody else runs on the cores of a container. */
  #checkWholeCores(count: number): void {
    const { cpusPerCore, cpus } = this.#deps.topology;
    if (!this.#options.options.has("full-pcpus-only")) return;
    if (count % cpusPerCore !== 0)
      throw new AdmissionError(
        "SMTAlignmentError",
        `SMT Alignment Error: requested ${count} cpus not multiple cpus per core = ${cpusPerCore}`,
      );
    const reservedCores = new Set(cpus.filter((c) => this.#reserved.includes(c.id)).map((c) => c.core));
    const available = cpus.filter((c) => this.#shared.includes(c.id) && !reservedCores.has(c.core)).length;
    if (count <= available) return;
    const figures = `available physical CPUs = ${available}, requested CPUs = ${count}, CPUs per core = ${cpusPerCore}`;
    throw new AdmissionError("SMTAlignmentError", `SMT Alignment Error: not enough free physical CPUs: ${figures}`);
  }

  #hints(count: number, reusable: CpuSet, before: CpuSet | undefined): ProviderHints {
    if (count === 0) return {};
    if (before && before.length !== count) return { cpu: [] };
    const available = before ?? without(this.#shared, this.#reserved);
    const { numaNodes } = this.#deps.topology;
    const all = this.#placed(this.#all);
    const placed = { all, available: this.#placed(available), mustHave: this.#placed(before ? [] : reusable) };
    const hints = hintsFor(count, numaNodes, placed);
    return { cpu: this.#options.options.has("align-by-socket") ? preferSockets(this.#deps.topology, hints, count) : hints };
  }

  #podHints(pod: Pod): ProviderHints {
    const mine = containersOf(pod).map((c) => [this.#exclusiveCount(pod, c), this.exclusiveCpus(pod.metadata.uid, c.name)] as const);
    const { cpu: count = 0 } = podPeak(pod, (container) => ({ cpu: this.#exclusiveCount(pod, container) }));
    if (mine.some(([of, before]) => before && before.length !== of)) return { cpu: [] };
    const assigned = union(...mine.map(([, before]) => before ?? []));
    return assigned.length === count && count > 0 ? this.#hints(count, [], assigned) : this.#hints(count, assigned, undefined);
  }

  #placed(cpus: CpuSet): readonly Placed[] {
    const nodes = new Map(this.#deps.topology.cpus.map((cpu) => [cpu.id, maskOf([cpu.node])]));
    return cpus.map((id) => ({ nodes: nodes.get(id) ?? 0 }));
  }

  /** The container is about to be started: init containers before it have ended, and what only they had is for others. */
  starting(pod: Pod, container: Container): void {
    const containers = this.#exclusive.get(pod.metadata.uid);
    for (const init of containers ? (pod.spec.initContainers ?? []) : []) {
      if (init.name === container.name) return;
      const cpus = isSidecar(init) ? undefined : containers?.get(init.name);
      if (!containers || !cpus) continue;
      containers.delete(init.name);
      if (containers.size === 0) this.#exclusive.delete(pod.metadata.uid);
      this.#share(union(this.#shared, without(cpus, union(...containers.values()))));
    }
  }

  /** Gives back what the pod had. */
  release(podUid: string): void {
    const containers = this.#exclusive.get(podUid);
    if (!containers) return;
    this.#exclusive.delete(podUid);
    this.#share(union(this.#shared, ...containers.values()));
  }

  #dropInactive(): void {
    for (const uid of [...this.#exclusive.keys()]) if (this.#deps.isActive(uid) === false) this.release(uid);
  }

  #share(cpus: CpuSet): void {
    this.#shared = cpus;
    this.#checkpoint.touch();
    this.#report();
    this.#reconcile();
  }

  #report(): void {
    const { sharedPoolMilli, exclusiveCount, exclusiveByNode } = this.#deps.metrics;
    sharedPoolMilli.set(without(this.#shared, this.#reserved).length * 1000);
    const exclusive = union(...[...this.#exclusive.values()].flatMap((of) => [...of.values()]));
    exclusiveCount.set(exclusive.length);
    for (const node of this.#deps.topology.numaNodes) {
      const here = this.#deps.topology.cpus.filter((cpu) => cpu.node === node && exclusive.includes(cpu.id));
      exclusiveByNode.series(String(node)).set(here.length);
    }
  }

  #reconcileSoon(): void {
    if (this.#stopped) return;
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.after(this.#options.reconcilePeriodMs, () => this.#reconcile());
  }

  #reconcile(): void {
    this.#again = true;
    this.#reconciling ??= this.#reconcileAll().finally(() => {
      this.#reconciling = undefined;
      this.#reconcileSoon();
    });
  }

  async #reconcileAll(): Promise<void> {
    // Not within the call that begins it: what it changes begins it again.
    await Promise.resolve();
    while (this.#again && !this.#stopped) {
      this.#again = false;
      this.#dropInactive();
      const applied = new Map<string, string>();
      for (const { podUid, name, id } of [...this.#deps.containers()]) {
        const wanted = formatCpuSet(this.cpusFor(podUid, name) ?? []);
        if (wanted === "" || this.#stopped) continue;
        const isSet = this.#applied.get(id) === wanted || (await this.#apply(id, wanted));
        if (isSet) applied.set(id, wanted);
      }
      this.#applied = applied;
    }
  }

  async #apply(containerId: string, cpusetCpus: string): Promise<boolean> {
    try {
      await this.#deps.cri.updateContainerResources({ containerId, linux: { cpusetCpus } }, { timeoutMs: updateTimeoutMs });
      return true;
    } catch (error) {
      // It may have ended just now; if not it is tried again with the next round.
      this.#deps.logger.info("Setting the CPUs of a container failed", { containerId, cpusetCpus, error: errorText(error) }, 1);
      return false;
    }
  }
}

interface AllocationRequest {
  readonly count: number;
  readonly reusable: CpuSet;
  readonly affinity: NodeMask | undefined;
}

const socketsOf = ({ cpus }: CpuTopology): number => new Set(cpus.map((cpu) => cpu.socket)).size;
