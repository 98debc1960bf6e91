// Creating an object, in upstream's order: managed fields, mutating admission, system fields and the generated name, the
// strategy, what is allocated for it, validation, validating admission, the store. A generated name that is taken is
// generated again.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { alreadyExists, conflict, forbidden, invalid, StatusError } from "../../api/meta/status-error.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import { ensureMayCreate } from "../authz/ensure-verb.ts";
import { ObjectVersion } from "../watch-cache/object-version.ts";
import { asAdmitted } from "./admitted-object.ts";
import { commitFitting, type FittingCommit } from "./commit-fitting.ts";
import { recordUpdate, withConstantFields } from "./field-management.ts";
import { generateName, inNamespace, withMetadata, withoutRepeatedOwners, withSystemFields } from "./object-meta.ts";
import type { CommitResult, ResourceStore } from "./resource-store.ts";
import { validateNewObject } from "./validate-object.ts";
import {
  admissionRequest,
  fieldWriter,
  hookOf,
  strategyContext,
  type WriteEnvironment,
  type WriteRequest,
  warn,
} from "./write-environment.ts";

export interface CreateOptions {
  /** The object's managedFields are right already (server-side apply). */
  readonly fieldsManaged?: boolean;
  /** The request was authorized for another verb: that its user may create is asked before admission has the last word. */
  readonly byOtherVerb?: boolean;
  /** See commit-fitting.ts. Default false. */
  readonly keepsOwners?: boolean;
}

/** Of names made from one generateName. */
const maxNameAttempts = 8;
/** Of what is reserved for an object: another server on the same store may take it first. */
const maxReservations = 16;

/** Stores a decoded object. Throws StatusError. */
export async function createObject(
  env: WriteEnvironment,
  store: ResourceStore,
  request: WriteRequest,
  sent: KubernetesObject,
  options: CreateOptions = {},
): Promise<ObjectVersion> {
  const { definition, type } = store;
  const { defaults } = definition;
  const refusal = definition.custom?.createRefusal();
  if (refusal !== undefined) throw forbidden(type, sent.metadata.name ?? "", refusal);
  let object = inNamespace(withoutDeletion(sent), type.namespaced ? request.namespace : "");
  object = definition.create.withSharedParts?.(object) ?? object;
  object = withoutRepeatedOwners(defaults ? defaults(object, env.clock.now()) : object, (text) => warn(request, text));
  if (!options.fieldsManaged) object = recordUpdate(definition, undefined, object, fieldWriter(env, store, request));
  const named = object.metadata.name ?? "";
  const subject = { operation: "CREATE", type, name: named } as const;
  const admitted = (await env.admission.mutate(admissionRequest(request, { ...subject, object }))) ?? object;
  if (admitted !== object) object = asAdmitted(store, request, { before: object, admitted, nowMs: env.clock.now() });
  const base = object.metadata.generateName ?? "";
  if (object.metadata.name || base === "") return createNamed(env, store, request, object, options);
  for (let attempt = 1; ; attempt++) {
    try {
      const generated = withMetadata(object, { ...object.metadata, name: generateName(base) });
      return await createNamed(env, store, request, generated, options);
    } catch (error) {
      const taken = error instanceof StatusError && error.reason === "AlreadyExists";
      if (!taken || attempt === maxNameAttempts) throw taken ? nameNotGenerated(error) : error;
    }
  }
}

/** Nothing is created as being deleted. */
function withoutDeletion(object: KubernetesObject): KubernetesObject {
  const { metadata } = object;
  if (metadata.deletionTimestamp === undefined && metadata.deletionGracePeriodSeconds === undefined) return object;
  const { deletionTimestamp: _1, deletionGracePeriodSeconds: _2, ...rest } = metadata;
  return withMetadata(object, rest as ObjectMeta);
}

async function createNamed(
  env: WriteEnvironment,
  store: ResourceStore,
  request: WriteRequest,
  admitted: KubernetesObject,
  options: CreateOptions,
): Promise<ObjectVersion> {
  const { definition, type } = store;
  const context = strategyContext(env, request);
  let object = withSystemFields(definition.withoutGated?.(admitted) ?? admitted, context.nowMs);
  object = withConstantFields(type, definition.create.prepare?.(object, context) ?? object);
  if (countsGeneration(store)) object = withMetadata(object, { ...object.metadata, generation: 1 });
  for (let attempt = 1; ; attempt++) {
    const created = await attemptCreate(env, store, request, object, options);
    if (created) return created;
    if (attempt === maxReservations) throw contested(store, object);
    request.context.request.signal.throwIfAborted();
  }
}

