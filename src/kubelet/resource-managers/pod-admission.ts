// Gives a pod what its node hands out piece by piece, devices and CPUs, when it is admitted: container by container, each
// where the topology manager wants it. Pods come one after the other; what cannot be given refuses the pod with upstream's
// reasons and messages, and nothing of it is kept.
import type { Container, Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { PodVerdict } from "../pod-status.ts";
import type { ManagerMetrics } from "./manager-metrics.ts";
import type { NodeMask } from "./node-mask.ts";
import { AdmissionError, containersOf, type PodAllocation, type ResourceProvider } from "./provider.ts";
import { decideTopology, type ProviderHints, type TopologyPolicy } from "./topology-hints.ts";

export interface PodAdmissionDependencies {
  readonly clock: Clock;
  readonly metrics: ManagerMetrics;
  /** In the order in which they give. */
  readonly providers: readonly (ResourceProvider & { release(podUid: string): void })[];
}

export interface PodAdmissionOptions {
  readonly policy: TopologyPolicy;
  readonly scope: "container" | "pod";
  readonly numaNodes: readonly number[];
}

const maxNumaNodes = 8;

export class PodAdmission {
  readonly #deps: PodAdmissionDependencies;
  readonly #options: PodAdmissionOptions;
  #queue: Promise<unknown> = Promise.resolve();

  /** Throws where there are too many nodes for a policy. */
  constructor(deps: PodAdmissionDependencies, options: PodAdmissionOptions) {
    const { policy, numaNodes } = options;
    // All their combinations are looked at.
    if (policy !== "none" && numaNodes.length > maxNumaNodes)
      throw new Error(`unsupported on machines with more than ${maxNumaNodes} NUMA Nodes`);
    this.#deps = deps;
    this.#options = options;
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
      const affinity = ofPod ?? this.#placeOf(parts, container);
      for (const part of parts) await part.allocate(container, affinity.nodes);
    }
  }

  #placeOf(parts: readonly PodAllocation[], container: Container): { readonly nodes: NodeMask | undefined } {
    const { scope, policy } = this.#options;
    if (scope === "pod" || policy === "none") return { nodes: undefined };
    return this.#place(parts.map((p) => p.hints(container)));
  }

  #place(hints: readonly ProviderHints[]): { readonly nodes: NodeMask | undefined } {
    const { policy, numaNodes } = this.#options;
    const { hint, admit } = decideTopology(policy, numaNodes, hints);
    if (admit) return hint;
    throw new AdmissionError("TopologyAffinityError", "Resources cannot be allocated with Topology locality");
  }
}

function refusal(error: unknown): PodVerdict {
  const [reason, message] =
    error instanceof AdmissionError
      ? [error.reason, error.message]
      : ["UnexpectedAdmissionError", `Allocate failed due to ${(error as Error).message}, which is unexpected`];
  return { phase: "Failed", reason, message: `Pod was rejected: ${message}` };
}
