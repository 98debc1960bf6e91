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
import { isSidecar } from "../pod-spec.ts";
import { Checkpoint } from "../resize/checkpoint.ts";
import { type CpuSet, formatCpuSet, intersection, parseCpuSet, union, without } from "./cpu-set.ts";
import { type CpuCheckpoint, type CpuState, cpuCheckpointFormat, problemOfState, restoreCpuState, toCheckpoint } from "./cpu-state.ts";
import { type CpuTopology, idsOf } from "./cpu-topology.ts";
import type { ManagerMetrics } from "./manager-metrics.ts";
import type { CpuPolicy } from "./manager-options.ts";
import { hasNode, maskOf, type NodeMask } from "./node-mask.ts";
import { AdmissionError, containersOf, type PodAllocation, type ResourceProvider } from "./provider.ts";
import { takeCpus } from "./take-cpus.ts";
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
    this.#reserved = options.policy === "static" ? reservedCpus(deps.topology, options) : [];
    const content = (): CpuCheckpoint => toCheckpoint(options.policy, { shared: this.#shared, exclusive: this.#exclusive });
    this.#checkpoint = new Checkpoint(options.path, content, deps, cpuCheckpointFormat);
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
    const { path, policy, strictReservation: strict } = this.#options;
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
      allocate: async (container, affinity) => {
        const count = this.#exclusiveCount(pod, container);
        if (count === 0) return;
        const cpus = this.#allocateCounted(uid, container.name, { count, reusable, affinity });
        const ends = pod.spec.initContainers?.some((c) => c.name === container.name) === true && !isSidecar(container);
        reusable = ends ? union(reusable, cpus) : without(reusable, cpus);
        await this.#checkpoint.flush();
      },
    };
  }

  #allocateCounted(podUid: string, container: string, request: CpuRequest): CpuSet {
    const { metrics } = this.#deps;
    metrics.pinningRequests.add();
    try {
      this.#checkWholeCores(request.count);
      const before = this.exclusiveCpus(podUid, container);
      return before ?? this.#allocate(podUid, container, request);
    } catch (error) {
      metrics.pinningErrors.add();
      throw error;
    }
  }

  #allocate(podUid: string, container: string, { count, reusable, affinity }: CpuRequest): CpuSet {
    const { topology } = this.#deps;
    const available = union(without(this.#shared, this.#reserved), reusable);
    const near = affinity === undefined ? [] : topology.cpus.filter((cpu) => hasNode(affinity, cpu.node)).map((cpu) => cpu.id);
    const aligned = intersection(available, near);
    const first = takeCpus(topology, aligned, Math.min(count, aligned.length)) ?? [];
    const rest = takeCpus(topology, without(available, first), count - first.length);
    if (!rest)
      throw new Error(
        `not enough cpus available to satisfy request: requested=${count - first.length}, available=${available.length - first.length}`,
      );
    const cpus = union(first, rest);
    this.#exclusive.set(podUid, (this.#exclusive.get(podUid) ?? new Map<string, CpuSet>()).set(container, cpus));
    this.#share(without(this.#shared, cpus));
    return cpus;
  }

  /** full-pcpus-only: nobody else runs on the cores of a container. */
  #checkWholeCores(count: number): void {
    const { cpusPerCore, cpus } = this.#deps.topology;
    if (!this.#options.fullPcpusOnly) return;
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
    return { cpu: hintsFor(count, numaNodes, { all, available: this.#placed(available), mustHave: this.#placed(before ? [] : reusable) }) };
  }

  #podHints(pod: Pod): ProviderHints {
    const mine = containersOf(pod).map((c) => [this.#exclusiveCount(pod, c), this.exclusiveCpus(pod.metadata.uid, c.name)] as const);
    const count = podExclusiveCount(pod, (container) => this.#exclusiveCount(pod, container));
    if (mine.some(([of, before]) => before && before.length !== of)) return { cpu: [] };
    const assigned = union(...mine.map(([, before]) => before ?? []));
    return assigned.length === count && count > 0 ? this.#hints(count, [], assigned) : this.#hints(count, assigned, undefined);
  }

  #placed(cpus: CpuSet): readonly Placed[] {
    const nodes = new Map(this.#deps.topology.cpus.map((cpu) => [cpu.id, maskOf([cpu.node])]));
    return cpus.map((id) => ({ nodes: nodes.get(id) ?? 0 }));
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
    const { sharedPoolMilli, exclusiveCount } = this.#deps.metrics;
    sharedPoolMilli.set(without(this.#shared, this.#reserved).length * 1000);
    exclusiveCount.set(union(...[...this.#exclusive.values()].flatMap((of) => [...of.values()])).length);
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

interface CpuRequest {
  readonly count: number;
  readonly reusable: CpuSet;
  readonly affinity: NodeMask | undefined;
}

/** Those of init containers come before the others', those of sidecars beside them. */
function podExclusiveCount(pod: Pod, countOf: (container: Container) => number): number {
  let [sidecars, init] = [0, 0];
  for (const container of pod.spec.initContainers ?? []) {
    if (isSidecar(container)) sidecars += countOf(container);
    else init = Math.max(init, sidecars + countOf(container));
  }
  return Math.max(init, sidecars + pod.spec.containers.reduce((sum, c) => sum + countOf(c), 0));
}

function reservedCpus(topology: CpuTopology, { reservedSystemCPUs, reservedMilliCpu }: CpuManagerOptions): CpuSet {
  const all = idsOf(topology);
  if (reservedSystemCPUs !== "") {
    const given = parseCpuSet(reservedSystemCPUs);
    if (!given) throw new Error(`unable to parse reservedSystemCPUs ${JSON.stringify(reservedSystemCPUs)}`);
    const missing = without(given, all);
    if (missing.length > 0)
      throw new Error(`[cpumanager] reservedSystemCPUs names CPUs this machine does not have: ${formatCpuSet(missing)}`);
    return given;
  }
  if (reservedMilliCpu <= 0)
    throw new Error("[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero");
  const count = Math.ceil(reservedMilliCpu / 1000);
  const taken = takeCpus(topology, all, count);
  if (!taken) throw new Error(`[cpumanager] unable to reserve the required amount of CPUs (size of  did not equal ${count})`);
  return taken;
}
