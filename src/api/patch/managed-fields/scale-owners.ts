// Owners of the replicas after a write to the scale subresource. Upstream keeps the ownership of a Scale apart while it is
// written, as of autoscaling/v1, and puts it back into the object's: who owns the replicas by an update, or through the scale
// subresource, is recorded without a time, and on its own where it owns other fields too.
import type { ManagedFieldsEntry } from "../../types/meta-v1.ts";
import { difference, type FieldSet, intersection, isEmptySet } from "./field-set.ts";
import { type Owner, readOwners, sortedEntries } from "./managers.ts";

/** `replicas`: the field of the object that its Scale shows. */
export function scaleEntries(
  entries: readonly ManagedFieldsEntry[] | undefined,
  replicas: FieldSet,
): readonly ManagedFieldsEntry[] | undefined {
  const owners = entries && readOwners(entries);
  if (!owners) return entries;
  return sortedEntries([...owners.values()].flatMap((owner) => afterScale(owner, replicas)));
}

function afterScale(owner: Owner, replicas: FieldSet): readonly Owner[] {
  const own = intersection(owner.set, replicas);
  if (isEmptySet(own) || (owner.operation === "Apply" && owner.subresource !== "scale")) return [owner];
  const { entry: _, ...bare } = owner;
  const timeless = { ...bare, time: undefined, set: own };
  const rest = difference(owner.set, replicas);
  return isEmptySet(rest) ? [timeless] : [{ ...bare, set: rest }, timeless];
}

/** Whether anybody owns the replicas. */
export function areReplicasOwned(entries: readonly ManagedFieldsEntry[] | undefined, replicas: FieldSet): boolean {
  const owners = entries && readOwners(entries);
  return owners !== undefined && [...owners.values()].some(({ set }) => !isEmptySet(intersection(set, replicas)));
}

/** The owners without the replicas. */
export function withoutReplicas(
  entries: readonly ManagedFieldsEntry[] | undefined,
  replicas: FieldSet,
): readonly ManagedFieldsEntry[] | undefined {
  const owners = entries && readOwners(entries);
  if (!owners) return entries;
  const kept = [...owners.values()].flatMap((owner) => {
    if (isEmptySet(intersection(owner.set, replicas))) return [owner];
    const { entry: _, ...bare } = owner;
    const set = difference(owner.set, replicas);
    return isEmptySet(set) ? [] : [{ ...bare, set }];
  });
  return sortedEntries(kept);
}
