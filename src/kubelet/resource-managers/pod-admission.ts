// Gives a pod what its node hands out piece by piece, devices, CPUs and memory, when it is admitted: container by container, each
// where the topology manager wants it. Pods come one after the other; what cannot be given refuses the pod with upstream's
// reasons and messages, and nothing of it is kept.
import type { Container, Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { PodVerdict } from "../status/pod-status.ts";
import type { ManagerMetrics } from "./manager-metrics.ts";
import type { TopologySettings } from "./manager-options.ts";
import type { NumaNode } from "./numa-nodes.ts";
import { AdmissionError, containersOf, type PodAllocation, type ResourceProvider } from "./provider.ts";
import { decideTopology, type ProviderHints, type TopologyHint, type TopologyPreference } from "./topology-hints.ts";

export interface PodAdmissionDependencies {
  readonly clock: Clock;
  readonly metrics: ManagerMetrics;
  /** In the order in which they give. */
  readonly providers: readonly (ResourceProvider & { release(podUid: string): void })[];
}

export interface PodAdmissionOptions extends TopologySettings {
  readonly nodes: readonly Pick<NumaNode, "id" | "distances">[];
}

const nowhereSpecial: TopologyHint = { nodes: undefined, preferred: false };

export class PodAdmission {
  readonly #deps: PodAdmissionDependencies;
  readonly #options: PodAdmissionOptions;
  readonly #numaNodes: readonly number[];
  readonly #preference: TopologyPreference;
  #queue: Promise<unknown> = Promise.resolve();

  /** Throws where there are too many nodes for a policy, or their distances are not known. */
  constructor(deps: PodAdmissionDependencies, options: PodAdmissionOptions) {
    const { policy, nodes, preferClosest, maxNumaNodes } = options;
    if (policy !== "none" && nodes.length > maxNumaNodes)
      throw new Error(`unsupported on machines with more than ${maxNumaNodes} NUMA Nodes`);
    if (preferClosest && nodes.some(({ distances }) => distances.length === 0))
      throw new Error("cannot discover NUMA topology: error getting NUMA distances from cadvisor");
    this.#deps = deps;
    this.#options = options;
    this.#numaNodes = nodes.map((node) => node.id);
    this.#preference = preferClosest ? { distances: new Map(nodes.map((node) => [node.id, node.distances])) } : {};
  }

  concerns(pod: Pod): boolean {
    return this.#deps.providers.some((provider) => provider.concerns(pod));
  }

  /** Why the pod is refused; undefined when it has been given everything. */
  admit(pod: Pod): Promise<PodVerdict | undefined> {
    const turn = this.#queue.then(() => this.#admit(pod));
    this.#queue = turn;
    return turn;
  }

  async #admit(pod: Pod): Promise<PodVerdict | undefined> {
    const { clock, metrics, providers } = this.#deps;
    const begunMs = clock.monotonic();
    metrics.admissions.add();
    try {
      await this.#give(pod);
      return undefined;
    } catch (error) {
      metrics.admissionErrors.add();
      for (const provider of providers) provider.release(pod.metadata.uid);
      return refusal(error);
    } finally {
      metrics.admissionMs.observe(clock.monotonic() - begunMs);
    }
  }

  async #give(pod: Pod): Promise<void> {
    const { scope, policy } = this.#options;
    const parts = this.#deps.providers.map((provider) => provider.begin(pod));
    const ofPod = scope === "pod" && policy !== "none" ? this.#place(parts.map((p) => p.podHints())) : undefined;
    for (const container of containersOf(pod)) {
      const hint = ofPod ?? this.#placeOf(parts, container);
      for (const part of parts) await part.allocate(container, hint);
      if (!ofPod) this.#countAligned(true);
    }
    if (ofPod) this.#countAligned(true);
  }

  #placeOf(parts: readonly PodAllocation[], container: Container): TopologyHint {
    if (this.#options.policy === "none") return nowhereSpecial;
    return this.#place(parts.map((p) => p.hints(container)));
  }

  #place(hints: readonly ProviderHints[]): TopologyHint {
    const { hint, admit } = decideTopology(this.#options.policy, this.#numaNodes, hints, this.#preference);
    if (admit) return hint;
    this.#countAligned(false);
    throw new AdmissionError("TopologyAffinityError", "Resources cannot be allocated with Topology locality");
  }

  /** Only the policy single-numa-node promises it. */
  #countAligned(aligned: boolean): void {
    const { policy, scope } = this.#options;
    const { metrics } = this.#deps;
    if (policy === "single-numa-node") (aligned ? metrics.aligned : metrics.notAligned).series(scope, "numa_node").add();
  }
}

function refusal(error: unknown): PodVerdict {
  const [reason, message] =
    error instanceof AdmissionError
      ? [error.reason, error.message]
      : ["UnexpectedAdmissionError", `Allocate failed due to ${(error as Error).message}, which is unexpected`];
  return { phase: "Failed", reason, message: `Pod was rejected: ${message}` };
}
