// create, update, patch, delete and deletecollection as answers: bodies and options are read, what they say is handed to
// the write path, and the object it has written is shown as the client wants it.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import type { DeleteOptions } from "../../api/types/meta-v1.ts";
import { negotiatePatch, notConsumed, type PatchContent } from "../http/negotiate.ts";
import { addWarning } from "../http/warnings.ts";
import type { ApiResponse, RequestContext } from "../request.ts";
import { compileApply } from "./apply.ts";
import { readObject, readPatchBody } from "./body.ts";
import { createObject } from "./create.ts";
import { type DeleteResult, deletedStatus, deleteObject } from "./delete.ts";
import { readDeleteOptions } from "./delete-options-body.ts";
import type { ExpectedKind } from "./expected-kind.ts";
import { listPage, writtenList } from "./list.ts";
import { checkName, inNamespace } from "./object-meta.ts";
import { compilePatch, type PatchFunction, unsupportedPatch } from "./patch.ts";
import { listAnswer, objectAnswer, scaleAnswer } from "./read-verbs.ts";
import { hasTable, representationOf } from "./representation.ts";
import { managerOf, parseListOptions, parseWriteOptions, type WriteOptions } from "./request-options.ts";
import type { UpdateStrategy } from "./resource-definition.ts";
import type { ResourceStore } from "./resource-store.ts";
import { scaleKind, updateScale } from "./scale.ts";
import { scopeOf } from "./scope.ts";
import { type Change, updateObject } from "./update.ts";
import type { WriteEnvironment, WriteRequest } from "./write-environment.ts";

export interface WriteTarget {
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
}

export function writeRequest(context: RequestContext, options: WriteOptions, target: WriteTarget): WriteRequest {
  const manager = managerOf(options, context.request.headers["user-agent"]);
  return { context, ...target, dryRun: options.dryRun, options: options.asObject, manager };
}

const kindOf = ({ type, definition }: ResourceStore): ExpectedKind => ({
  group: type.group,
  version: type.version,
  kind: type.kind,
  schema: type.schema,
  decode: definition.custom?.decode,
  defaults: definition.defaults,
  unreadable: definition.unreadable,
});

export async function answerCreate(
  env: WriteEnvironment,
  store: ResourceStore,
  context: RequestContext,
  namespace: string,
): Promise<ApiResponse> {
  const representation = representationOf(context.request, "object", store.type);
  const options = parseWriteOptions("CreateOptions", context.request.query);
  const object = await readObject(context, kindOf(store), options.fieldValidation);
  const version = await createObject(env, store, writeRequest(context, options, { namespace, name: "", subresource: "" }), object);
  return objectAnswer(env, store, version, representation, 201);
}

export interface UpdateTarget {
  readonly namespace: string;
  readonly subresource: string;
  readonly strategy: UpdateStrategy<KubernetesObject>;
}

export async function answerUpdate(
  env: WriteEnvironment,
  store: ResourceStore,
  context: RequestContext,
  { namespace, subresource, strategy }: UpdateTarget,
): Promise<ApiResponse> {
  const representation = representationOf(context.request, "object", store.type, hasTable(store.definition, subresource));
  const options = parseWriteOptions("UpdateOptions", context.request.query);
  const { name } = context.info;
  const request = writeRequest(context, options, { namespace, name, subresource });
  const scales = subresource === "scale";
  const sent = await readObject(context, scales ? scaleKind : kindOf(store), options.fieldValidation);
  const object = inNamespace(sent, namespace);
  checkName(object, name);
  const uid = object.metadata.uid;
  if (scales) {
    const { version } = await updateScale(env, store, { ...request, uid }, () => ({ object }));
    return scaleAnswer(env, store, version, representation);
  }
  const result = await updateObject(env, store, { ...request, strategy, uid, change: () => ({ object }) });
  return objectAnswer(env, store, result.version, representation, result.created ? 201 : 200);
}

/** What is sent; the router of built-in kinds refuses what it does not know, and says so in no CBOR. */
function patchContent({ definition }: ResourceStore, context: RequestContext): PatchContent {
  const content = negotiatePatch(context.request);
  if (content) return content;
  if (definition.custom) throw unsupportedPatch(context.request.cbor !== undefined);
  context.speaksCbor = false;
  throw notConsumed();
}

const isApply = (content: PatchContent): content is "apply" | "apply in CBOR" => content === "apply" || content === "apply in CBOR";

