// Updating an object: a change is computed from the current version, checked, and stored over exactly that version; when
// another write came first it is computed again. The current version comes from the watch cache; what is refused on the
// ground of a version that proves old is tried again on the one in the store. PUT, PATCH, apply, scale, binding, status
// and every other write over an existing object pass here.
import { type FieldError, invalidValue } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { conflict, internalError, invalid, notFound } from "../../api/meta/status-error.ts";
import type { GroupVersionKind } from "../../api/resource-type.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import type { ObjectVersion } from "../watch-cache/object-version.ts";
import { afterAdmission, asAdmitted } from "./admitted-object.ts";
import { commitFitting } from "./commit-fitting.ts";
import { countsGeneration, createObject, kindInErrors } from "./create.ts";
import { recordUpdate, sameButForTimes, withConstantFields } from "./field-management.ts";
import { inNamespace, withCountedGeneration, withKeptMetadata, withMetadata, withoutRepeatedOwners } from "./object-meta.ts";
import { malformedResourceVersion, parseResourceVersion } from "./request-options.ts";
import type { UpdateStrategy } from "./resource-definition.ts";
import { type Companions, type ResourceStore, unstored } from "./resource-store.ts";
import { validateChangedObject } from "./validate-object.ts";
import {
  admissionRequest,
  fieldWriter,
  hookOf,
  strategyContext,
  type WriteEnvironment,
  type WriteRequest,
  warn,
} from "./write-environment.ts";

/** The object as it shall be, from the version it replaces. */
export interface Change {
  readonly object: KubernetesObject;
  /** The managedFields are right already (server-side apply). */
  readonly fieldsManaged?: boolean;
  /** Nothing but its owners has changed: it gets no defaults that it has not. */
  readonly onlyOwners?: boolean;
}

export interface UpdateRequest extends WriteRequest {
  readonly strategy: UpdateStrategy<KubernetesObject>;
  /** `current` is absent when there is no such object; then only an apply or a creating PUT gives a change. */
  change(current: KubernetesObject | undefined): Promise<Change> | Change;
  /** The uid that the object must have. */
  readonly uid?: string | undefined;
  /** The resourceVersion that the object must have, whatever its uid: a precondition, not the version of what is sent. */
  readonly onlyVersion?: string | undefined;
  /** See commit-fitting.ts. Default false. */
  readonly keepsOwners?: boolean;
  /** An absent object is created, whatever the definition says (server-side apply). */
  readonly createsAbsent?: boolean;
  /** An absent object is not found, whatever the definition says (patches). */
  readonly neverCreates?: boolean;
  /** What admission sees where it is not the resource's object (a Scale). */
  readonly admissionView?: { readonly kind: GroupVersionKind; of(object: KubernetesObject): KubernetesObject };
  /** Admission has been asked already, about another object (an Eviction). */
  readonly admitted?: boolean;
  /** The change is no change of what is desired. */
  readonly keepsGeneration?: boolean;
  /** The change is the server's own (a pod gets its node): it is stored as it is, without defaults, validation and admission. */
  readonly ownChange?: boolean;
}

export interface UpdateResult {
  readonly version: ObjectVersion;
  readonly created: boolean;
}

/** Against a writer that always comes first: in practice the second or third attempt succeeds. */
const maxAttempts = 256;

export async function updateObject(env: WriteEnvironment, store: ResourceStore, request: UpdateRequest): Promise<UpdateResult> {
  const key = store.keyOf(request.namespace, request.name);
  let { version: current, fresh } = await store.recent(key);
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    // Not asked before anything has been waited for: a signal costs more than the rest of the loop.
    if (attempt > 0) request.context.request.signal.throwIfAborted();
    let outcome: Outcome;
    try {
      outcome = await attemptUpdate(env, store, request, current);
    } catch (error) {
      if (fresh) throw error;
      const newer = await store.read(key);
      if (newer?.revision === current?.revision) throw error;
      [current, fresh] = [newer, true];
      continue;
    }
    if (outcome.result) {
      if (outcome.stored || fresh) return outcome.result;
      // Nothing to change, seen from the cache: so it is only if the cache is not behind.
      const newer = await store.read(key);
      if (newer?.revision === current?.revision) return outcome.result;
      [current, fresh] = [newer, true];
    } else [current, fresh] = [outcome.current, true];
  }
  throw internalError(new Error(`${store.type.resource} "${request.name}" kept changing while it was being updated`));
}

type Outcome =
  | { readonly result: UpdateResult; readonly stored: boolean }
  /** Another write came first: of the object, or of what was reserved for it, at that revision. */
  | { readonly result: undefined; readonly current: ObjectVersion | undefined; readonly contestedAt?: number };

