// The entries of metadata.managedFields: who owns which fields, by manager, operation, API version and subresource.
import type { ManagedFieldsEntry } from "../../types/meta-v1.ts";
import { emptySet, type FieldSet, isEmptySet, parseFieldsV1, toFieldsV1, union } from "./field-set.ts";

export interface Owner {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  readonly subresource: string;
  readonly time: string | undefined;
  readonly set: FieldSet;
  /** The entry this was read from, while nothing about it has changed. */
  readonly entry?: ManagedFieldsEntry;
}

/** Owners by identity. */
export type Owners = ReadonlyMap<string, Owner>;

/** What makes two entries one: an applier is the same whatever version it applies. */
export function identityOf(owner: Pick<Owner, "manager" | "operation" | "apiVersion" | "subresource">): string {
  return JSON.stringify([owner.manager, owner.operation, owner.operation === "Apply" ? "" : owner.apiVersion, owner.subresource]);
}

/** Reads entries; undefined when one of them is malformed. */
export function readOwners(entries: readonly ManagedFieldsEntry[] | null | undefined): Owners | undefined {
  const owners = new Map<string, Owner>();
  for (const entry of entries ?? []) {
    const { manager = "", operation, apiVersion = "", subresource = "", time, fieldsType, fieldsV1 } = entry;
    if ((operation !== "Apply" && operation !== "Update") || apiVersion === "" || fieldsType !== "FieldsV1") return undefined;
    let set: FieldSet;
    try {
      set = parseFieldsV1(fieldsV1 ?? {});
    } catch {
      return undefined; // what clients write here need not make sense: upstream ignores it as a whole
    }
    const owner: Owner = { manager, operation, apiVersion, subresource, time, set, entry };
    owners.set(identityOf(owner), owner);
  }
  return owners;
}

/** Why entries cannot be read; undefined where they can be. */
export function ownersProblem(entries: readonly ManagedFieldsEntry[] | null | undefined): string | undefined {
  for (const [i, { operation, apiVersion = "", fieldsType = "", fieldsV1 }] of (entries ?? []).entries()) {
    if (operation !== "Apply" && operation !== "Update") return "operation must be `Apply` or `Update`";
    if (apiVersion === "") return "apiVersion must not be empty";
    if (fieldsType === "") return `missing fieldsType in managed fields entry ${i}`;
    if (fieldsType !== "FieldsV1") return `invalid fieldsType ${JSON.stringify(fieldsType)} in managed fields entry ${i}`;
    try {
      parseFieldsV1(fieldsV1 ?? {});
    } catch (error) {
      return `error decoding versioned set: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  return undefined;
}

/** Writes owners, in upstream's order; undefined when there are none. */
export function writeOwners(owners: Owners): readonly ManagedFieldsEntry[] | undefined {
  if (owners.size === 0) return undefined;
  return sortedEntries([...owners.values()]);
}

/** Entries in upstream's order. */
export function sortedEntries(owners: readonly Owner[]): readonly ManagedFieldsEntry[] {
  return owners.toSorted(compareOwners).map((owner) => owner.entry ?? entryOf(owner, toFieldsV1(owner.set)));
}

export function entryOf(owner: Omit<Owner, "set">, fieldsV1: Readonly<Record<string, unknown>>): ManagedFieldsEntry {
  const { manager, operation, apiVersion, subresource, time } = owner;
  // Filled in the order in which upstream writes it; conditional spreads would cost more than all the rest.
  const entry: { -readonly [K in keyof ManagedFieldsEntry]: ManagedFieldsEntry[K] } = {};
  if (manager !== "") entry.manager = manager;
  entry.operation = operation;
  entry.apiVersion = apiVersion;
  if (time !== undefined) entry.time = time;
  entry.fieldsType = "FieldsV1";
  entry.fieldsV1 = fieldsV1;
  if (subresource !== "") entry.subresource = subresource;
  return entry;
}

function compareOwners(a: Owner, b: Owner): number {
  return (
    compareText(a.operation, b.operation) ||
    compareText(a.time ?? "", b.time ?? "") ||
    compareText(a.manager, b.manager) ||
    compareText(a.apiVersion, b.apiVersion) ||
    compareText(a.subresource, b.subresource)
  );
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The owner with another set. */
export function withSet(owner: Owner, set: FieldSet): Owner {
  if (set === owner.set) return owner;
  const { entry: _, ...rest } = owner;
  return { ...rest, set };
}

const maxUpdaters = 10;
const mergedUpdater = "ancient-changes";

/** Keeps at most ten updaters: the oldest ones of each API version are merged into one. */
export function capUpdaters(owners: Owners): Owners {
  const updaters = [...owners].filter(([, owner]) => owner.operation === "Update");
  if (updaters.length <= maxUpdaters) return owners;
  updaters.sort(([, a], [, b]) => compareText(a.time ?? "", b.time ?? "") || compareText(a.manager, b.manager));
  const result = new Map(owners);
  const firstOfVersion = new Map<string, string>();
  const merges = new Map<string, FieldSet[]>();
  let count = updaters.length;
  for (const [identity, owner] of updaters) {
    if (count <= maxUpdaters) break;
    const first = firstOfVersion.get(owner.apiVersion);
    if (first === undefined) {
      firstOfVersion.set(owner.apiVersion, identity);
      continue;
    }
    const bucket = { manager: mergedUpdater, operation: "Update", apiVersion: owner.apiVersion, subresource: "" } as const;
    const key = identityOf(bucket);
    let sets = merges.get(key);
    if (!sets) {
      sets = [(result.get(key) ?? result.get(first))?.set ?? emptySet];
      merges.set(key, sets);
    }
    if (!result.has(key)) result.delete(first);
    result.delete(identity);
    sets.push(owner.set);
    result.set(key, { ...bucket, time: owner.time, set: emptySet });
    count--;
  }
  for (const [key, sets] of merges) result.set(key, { ...(result.get(key) as Owner), set: unionOf(sets) });
  return result;
}

/** Pair by pair: what many own is not copied again for each of them. */
function unionOf(sets: readonly FieldSet[]): FieldSet {
  let level = sets;
  while (level.length > 1) level = level.flatMap((set, index) => (index % 2 === 0 ? [union(set, level[index + 1] ?? emptySet)] : []));
  return level[0] ?? emptySet;
}

/** Puts an owner in, or takes it out when it owns nothing. */
export function setOwner(owners: Map<string, Owner>, identity: string, owner: Owner): void {
  if (isEmptySet(owner.set)) owners.delete(identity);
  else owners.set(identity, owner);
}
