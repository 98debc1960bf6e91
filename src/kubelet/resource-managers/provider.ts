// What the managers of resources have in common: each says where it could satisfy a container (for the topology manager), and
// gives the container its part. Containers of a pod come in the order of its specification, init containers first; what init
// containers have, those after them may have again.
import type { Container, Pod } from "../../api/types/core-v1.ts";
import type { ProviderHints, TopologyHint } from "./topology-hints.ts";

/** One pod on its way through admission, as one manager sees it. */
export interface PodAllocation {
  hints(container: Container): ProviderHints;
  /** For the pod as a whole. */
  podHints(): ProviderHints;
  /** Throws an Error (or an AdmissionError) whose message the pod's status shows. `hint`: where. */
  allocate(container: Container, hint: TopologyHint): Promise<void>;
}

export interface ResourceProvider {
  /** Whether the pod has anything to be given by this manager. */
  concerns(pod: Pod): boolean;
  begin(pod: Pod): PodAllocation;
}

/** A refusal with a reason of its own; other errors are UnexpectedAdmissionError. */
export class AdmissionError extends Error {
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.name = "AdmissionError";
    this.reason = reason;
  }
}

export const containersOf = (pod: Pod): readonly Container[] => [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