async function attemptUpdate(
  env: WriteEnvironment,
  store: ResourceStore,
  request: UpdateRequest,
  current: ObjectVersion | undefined,
): Promise<Outcome> {
  if (!current) return { result: await createAbsent(env, store, request), stored: true };
  const old = current.object;
  checkStoredPreconditions(store, request, old);
  const change = request.change(old);
  const { object: wanted, ...changed } = change instanceof Promise ? await change : change;
  if (request.ownChange) {
    checkResourceVersion(store, wanted, current);
    return commitOver(env, store, request, wanted, current);
  }
  const object = await admitted(env, store, request, { object: wanted, ...changed }, old);
  checkResourceVersion(store, object, current);
  return storeChange(env, store, request, object, current);
}

/** What may create an object that is not there, where its kind allows that: its status too. */
const createsThrough: ReadonlySet<string> = new Set(["", "status"]);

async function createAbsent(env: WriteEnvironment, store: ResourceStore, request: UpdateRequest): Promise<UpdateResult> {
  const byPut = store.definition.allowCreateOnUpdate && createsThrough.has(request.subresource) && !request.neverCreates;
  if (!request.createsAbsent && !byPut) throw notFound(store.type, request.name);
  // What may be created is compared with the object that it is not: one without a uid.
  if (request.uid) throw preconditionFailed(store, request, `UID in precondition: ${request.uid}, UID in object meta: `);
  const change = await request.change(undefined);
  const options = { fieldsManaged: change.fieldsManaged === true, byOtherVerb: true, keepsOwners: request.keepsOwners === true };
  const object = request.createsAbsent ? asApplied(store, request, change.object) : change.object;
  const version = await createObject(env, store, request, object, options);
  return { version, created: true };
}

/** What an apply creates has no version yet, whatever it says, and no uid of the client's choice. */
function asApplied({ type }: ResourceStore, { name }: UpdateRequest, object: KubernetesObject): KubernetesObject {
  const { resourceVersion, uid, ...metadata } = object.metadata;
  if (uid) throw invalid(type, name, [invalidValue("metadata.uid", uid, "field is immutable")]);
  return resourceVersion === undefined ? object : { ...object, metadata: metadata as ObjectMeta };
}

/** The change with namespace, defaults and managed fields, as mutating admission leaves it. */
async function admitted(
  env: WriteEnvironment,
  store: ResourceStore,
  request: UpdateRequest,
  { object: wanted, fieldsManaged, onlyOwners }: Change,
  old: KubernetesObject,
): Promise<KubernetesObject> {
  const { type, definition } = store;
  const { defaults } = definition;
  let object = inNamespace(wanted, type.namespaced ? request.namespace : "");
  if (defaults && !onlyOwners) object = defaults(object, env.clock.now());
  // What a patch repeats counts while it is recorded who owns what.
  const isPatch = request.neverCreates === true;
  if (!isPatch) object = withoutRepeatedOwners(object, (text) => warn(request, text));
  if (!fieldsManaged) object = recordUpdate(definition, old, object, fieldWriter(env, store, request));
  if (request.admitted || request.admissionView) return object;
  const subject = { operation: "UPDATE", type, name: request.name, object, oldObject: old } as const;
  const result = (await env.admission.mutate(admissionRequest(request, subject))) ?? object;
  if (result !== object) return asAdmitted(store, request, { before: object, admitted: result, nowMs: env.clock.now() });
  return isPatch ? withoutRepeatedOwners(object, (text) => warn(request, text), afterAdmission) : object;
}

async function storeChange(
  env: WriteEnvironment,
  store: ResourceStore,
  request: UpdateRequest,
  admittedObject: KubernetesObject,
  current: ObjectVersion,
): Promise<Outcome> {
  const { type } = store;
  const old = current.object;
  const context = strategyContext(env, request);
  let object = withKeptMetadata(store.definition.withoutGated?.(admittedObject, old) ?? admittedObject, old);
  object = withConstantFields(type, request.strategy.prepare?.(object, old, context) ?? object);
  if (countsGeneration(store) && !request.keepsGeneration)
    object = withCountedGeneration(object, old, store.definition.countsGeneration === "to the letter");
  const reservation = await hookOf(env, type)?.reserve(object, old, request.dryRun);
  let stored = false;
  let contestedAt: number | undefined;
  try {
    object = reservation?.object ?? object;
    const errors: readonly FieldError[] = validateChangedObject(store.definition, request.strategy, object, old);
    for (const text of request.strategy.validationWarnings?.(object) ?? []) warn(request, text);
    if (errors.length === 0) for (const text of request.strategy.warnings?.(object, old) ?? []) warn(request, text);
    if (errors.length > 0) {
      const subject = { operation: "UPDATE", type, name: request.name, object, oldObject: old } as const;
      const first = request.admissionView ? [] : await env.admission.problems(admissionRequest(request, subject));
      throw invalid(kindInErrors(store, object), object.metadata.name, [...first, ...errors]);
    }
    if (!request.admitted) await validateAdmission(env, store, request, withRevision(object, current), old);
    const outcome = await commitChange(env, store, request, object, current, await reservation?.companions());
    if (outcome.result) stored = outcome.stored;
    else ({ contestedAt } = outcome);
    return outcome;
  } finally {
    reservation?.settle(stored && !request.dryRun, contestedAt);
  }
}

