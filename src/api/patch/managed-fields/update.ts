// Field ownership after an ordinary write (create, update or any patch but apply): the writer comes to own what it added or
// changed, everybody loses what is gone, and other owners lose what was changed under them.
import type { KubernetesObject } from "../../meta/object.ts";
import { markShared } from "../../meta/shared-parts.ts";
import type { ManagedFieldsEntry } from "../../types/meta-v1.ts";
import { createdFields } from "./created-fields.ts";
import { difference, emptySet, type FieldSet, isEmptySet, setOf, union } from "./field-set.ts";
import { capUpdaters, entryOf, identityOf, type Owner, type Owners, readOwners, setOwner, withSet, writeOwners } from "./managers.ts";
import { Changes, UnknownInVersionError, type VersionedForm } from "./other-versions.ts";
import { reconcileFields } from "./reconcile.ts";
import { type JsonObject, KeylessItemError, type Shape } from "./shape.ts";
import { appliedProblem } from "./validate-applied.ts";

/** Who writes, when and where. */
export interface WriteContext extends VersionedForm {
  /** The field manager's name; "" becomes "unknown". */
  readonly manager: string;
  /** RFC 3339, for the entry that changes. */
  readonly now: string;
  /** "status", "scale"; "" or absent for the object itself. */
  readonly subresource?: string;
  /**
   * Objects need not be of the type that their shape says, and their shape may have changed since fields got their owners: those
   * of custom resources. Default false.
   */
  readonly isCustom?: boolean;
}

/** Fields that nobody owns because the server sets them. */
export const serverFields: FieldSet = setOf(
  ["apiVersion"],
  ["kind"],
  ["metadata"],
  ...["name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"].map(
    (field) => ["metadata", field],
  ),
);

/**
 * The new object with its managedFields brought up to date. `live` is the stored object, or the decoded empty object of
 * the type on create (an object without a uid). Managed fields that the client sends count, unless it writes to a
 * subresource; `[{}]` clears them. An object whose managed fields were cleared stays without until it is applied.
 * Nobody owns anything of an object with an item in a list by keys that has none of them, nor of one that was or becomes something
 * that its type does not allow.
 */
export function updateManagedFields<T extends KubernetesObject>(live: KubernetesObject, updated: T, context: WriteContext): T {
  try {
    return withUpdatedOwners(live, updated, context);
  } catch (error) {
    if (error instanceof KeylessItemError) return withManagedFields(updated, undefined);
    throw error;
  }
}

function withUpdatedOwners<T extends KubernetesObject>(live: KubernetesObject, updated: T, context: WriteContext): T {
  const sent: readonly ManagedFieldsEntry[] | null | undefined = updated.metadata?.managedFields;
  if (!sent && !live.metadata?.uid && !live.metadata?.managedFields) {
    const fits = !context.isCustom || isOfType(updated, context);
    return withManagedFields(updated, fits ? ownedByCreator(live, updated, context) : undefined);
  }
  const recorded = ownersBefore(live, sent, context.subresource ?? "");
  if (recorded.size === 0 && live.metadata?.uid) return withManagedFields(updated, undefined);
  if (context.isCustom && !(isOfType(updated, context) && isOfType(live, context))) return withManagedFields(updated, undefined);
  const owners = reconciledOwners(recorded, apiVersionOf(updated), context);
  return withManagedFields(updated, writeOwners(capUpdaters(ownersOrNone(live, updated, owners, context))));
}

const isOfType = (object: KubernetesObject, { shape }: WriteContext): boolean => typeProblem(object, shape) === undefined;

/** What keeps an object, which may have repeated items, from being of its type. */
export const typeProblem = (object: KubernetesObject, shape: Shape): string | undefined =>
  appliedProblem(object as unknown as JsonObject, shape, { allowRepeated: true });

/** Owners of a custom object as its schema has their fields now; those of versions that there are no longer are forgotten. */
export function reconciledOwners(owners: Owners, written: string, { isCustom, shape, otherVersions }: WriteContext): Owners {
  if (!isCustom) return owners;
  const result = new Map<string, Owner>();
  for (const [identity, owner] of owners) {
    const at = owner.apiVersion === written || !otherVersions ? shape : otherVersions(owner.apiVersion)?.shape;
    if (at) result.set(identity, withSet(owner, reconcileFields(owner.set, at)));
  }
  return result;
}