export async function answerPatch(
  env: WriteEnvironment,
  store: ResourceStore,
  context: RequestContext,
  { namespace, subresource, strategy }: UpdateTarget,
): Promise<ApiResponse> {
  const { request: http, info } = context;
  const content = patchContent(store, context);
  if (content === "strategic" && store.definition.custom) throw unsupportedPatch(http.cbor !== undefined);
  const representation = representationOf(http, "object", store.type, hasTable(store.definition, subresource));
  const options = parseWriteOptions("PatchOptions", http.query, isApply(content));
  const body = await readPatchBody(context, content);
  const scales = subresource === "scale";
  const target = {
    kind: scales ? scaleKind : kindOf(store),
    name: info.name,
    namespace,
    validation: options.fieldValidation,
    warn: (text: string) => addWarning(context.warnings, text),
  };
  const request = writeRequest(context, options, { namespace, name: info.name, subresource });
  if (isApply(content)) {
    const apply = await compileApply(env, store, body, { ...target, request, force: options.force });
    if (scales) {
      const { version } = await updateScale(env, store, { ...request, keepsOwners: true }, apply);
      return scaleAnswer(env, store, version, representation);
    }
    const applied = { strategy, change: apply, createsAbsent: subresource === "", keepsOwners: true };
    const result = await updateObject(env, store, { ...request, ...applied });
    return objectAnswer(env, store, result.version, representation, result.created ? 201 : 200);
  }
  // Read when there is an object to apply it to: an absent one is not found, whatever the patch.
  let compiled: PatchFunction | undefined;
  const patch: PatchFunction = (current) => {
    compiled ??= compilePatch(content, body, target);
    return compiled(current);
  };
  if (scales) {
    const { version } = await updateScale(env, store, request, (scale) => ({ object: patch(scale) }));
    return scaleAnswer(env, store, version, representation);
  }
  // Patches never create, so there is an object.
  const change = (current: KubernetesObject | undefined): Change => ({ object: patch(current as KubernetesObject) });
  const result = await updateObject(env, store, { ...request, strategy, change, neverCreates: true });
  return objectAnswer(env, store, result.version, representation, 200);
}

function deleteRequest(context: RequestContext, namespace: string, name: string, options: DeleteOptions): WriteRequest {
  const asObject = { ...options, kind: "DeleteOptions", apiVersion: "meta.k8s.io/v1" };
  return { context, namespace, name, subresource: "", dryRun: (options.dryRun ?? []).length > 0, options: asObject, manager: "" };
}

export async function answerDelete(
  env: WriteEnvironment,
  store: ResourceStore,
  context: RequestContext,
  namespace: string,
): Promise<ApiResponse> {
  const representation = representationOf(context.request, "object", store.type);
  const options = await readDeleteOptions(context);
  warnOfDeletion(store, context, options);
  const result = await deleteObject(env, store, deleteRequest(context, namespace, context.info.name, options), options);
  if (result.removed && !store.definition.deletionReturnsObject)
    return { kind: "object", status: 200, object: deletedStatus(store, result.version.object) };
  const accepted = !result.removed && options.orphanDependents === false;
  return objectAnswer(env, store, result.version, representation, accepted ? 202 : 200);
}

/** Where dependents stay that people expect to go. */
function warnOfDeletion({ definition }: ResourceStore, { warnings }: RequestContext, options: DeleteOptions): void {
  const { orphaningWarning: text } = definition;
  if (text === undefined || options.propagationPolicy !== undefined || options.orphanDependents !== undefined) return;
  addWarning(warnings, text);
}

/** Objects deleted at once by a deletecollection, as upstream's default number of workers. */
const deletionsAtOnce = 16;

export async function answerDeleteCollection(
  env: WriteEnvironment,
  store: ResourceStore,
  context: RequestContext,
  namespace: string,
): Promise<ApiResponse> {
  const { query } = context.request;
  const representation = representationOf(context.request, "list", store.type);
  const options = parseListOptions(query, false);
  const scope = scopeOf(store, { ...options, namespace });
  const deleteOptions = await readDeleteOptions(context);
  warnOfDeletion(store, context, deleteOptions);
  const page = await listPage(store, scope, options);
  const waiting = [...page.versions];
  const { signal } = context.request;
  const work = async (): Promise<void> => {
    for (let version = waiting.shift(); version; version = waiting.shift()) {
      // Whoever asked for it is gone, or has been told that it took too long.
      signal.throwIfAborted();
      const { metadata } = version.object;
      await deletePresent(env, store, deleteRequest(context, metadata.namespace ?? "", metadata.name, deleteOptions), deleteOptions);
    }
  };
  await Promise.all(Array.from({ length: Math.min(deletionsAtOnce, waiting.length) }, work));
  if (representation.as !== "object") return listAnswer(env, store, page, representation, true);
  return { kind: "object", status: 200, object: writtenList(store.type, page) };
}

async function deletePresent(
  env: WriteEnvironment,
  store: ResourceStore,
  request: WriteRequest,
  options: DeleteOptions,
): Promise<DeleteResult | undefined> {
  try {
    return await deleteObject(env, store, request, options, { admission: "" });
  } catch (error) {
    if (isStatus(error, "NotFound")) return undefined;
    throw error;
  }
}