/** An object that does not say over which version it goes is judged as one that goes over the current one. */
function withRevision(object: KubernetesObject, { revision }: ObjectVersion): KubernetesObject {
  const { resourceVersion = "" } = object.metadata;
  return resourceVersion === "" || resourceVersion === "0"
    ? withMetadata(object, { ...object.metadata, resourceVersion: String(revision) })
    : object;
}

async function validateAdmission(
  env: WriteEnvironment,
  store: ResourceStore,
  request: UpdateRequest,
  object: KubernetesObject,
  old: KubernetesObject,
): Promise<void> {
  const { admissionView: view } = request;
  const seen = view ? { object: view.of(object), oldObject: view.of(old), kind: view.kind } : { object, oldObject: old };
  await env.admission.validate(admissionRequest(request, { operation: "UPDATE", type: store.type, name: request.name, ...seen }));
}

async function commitChange(
  env: WriteEnvironment,
  store: ResourceStore,
  request: UpdateRequest,
  object: KubernetesObject,
  current: ObjectVersion,
  companions: Companions | undefined,
): Promise<Outcome> {
  const removes = isFinished(store, object, current.object);
  if (!removes && sameButForTimes(object, current.object) && !(await store.needsRewrite(current)))
    return { result: { version: current, created: false }, stored: false };
  return commitOver(env, store, request, object, current, { removes, companions });
}

async function commitOver(
  env: WriteEnvironment,
  store: ResourceStore,
  request: UpdateRequest,
  object: KubernetesObject,
  current: ObjectVersion,
  { removes, companions }: { readonly removes: boolean; readonly companions: Companions | undefined } = plainCommit,
): Promise<Outcome> {
  if (request.dryRun)
    return { result: { version: unstored(current.key, store.asRead(object), current.revision), created: false }, stored: true };
  const result = removes
    ? await store.remove(current, hookOf(env, store.type)?.removal(current.object))
    : await commitFitting(store, { key: current.key, object, over: current, companions, keepsOwners: request.keepsOwners === true });
  if (!result.version) {
    const { current: now, contestedAt } = result;
    return { result: undefined, current: now, ...(contestedAt === undefined ? {} : { contestedAt }) };
  }
  if (!removes) return { result: { version: result.version, created: false }, stored: true };
  return { result: { version: unstored(current.key, object, current.revision), created: false }, stored: true };
}

const plainCommit = { removes: false, companions: undefined };

/** An object that waits for deletion disappears with its last finalizer, when its grace period is over too. */
function isFinished({ definition }: ResourceStore, object: KubernetesObject, old: KubernetesObject): boolean {
  if (old.metadata.deletionTimestamp === undefined || (object.metadata.finalizers ?? []).length > 0) return false;
  return definition.deletion ? definition.deletion.mayFinish(object) : old.metadata.deletionGracePeriodSeconds === 0;
}

function checkStoredPreconditions(store: ResourceStore, request: UpdateRequest, { metadata }: KubernetesObject): void {
  const { uid, onlyVersion } = request;
  if (uid && uid !== metadata.uid)
    throw preconditionFailed(store, request, `UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`);
  const { resourceVersion } = metadata;
  if (onlyVersion && onlyVersion !== resourceVersion)
    throw preconditionFailed(
      store,
      request,
      `ResourceVersion in precondition: ${onlyVersion}, ResourceVersion in object meta: ${resourceVersion}`,
    );
}

function preconditionFailed(store: ResourceStore, request: UpdateRequest, what: string): Error {
  const path = store.keyOf(request.namespace, request.name);
  // Upstream's dry run knows keys without what is before them in the store.
  const key = request.dryRun ? `/${store.storageKey(path).split("/").slice(2).join("/")}` : store.storageKey(path);
  return conflict(
    store.type,
    request.name,
    `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: ${what}`,
  );
}

const outdated = "the object has been modified; please apply your changes to the latest version and try again";

function checkResourceVersion(store: ResourceStore, object: KubernetesObject, current: ObjectVersion): void {
  const text = object.metadata.resourceVersion ?? "";
  const revision = text === "" ? 0 : parseResourceVersion(text);
  if (revision === undefined) throw malformedResourceVersion(text);
  if (revision === current.revision) return;
  const { name } = current.object.metadata;
  if (revision !== 0) throw conflict(store.type, name, outdated);
  if (store.definition.allowUnconditionalUpdate === false)
    throw invalid({ group: store.type.group, kind: store.type.resource }, name, [
      invalidValue("metadata.resourceVersion", 0, "must be specified for an update"),
    ]);
}
