// Counts of pods in the status of workloads: not negative, and no part greater than the whole.
import { type FieldError, invalidValue } from "../meta/field-error.ts";
import { checkNonNegative } from "./rules.ts";

/** The fields named, in this order, may not be negative. */
export function checkCounts<K extends string>(errors: FieldError[], status: { readonly [P in K]?: number }, names: readonly K[]): void {
  for (const name of names) checkNonNegative(errors, `status.${name}`, status[name]);
}

interface Replicas {
  readonly replicas?: number;
  readonly readyReplicas?: number;
  readonly availableReplicas?: number;
}

/** The fields named may not exceed the replicas, and no more pods can be available than are ready. */
export function checkPartsOfReplicas<K extends string>(
  errors: FieldError[],
  status: Replicas & { readonly [P in K]?: number },
  names: readonly K[],
  ready = "readyReplicas",
): void {
  const { replicas = 0, readyReplicas = 0, availableReplicas = 0 } = status;
  for (const name of names) {
    const count: number = status[name] ?? 0;
    if (count > replicas) errors.push(invalidValue(`status.${name}`, count, "cannot be greater than status.replicas"));
  }
  if (availableReplicas > readyReplicas)
    errors.push(invalidValue("status.availableReplicas", availableReplicas, `cannot be greater than ${ready}`));
}
