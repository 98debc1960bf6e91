// Deleting an object. What a DELETE does depends on the kind's grace period, on finalizers, and on how dependents are to
// be treated (which is said to the garbage collector by finalizers): the object disappears at once, or is marked and stays
// until its grace period is over and its last finalizer is gone. The steps and texts are upstream's.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { conflict, internalError, notFound, type StatusError } from "../../api/meta/status-error.ts";
import { parseTime } from "../../api/meta/time.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import type { DeleteOptions, ObjectMeta } from "../../api/types/meta-v1.ts";
import { formatTime } from "../../base/clock.ts";
import type { ObjectVersion } from "../watch-cache/object-version.ts";
import { withMetadata } from "./object-meta.ts";
import type { ResourceDefinition } from "./resource-definition.ts";
import { type ResourceStore, unstored } from "./resource-store.ts";
import { admissionRequest, hookOf, strategyContext, type WriteEnvironment, type WriteRequest } from "./write-environment.ts";

export interface DeleteResult {
  /** The object as it was removed, or as it stays. */
  readonly version: ObjectVersion;
  readonly removed: boolean;
}

interface Preconditions {
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
}

export interface DeleteAdmission {
  /** The name under which admission sees the request: "" for a collection's. False: admission has been asked already. */
  readonly admission?: string | false;
}

const maxAttempts = 256;

export async function deleteObject(
  env: WriteEnvironment,
  store: ResourceStore,
  request: WriteRequest,
  options: DeleteOptions,
  { admission = request.name }: DeleteAdmission = {},
): Promise<DeleteResult> {
  const { type } = store;
  const key = store.keyOf(request.namespace, request.name);
  let current = await store.read(key);
  if (!current) throw notFound(type, request.name);
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    if (attempt > 0) request.context.request.signal.throwIfAborted();
    // Held here, it is the same object whenever the version is asked.
    const object = current.shared();
    checkPreconditions(store, object, options);
    const step = decideDeletion(env, store, request, options, object);
    if (step.kind === "pending") return { version: current, removed: false };
    if (admission !== false) {
      const subject = { operation: "DELETE", type, name: admission, oldObject: object } as const;
      const asked = admissionRequest(request, subject);
      await env.admission.mutate(asked);
      await env.admission.validate(store.definition.deletion ? admissionRequest(meaning(request, object), subject) : asked);
    }
    const outcome = await attemptDelete(env, store, request, step, current);
    if (outcome.result) return outcome.result;
    if (!outcome.current) throw notFound(type, request.name);
    current = outcome.current;
  }
  throw internalError(new Error(`${type.resource} "${request.name}" kept changing while it was being deleted`));
}

/** Where the object itself says how it ends, its uid is in the options once it has been looked at. */
function meaning(request: WriteRequest, { metadata: { uid } }: KubernetesObject): WriteRequest {
  const { preconditions } = request.options as DeleteOptions;
  return { ...request, options: { ...request.options, preconditions: { uid, ...preconditions } } };
}

type Outcome =
  | { readonly result: DeleteResult }
  /** Another write came first. */
  | { readonly result: undefined; readonly current: ObjectVersion | undefined };

async function attemptDelete(
  env: WriteEnvironment,
  store: ResourceStore,
  request: WriteRequest,
  step: Exclude<Step, { readonly kind: "pending" }>,
  current: ObjectVersion,
): Promise<Outcome> {
  let version = current;
  if (step.object !== current.object) {
    if (request.dryRun)
      return { result: { version: unstored(current.key, step.object, current.revision), removed: step.kind === "remove" } };
    const marked = await store.commit(current.key, step.object, current);
    if (!marked.version) return { result: undefined, current: marked.current };
    version = marked.version;
  }
  if (step.kind === "mark") return { result: { version, removed: false } };
  if (request.dryRun) return { result: { version, removed: true } };
  const removed = await store.remove(version, hookOf(env, store.type)?.removal(version.object));
  if (!removed.version) return { result: undefined, current: removed.current };
  return { result: { version: removed.version, removed: true } };
}

type Step =
  /** Deletion is under way and this request adds nothing. */
  | { readonly kind: "pending" }
  /** Store the marked object; it stays. */
  | { readonly kind: "mark"; readonly object: KubernetesObject }
  /** Store the object where it is another, then remove it. */
  | { readonly kind: "remove"; readonly object: KubernetesObject };

function decideDeletion(
  env: WriteEnvironment,
  store: ResourceStore,
  request: WriteRequest,
  options: DeleteOptions,
  current: KubernetesObject,
): Step {
  const { definition } = store;
  if (definition.deletion) {
    const begun = current.metadata.deletionTimestamp !== undefined;
    if (!begun) {
      const marked = definition.deletion.begin(current, strategyContext(env, request));
      const { leavesDependents } = definition.deletion;
      return { kind: "mark", object: leavesDependents ? marked : withDependentFinalizers(marked, undefined, options) };
    }
    if (!definition.deletion.mayFinish(current)) return { kind: "pending" };
  }
  const nowMs = env.clock.now();
  const graceful = gracefulMark(store, options, current, nowMs);
  if (graceful === "pending") return { kind: "pending" };
  const finalized = withDependentFinalizers(graceful ?? current, definition.defaultDeletionPropagation, options);
  const hasFinalizers = (finalized.metadata.finalizers ?? []).length > 0;
  if (graceful) {
    const stays = hasFinalizers || (graceful.metadata.deletionGracePeriodSeconds ?? 0) > 0;
    return { kind: stays ? "mark" : "remove", object: finalized };
  }
  // What is removed at once is not written before: it goes, and is answered, as it is stored.
  return hasFinalizers ? { kind: "mark", object: withDeletionMark(finalized, nowMs) } : { kind: "remove", object: current };
}