/** Undefined where what was reserved for the object was taken by another server. */
async function attemptCreate(
  env: WriteEnvironment,
  store: ResourceStore,
  request: WriteRequest,
  prepared: KubernetesObject,
  { byOtherVerb = false, keepsOwners = false }: CreateOptions,
): Promise<ObjectVersion | undefined> {
  const { definition, type } = store;
  let object = prepared;
  // What is made by way of its status gets nothing from the allocators.
  const hook = request.subresource === "" ? hookOf(env, type) : undefined;
  const reservation = await hook?.reserve(object, undefined, request.dryRun);
  let stored = false;
  let contestedAt: number | undefined;
  try {
    object = reservation?.object ?? object;
    const errors = validateNewObject(definition, object);
    const subject = { operation: "CREATE", type, name: object.metadata.name, object } as const;
    if (errors.length > 0) {
      const first = await env.admission.problems(admissionRequest(request, subject));
      throw invalid(kindInErrors(store, object), object.metadata.name ?? "", [...first, ...errors]);
    }
    for (const text of definition.create.warnings?.(object) ?? []) warn(request, text);
    if (byOtherVerb) await ensureMayCreate(env.authorizer, request.context);
    await env.admission.validate(admissionRequest(request, subject));
    if (saysRevision(object) && !request.dryRun)
      throw new StatusError({ code: 500, message: "resourceVersion should not be set on objects to be created" });
    const result = await commitNew(store, object, { dryRun: request.dryRun, companions: await reservation?.companions(), keepsOwners });
    stored = result.version !== undefined;
    if (!result.version) ({ contestedAt } = result);
    return result.version;
  } finally {
    reservation?.settle(stored && !request.dryRun, contestedAt);
  }
}

/** Whether its version is one of the store's; what is no number counts as none, and is not kept. */
function saysRevision({ metadata: { resourceVersion = "" } }: KubernetesObject): boolean {
  return /^\d+$/.test(resourceVersion) && BigInt(resourceVersion) > 0n && BigInt(resourceVersion) < 1n << 64n;
}

/** The kind that a refusal names: that of the storage, and of a custom object what it says it is. */
export function kindInErrors(
  { definition, type }: ResourceStore,
  { kind }: KubernetesObject,
): { readonly group: string; readonly kind: string } {
  return definition.custom ? { group: type.group, kind } : (definition.sharesStorageOf?.type ?? type);
}

/** Throws AlreadyExists. */
async function commitNew(
  store: ResourceStore,
  object: KubernetesObject,
  { dryRun, ...how }: Pick<FittingCommit, "companions" | "keepsOwners"> & { readonly dryRun: boolean },
): Promise<CommitResult> {
  const key = store.keyOf(object.metadata.namespace ?? "", object.metadata.name);
  if (dryRun) {
    const current = await store.read(key);
    if (current) throw nameTaken(store, current);
    // As it would be read, with the defaults of what its strategy has taken away, and with the resourceVersion that was sent.
    return { version: new ObjectVersion(key, store.asRead(store.definition.defaults?.(object) ?? object), 0) };
  }
  const result = await commitFitting(store, { key, object, over: undefined, ...how });
  if (!result.version && result.contestedAt === undefined) throw nameTaken(store, result.current, object.metadata.name);
  return result;
}

/** Whether metadata.generation of this resource is counted. */
export function countsGeneration({ definition }: ResourceStore): boolean {
  return definition.countsGeneration !== undefined
    ? definition.countsGeneration !== false
    : definition.type.subresources.some((s) => s.name === "status");
}

function nameTaken(store: ResourceStore, current: ObjectVersion | undefined, name = ""): StatusError {
  const error = alreadyExists(store.type, current?.object.metadata.name ?? name);
  if (current?.object.metadata.deletionTimestamp === undefined) return error;
  return new StatusError({ ...error.status, message: `object is being deleted: ${error.message}` });
}

const contested = ({ type }: ResourceStore, { metadata }: KubernetesObject): StatusError =>
  conflict(type, metadata.name, "what was allocated for it was taken by others each time; please try again");

function nameNotGenerated({ status }: StatusError): StatusError {
  const message = `${status.message}, the server was not able to generate a unique name for the object`;
  return new StatusError({ ...status, message, details: { ...status.details, retryAfterSeconds: 1 } });
}
