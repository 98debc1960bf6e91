// Fields of objects that are behind feature gates that are off by default. Whoever reads or defaults an object has no context
// beside it, so what is on is known to the whole process, as it is upstream: a process is told once, before it serves.
const on = new Set<string>();

export type FieldGate =
  | "ClusterTrustBundleProjection"
  | "CoordinatedLeaderElection"
  | "GenericWorkload"
  | "PodCertificateRequest"
  | "WorkloadAwarePreemption";

/** From now on fields behind this gate are kept. */
export function keepFieldsOf(gate: FieldGate): void {
  on.add(gate);
}

export const keepsFieldsOf = (gate: FieldGate): boolean => on.has(gate);