/** The object with the grace period of this deletion; undefined where the kind has none; "pending" where one runs that is no longer. */
function gracefulMark(
  store: ResourceStore,
  options: DeleteOptions,
  object: KubernetesObject,
  nowMs: number,
): KubernetesObject | "pending" | undefined {
  const { gracefulDeletion } = store.definition;
  if (!gracefulDeletion) return undefined;
  const asked = options.gracePeriodSeconds;
  const requested = asked !== undefined && asked < 0 ? 1 : asked;
  const { deletionTimestamp, deletionGracePeriodSeconds: running, generation = 0 } = object.metadata;
  if (deletionTimestamp === undefined) {
    const seconds = gracefulDeletion.gracePeriodSeconds(object, requested);
    return withMetadata(object, {
      ...object.metadata,
      deletionTimestamp: formatTime(nowMs + seconds * 1000),
      deletionGracePeriodSeconds: seconds,
      ...(generation > 0 ? { generation: generation + 1 } : {}),
    });
  }
  // Nothing is waited for but finalizers.
  if (running === undefined || running === 0) return undefined;
  // A grace period that has begun can only be shortened.
  if (requested === undefined || requested >= running) return "pending";
  const endMs = (parseTime(deletionTimestamp) ?? nowMs) + (requested - running) * 1000;
  // Where all of it is over, whoever ends the object gracefully gets its last second.
  const seconds = endMs < nowMs && requested !== 0 ? 1 : requested;
  return withMetadata(object, {
    ...object.metadata,
    deletionTimestamp: formatTime(Math.max(endMs, nowMs)),
    deletionGracePeriodSeconds: seconds,
  });
}

/** Waiting for nothing but its finalizers from now on. */
export function withDeletionMark(object: KubernetesObject, nowMs: number): KubernetesObject {
  const { deletionTimestamp, deletionGracePeriodSeconds: running, generation = 0 } = object.metadata;
  // A kind that says itself how its objects end begins without a grace period.
  if (deletionTimestamp !== undefined && running !== undefined) return object;
  return withMetadata(object, {
    ...object.metadata,
    deletionTimestamp: deletionTimestamp ?? formatTime(nowMs),
    deletionGracePeriodSeconds: 0,
    ...(generation > 0 && deletionTimestamp === undefined ? { generation: generation + 1 } : {}),
  });
}

const orphanFinalizer = "orphan";
const foregroundFinalizer = "foregroundDeletion";

/** The finalizers that tell the garbage collector what becomes of dependents. */
function withDependentFinalizers(
  object: KubernetesObject,
  byDefault: ResourceDefinition["defaultDeletionPropagation"],
  { orphanDependents, propagationPolicy }: DeleteOptions,
): KubernetesObject {
  const present = object.metadata.finalizers ?? [];
  const counts = byDefault !== "unsupported";
  const unsaid = orphanDependents === undefined && propagationPolicy === undefined;
  const orphan = unsaid
    ? present.includes(orphanFinalizer) || (!present.includes(foregroundFinalizer) && byDefault === "orphan")
    : (orphanDependents ?? propagationPolicy === "Orphan");
  const foreground = unsaid ? !orphan && present.includes(foregroundFinalizer) : propagationPolicy === "Foreground";
  const wanted = present.filter((finalizer) => finalizer !== orphanFinalizer && finalizer !== foregroundFinalizer);
  if (orphan && counts) wanted.push(orphanFinalizer);
  if (foreground && counts) wanted.push(foregroundFinalizer);
  if (wanted.length === present.length && wanted.every((finalizer) => present.includes(finalizer))) return object;
  const { finalizers: _, ...metadata } = object.metadata;
  return withMetadata(object, wanted.length === 0 ? metadata : { ...metadata, finalizers: wanted });
}

/** Throws 409 where the object is not the one the client means. */
export function checkPreconditions(
  { type, definition }: ResourceStore,
  { metadata }: KubernetesObject,
  { preconditions }: DeleteOptions,
): void {
  const { uid, resourceVersion } = preconditions ?? {};
  if (definition.deletion) return checkOwnPreconditions(type, metadata, { uid, resourceVersion });
  // Upstream names the kind here where other conflicts name the resource, and in the group that it is stored in.
  const subject = { group: definition.sharesStorageOf?.type.group ?? type.group, resource: type.kind };
  if (uid !== undefined && uid !== metadata.uid)
    throw conflict(
      subject,
      metadata.name,
      `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`,
    );
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion)
    throw conflict(
      subject,
      metadata.name,
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`,
    );
}

/** Kinds that say themselves how their objects end look at preconditions themselves, in words of their own. */
function checkOwnPreconditions(type: ResourceType, metadata: ObjectMeta, { uid, resourceVersion }: Preconditions): void {
  const differs = (field: string, asked: string, actual: string | undefined): StatusError =>
    conflict(type, metadata.name, `Precondition failed: ${field} in precondition: ${asked}, ${field} in object meta: ${actual}`);
  if (uid !== undefined && uid !== metadata.uid) throw differs("UID", uid, metadata.uid);
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion)
    throw differs("ResourceVersion", resourceVersion, metadata.resourceVersion);
}

/** What a DELETE answers when the object is gone and the kind does not answer with it. */
export function deletedStatus({ type }: ResourceStore, { metadata }: KubernetesObject): unknown {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    details: { name: metadata.name, ...(type.group === "" ? {} : { group: type.group }), kind: type.resource, uid: metadata.uid },
  };
}
