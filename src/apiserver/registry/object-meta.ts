// What the registry does to the metadata of every object it writes: the fields the system sets at creation, those an
// update cannot change, generated names, namespaces, and the counting of generations.
import { randomInt, randomUUID } from "node:crypto";
import { equalAsTyped } from "../../api/meta/equality.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { hasEmptyPart, hasSentEmpty, sentEmptyFields } from "../../api/meta/sent-empty.ts";
import { badRequest } from "../../api/meta/status-error.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import { formatTime } from "../../base/clock.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Meta = Partial<Mutable<ObjectMeta>>;

export function withMetadata<T extends KubernetesObject>(object: T, metadata: Partial<ObjectMeta>): T {
  return { ...object, metadata: metadata as ObjectMeta };
}

/** Puts the request's namespace into an object that names none, and takes it from a cluster-scoped one. Throws 400 where they differ. */
export function inNamespace<T extends KubernetesObject>(object: T, namespace: string): T {
  const own = object.metadata.namespace ?? "";
  if (own === namespace) return object;
  if (namespace !== "") {
    if (own !== "") throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
    return withMetadata(object, { ...object.metadata, namespace });
  }
  const { namespace: _, ...metadata } = object.metadata;
  return withMetadata(object, metadata);
}

/** Checks the name in a body against that of the path. */
export function checkName(object: KubernetesObject, name: string): void {
  const own = object.metadata.name ?? "";
  if (own === "") throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`);
  if (own !== name) throw badRequest(`the name of the object (${own}) does not match the name on the URL (${name})`);
}

/** A new object with what the system sets: its uid and time of creation; nothing of a deletion. */
export function withSystemFields<T extends KubernetesObject>(object: T, nowMs: number): T {
  const uid = randomUUID();
  const creationTimestamp = formatTime(nowMs);
  const { metadata } = object;
  if (!("deletionTimestamp" in metadata || "deletionGracePeriodSeconds" in metadata || "selfLink" in metadata))
    return withMetadata(object, { ...metadata, uid, creationTimestamp });
  const { deletionTimestamp: _1, deletionGracePeriodSeconds: _2, selfLink: _3, ...rest } = metadata as ObjectMeta;
  return withMetadata(object, { ...rest, uid, creationTimestamp });
}

/** An object as it was sent, without what only the system sets. */
export function withoutSystemFields<T extends KubernetesObject>(object: T): T {
  const sent = object.metadata as ObjectMeta;
  if (!systemFields.some((field) => field in sent)) return object;
  const metadata = Object.fromEntries(Object.entries(sent).filter(([field]) => !systemFields.includes(field)));
  return withMetadata(object, metadata as ObjectMeta);
}

const systemFields = ["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"];

const suffixLetters = "bcdfghjklmnpqrstvwxz2456789";
const suffixLength = 5;
const maxGeneratedName = 63;

export function generateName(base: string): string {
  let name = base.slice(0, maxGeneratedName - suffixLength);
  for (let i = 0; i < suffixLength; i++) name += suffixLetters[randomInt(suffixLetters.length)];
  return name;
}

/** An updated object with what it may leave out: identity, and the deletion that has begun. */
export function withKeptMetadata<T extends KubernetesObject>(object: T, old: T): T {
  const metadata: Meta = { ...object.metadata };
  const before = old.metadata;
  if (!metadata.uid) metadata.uid = before.uid;
  if (before.creationTimestamp !== undefined) metadata.creationTimestamp = before.creationTimestamp;
  if (before.deletionTimestamp !== undefined) metadata.deletionTimestamp = before.deletionTimestamp;
  if (before.deletionGracePeriodSeconds !== undefined && metadata.deletionGracePeriodSeconds === undefined)
    metadata.deletionGracePeriodSeconds = before.deletionGracePeriodSeconds;
  if (before.generation === undefined) {
    // Not deleted from an object that does not have it: that would make it slow all the same.
    if ("generation" in metadata) delete metadata.generation;
  } else metadata.generation = before.generation;
  return withMetadata(object, metadata);
}

/** Counts a change of anything but metadata and status. To the letter: what the spec has that is empty is one too. */
export function withCountedGeneration<T extends KubernetesObject>(object: T, old: T, toTheLetter = false): T {
  if (sameDesiredState(object, old) && !(toTheLetter && desiresEmpty(object))) return object;
  return withMetadata(object, { ...object.metadata, generation: (old.metadata.generation ?? 0) + 1 });
}

const fieldsOf = (object: KubernetesObject): Readonly<Record<string, unknown>> => object as unknown as Readonly<Record<string, unknown>>;

const isDesired = (key: string): boolean => key !== "metadata" && key !== "status";

/** Whether anything but metadata and status was sent empty, or something in it. */
function desiresEmpty(object: KubernetesObject): boolean {
  if (!hasSentEmpty(object)) return false;
  const { metadata: _, status: __, ...desired } = fieldsOf(object);
  return sentEmptyFields(object).some(isDesired) || Object.values(desired).some(hasEmptyPart);
}

function sameDesiredState(a: KubernetesObject, b: KubernetesObject): boolean {
  const [left, right] = [fieldsOf(a), fieldsOf(b)];
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)]))
    if (isDesired(key) && !equalAsTyped(left[key], right[key])) return false;
  return true;
}

/** Repeated owner references are one; the client is warned. */
export function withoutRepeatedOwners<T extends KubernetesObject>(object: T, warn: (text: string) => void, when = ""): T {
  const owners = object.metadata.ownerReferences;
  if (!owners || owners.length < 2) return object;
  const seen = new Set<string>();
  const repeated: string[] = [];
  const kept = owners.filter((owner) => {
    const identity = JSON.stringify([owner.apiVersion, owner.kind, owner.name, owner.uid, owner.controller, owner.blockOwnerDeletion]);
    if (!seen.has(identity)) return seen.add(identity);
    repeated.push(owner.uid);
    return false;
  });
  if (repeated.length === 0) return object;
  warn(
    `.metadata.ownerReferences contains duplicate entries${when}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: ${repeated.join(", ")}`,
  );
  return withMetadata(object, { ...object.metadata, ownerReferences: kept });
}