/** Where the object does not fit the version that somebody owns fields in, nobody owns anything any more: a write goes on. */
function ownersOrNone(live: KubernetesObject, updated: KubernetesObject, owners: Owners, context: WriteContext): Owners {
  try {
    return ownersAfterWrite(live, updated, owners, context);
  } catch (error) {
    if (error instanceof UnknownInVersionError) return new Map();
    throw error;
  }
}

/** Nobody owns anything yet. */
function ownedByCreator(
  live: KubernetesObject,
  updated: KubernetesObject,
  context: WriteContext,
): readonly ManagedFieldsEntry[] | undefined {
  const excluded = { reset: context.resetFields, server: serverFields };
  const fields = createdFields(live as unknown as JsonObject, updated as unknown as JsonObject, context.shape, excluded);
  return fields && entriesOfCreator(fields, context, apiVersionOf(updated));
}

const lastEntries = new WeakMap<object, readonly [ManagedFieldsEntry]>();

/** Objects that one client makes of a template within a second have the very same entries. */
function entriesOfCreator(
  fields: Readonly<Record<string, unknown>>,
  context: WriteContext,
  apiVersion: string,
): readonly ManagedFieldsEntry[] {
  const owner = { ...writerOf(context, "Update", apiVersion), time: context.now };
  const last = lastEntries.get(fields);
  if (last && isEntryOf(last[0], owner)) return last;
  const entries = [entryOf(owner, fields)] as const;
  lastEntries.set(fields, markShared(entries));
  return entries;
}

const isEntryOf = (entry: ManagedFieldsEntry, owner: Omit<Owner, "set">): boolean =>
  entry.time === owner.time &&
  entry.manager === owner.manager &&
  entry.apiVersion === owner.apiVersion &&
  (entry.subresource ?? "") === owner.subresource;

function ownersBefore(live: KubernetesObject, sent: readonly ManagedFieldsEntry[] | null | undefined, subresource: string): Owners {
  const recorded = (): Owners => readOwners(live.metadata?.managedFields) ?? new Map();
  if (subresource !== "" || !sent) return recorded();
  const [first] = sent;
  if (sent.length === 0 || (sent.length === 1 && first && Object.keys(first).length === 0)) return new Map();
  const owners = readOwners(sent);
  return owners && owners.size > 0 ? owners : recorded();
}

/** Owners after `updated` has replaced `live`, with the writer's entry made or extended. */
export function ownersAfterWrite(live: unknown, updated: unknown, owners: Owners, context: WriteContext): Owners {
  const apiVersion = apiVersionOf(updated);
  const changes = new Changes(live, updated, apiVersion, context);
  const touched = union(changes.written.modified, changes.written.added);
  const result = new Map<string, Owner>();
  const lost = union(touched, changes.written.removed);
  for (const [identity, owner] of owners) {
    const own = changes.in(owner.apiVersion);
    if (!own) continue;
    const taken = own === changes.written ? lost : union(union(own.modified, own.added), own.removed);
    setOwner(result, identity, withSet(owner, difference(owner.set, taken)));
  }

  const writer = writerOf(context, "Update", apiVersion);
  const own = difference(touched, serverFields);
  if (isEmptySet(own)) return result;
  const identity = identityOf(writer);
  const previous = result.get(identity)?.set ?? emptySet;
  result.set(identity, { ...writer, time: context.now, set: union(own, previous) });
  return result;
}

export function writerOf(context: WriteContext, operation: "Apply" | "Update", apiVersion: string): Omit<Owner, "set" | "time"> {
  return { manager: context.manager === "" ? "unknown" : context.manager, operation, apiVersion, subresource: context.subresource ?? "" };
}

function apiVersionOf(object: unknown): string {
  return (object as Partial<KubernetesObject>).apiVersion ?? "";
}

/** The object with these managed fields; the same reference when it has them already. */
export function withManagedFields<T extends KubernetesObject>(object: T, entries: readonly ManagedFieldsEntry[] | undefined): T {
  const current = object.metadata?.managedFields;
  const same = entries === current || (entries?.length === current?.length && entries?.every((entry, i) => entry === current?.[i]));
  if (same) return object;
  if (current === undefined && entries) return { ...object, metadata: { ...object.metadata, managedFields: entries } };
  const { managedFields: _, ...metadata } = object.metadata ?? {};
  return { ...object, metadata: entries ? { ...metadata, managedFields: entries } : metadata };
}
