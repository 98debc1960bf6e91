// What of a node's capacity its pods may use: the rest is kept for the system, for Kubernetes' own daemons, and free, so that
// hard eviction thresholds are not reached by pods that only use what they asked for.
import { parseQuantity, type Quantity, quantityOf } from "../../api/meta/quantity.ts";
import { isHard, type Threshold, thresholdQuantity } from "../eviction/thresholds.ts";

export type ResourceTexts = Readonly<Record<string, string>>;

export interface Reservations {
  /** By resource: cpu, memory, ephemeral-storage. */
  readonly systemReserved: ResourceTexts;
  readonly kubeReserved: ResourceTexts;
  readonly thresholds: readonly Threshold[];
}

const reservingSignals: Readonly<Record<string, string>> = { "memory.available": "memory", "nodefs.available": "ephemeral-storage" };

/** Never below zero. */
export function allocatableOf(capacity: ResourceTexts, reservations: Reservations): Record<string, string> {
  const allocatable: Record<string, string> = {};
  for (const [resource, text] of Object.entries(capacity)) {
    const whole = parseQuantity(text);
    const left = reservedOf(resource, whole, reservations).reduce((rest, part) => rest.sub(part), whole);
    allocatable[resource] = left.sign < 0 ? "0" : left.toString();
  }
  return allocatable;
}

/** So much of the resource is not for pods. */
export const keptBack = (resource: string, capacity: Quantity, reservations: Reservations): Quantity =>
  reservedOf(resource, capacity, reservations).reduce((sum, part) => sum.add(part), quantityOf(0));

function reservedOf(resource: string, capacity: Quantity, { systemReserved, kubeReserved, thresholds }: Reservations): readonly Quantity[] {
  const kept = thresholds.findLast((t) => isHard(t) && reservingSignals[t.signal] === resource);
  const [system, kube] = [systemReserved[resource], kubeReserved[resource]].map((text) =>
    text === undefined ? quantityOf(0) : parseQuantity(text),
  );
  return [system, kube, kept && thresholdQuantity(kept.value, capacity)].filter((q) => q !== undefined);
}
