// Owners of the replicas as owners of a Scale, and back. Upstream tracks who owns the fields of a Scale while it is written as
// those of an object of autoscaling/v1: only who owns the replicas of the scaled object is an owner there. What has become of
// them is put back: who owns the replicas by an update, or comes to own them, is recorded without a time, and on its own where
// it owns other fields too; who is no owner of the Scale's any longer has lost them. Owners in versions that the kind does not
// have are forgotten.
import type { ManagedFieldsEntry } from "../../types/meta-v1.ts";
import { difference, type FieldSet, intersection, isEmptySet, setOf } from "./field-set.ts";
import { identityOf, type Owner, type Owners, readOwners, writeOwners } from "./managers.ts";

type Entries = readonly ManagedFieldsEntry[] | undefined;

/** The field that a Scale shows, by the version of the scaled object; null: that version has no Scale, undefined: there is no such version. */
export type ReplicasIn = (apiVersion: string) => FieldSet | null | undefined;

const scaleVersion = "autoscaling/v1";
const scaleReplicas = setOf(["spec", "replicas"]);

const ownsSome = ({ set }: Owner, fields: FieldSet): boolean => !isEmptySet(intersection(set, fields));

/** The owners of an object's Scale. */
export function scaleOwners(entries: Entries, replicasIn: ReplicasIn): Entries {
  const owners = new Map<string, Owner>();
  for (const owner of (readOwners(entries) ?? new Map<string, Owner>()).values()) {
    const replicas = replicasIn(owner.apiVersion);
    if (!replicas || !ownsSome(owner, replicas)) continue;
    const { entry: _, ...bare } = owner;
    const own = { ...bare, apiVersion: scaleVersion, set: scaleReplicas };
    owners.set(identityOf(own), own);
  }
  return writeOwners(owners);
}

export interface ScaledObject {
  /** The owners of the object before its Scale was written. */
  readonly entries: Entries;
  /** The version that is written. */
  readonly apiVersion: string;
  readonly replicasIn: ReplicasIn;
}

/** The owners of the object, after its Scale has come to have the owners in `scaleEntries`. */
export function ownersOfScaled(scaleEntries: Entries, { entries, apiVersion, replicasIn }: ScaledObject): Entries {
  const before: Owners = readOwners(entries) ?? new Map();
  const ofScale = new Map(readOwners(scaleEntries) ?? []);
  const owners = new Map<string, Owner>();
  for (const [identity, owner] of before) {
    const replicas = replicasIn(owner.apiVersion);
    if (replicas === undefined) continue;
    const kept = replicas === null || !ownsSome(owner, replicas) || ofScale.delete(identity);
    const left = kept ? owner : withoutFields(owner, replicas);
    if (left) owners.set(identity, left);
  }
  const replicas = replicasIn(apiVersion);
  for (const [identity, owner] of ofScale) {
    if (!replicas || !ownsSome(owner, scaleReplicas)) continue;
    const { entry: _, ...bare } = owner;
    owners.set(identity, { ...bare, apiVersion, time: before.get(identity)?.time, set: replicas });
  }
  return writeOwners(owners);
}

function withoutFields(owner: Owner, fields: FieldSet): Owner | undefined {
  const set = difference(owner.set, fields);
  const { entry: _, ...bare } = owner;
  return isEmptySet(set) ? undefined : { ...bare, set };
}
