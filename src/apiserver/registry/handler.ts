// Answers every request for a resource: finds what the path names, checks that the verb is served, and hands on to the
// file of that verb. Unknown paths and verbs are answered as upstream's router does.
import { badRequest, notFound, StatusError, methodNotAllowed as verbNotSupported } from "../../api/meta/status-error.ts";
import { bindings, pods as podsType } from "../../api/resources.generated.ts";
import type { Clock } from "../../base/clock.ts";
import type { AdmissionPlugin } from "../admission/admission.ts";
import type { AdmissionMetrics } from "../admission/admission-metrics.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import { negotiateOutput } from "../http/negotiate.ts";
import { pageNotFound } from "../http/plain-text.ts";
import type { RequestInfo } from "../http/request-info.ts";
import type { ApiResponse, Handler, RequestContext } from "../request.ts";
import { AdmissionChain } from "./admission-chain.ts";
import { bindingKind, bindPod } from "./binding.ts";
import { readObject } from "./body.ts";
import { connect, createVirtual } from "./creators.ts";
import { evictionKind, evictPod } from "./eviction.ts";
import { type Computed, type Connects, type Creators, subresourceKey } from "./handler-types.ts";
import { inNamespace, withoutSystemFields } from "./object-meta.ts";
import { answerComputed, answerGet, answerList, answerWatch } from "./read-verbs.ts";
import { parseWriteOptions } from "./request-options.ts";
import type { ResourceStore } from "./resource-store.ts";
import type { ResourceStores } from "./stores.ts";
import { defaultMinWatchTimeoutMs } from "./watch.ts";
import type { WriteEnvironment, WriteHook } from "./write-environment.ts";
import { answerCreate, answerDelete, answerDeleteCollection, answerPatch, answerUpdate, writeRequest } from "./write-verbs.ts";

export type { Connects, CreateHandler, CreateRequest, Creators } from "./handler-types.ts";

export interface ResourceHandlerDependencies {
  readonly clock: Clock;
  /** How long a watch lasts at least that does not say for how long. Default 30 min. */
  readonly minWatchTimeoutMs?: number;
  /** Says who may create what an update or an apply has not found. */
  readonly authorizer: Authorizer;
  /** In the order in which they run. */
  readonly admission: readonly AdmissionPlugin[];
  /** Where it is counted how long they take. */
  readonly admissionMetrics?: AdmissionMetrics;
  /** Resources and subresources that are created and not stored, by "group/resource" or "group/resource/subresource". */
  readonly creators?: Creators;
  /** Subresources that connect to a node or container. */
  readonly connects?: Connects;
  /** Resources that are read and not stored, by "group/resource". */
  readonly computed?: Computed;
  /** What takes part in the writes of a resource, by "group/resource": the allocators of services. */
  readonly hooks?: Readonly<Record<string, WriteHook>>;
}

interface Dispatch {
  readonly env: WriteEnvironment;
  readonly creators: Creators;
  readonly connects: Connects;
  readonly computed: Computed;
}

export function createResourceHandler(stores: ResourceStores, dependencies: ResourceHandlerDependencies): Handler {
  const { clock, authorizer, admission, creators = {}, connects = {}, computed = {}, hooks = {} } = dependencies;
  const { minWatchTimeoutMs = defaultMinWatchTimeoutMs } = dependencies;
  const chain = new AdmissionChain(admission, stores.reader, dependencies.admissionMetrics);
  const env = { stores, authorizer, clock, minWatchTimeoutMs, admission: chain, hooks };
  const dispatch: Dispatch = { env, creators, connects, computed };
  return (context) => {
    const { info } = context;
    const store = stores.find(info.apiGroup, info.apiVersion, info.resource);
    if (!store) {
      if (info.isResourceRequest && stores.hasBuiltIn(info.apiGroup)) throw unknownResource();
      return Promise.resolve(pageNotFound);
    }
    if (info.path.startsWith("//")) return Promise.resolve(pageNotFound);
    if (info.verb === "get") checkExport(context);
    if (namedVerbs.has(info.verb) && (context.request.method !== "HEAD" || store.definition.custom)) checkPathName(info.name);
    if (store.definition.custom) {
      warnOfDeprecation(store, context);
      return answerCustomResource(dispatch, store, context);
    }
    if (info.subresource === "") return answerResource(dispatch, store, context);
    return answerSubresource(dispatch, store, context);
  };
}

/** Served versions that are deprecated say so; what the router does not know says nothing. */
function warnOfDeprecation({ definition: { deprecation } }: ResourceStore, context: RequestContext): void {
  if (deprecation === undefined) return;
  context.warnings.push(deprecation);
  const removedRelease = /unavailable in v([\d.]+)\+/.exec(deprecation)?.[1] ?? "";
  context.removedRelease = removedRelease;
  context.auditAnnotations?.set("k8s.io/deprecated", "true");
  if (removedRelease !== "") context.auditAnnotations?.set("k8s.io/removed-release", removedRelease);
}

/** The namespace of a request; the paths of namespaces themselves have one that is their name. */
function namespaceOf(store: ResourceStore, info: RequestInfo): string {
  return store.type.namespaced ? info.namespace : "";
}

function answerResource(dispatch: Dispatch, store: ResourceStore, context: RequestContext): Promise<ApiResponse> {
  const { env, computed } = dispatch;
  const { info } = context;
  const { type } = store;
  const { verb } = info;
  const named = info.parts.length > 1 && info.parts[1] !== "";
  if (info.parts.length > 3 || verb === "proxy" || !isScopeOf(store, info, named)) throw unknownResource();
  if (named && !type.verbs.some((served) => namedVerbs.has(served))) throw unknownResource();
  // What cannot be listed has no path across namespaces.
  if (type.namespaced && info.namespace === "" && !type.verbs.includes("list")) throw unknownResource();
  const reads = computed[subresourceKey(type)];
  if (reads && verb === "watch") throw context.request.path.includes("/watch/") ? unknownResource() : verbNotSupported(type, verb);
  if (!type.verbs.includes(verb) || !suitsPath(store, info, named) || !suitsMethod(store, context)) throw methodNotAllowed();
  if (!named && namedVerbs.has(verb)) throw badRequest("name must be provided");
  context.isRouted = true;
  context.speaksCbor = true;
  if (!store.definition.custom) warnOfDeprecation(store, context);
  if (reads) return answerComputed(env, store, context, reads);
  const namespace = namespaceOf(store, info);
  switch (verb) {
    case "get":
      return answerGet(env, store, context, namespace);
    case "list":
      return answerList(env, store, context, namespace);
    case "watch":
      return answerWatch(env, store, context, namespace);
    case "create":
      return answerCreation(dispatch, store, context, namespace);
    case "update":
      return answerUpdate(env, store, context, { namespace, subresource: "", strategy: store.definition.update });
    case "patch":
      return answerPatch(env, store, context, { namespace, subresource: "", strategy: store.definition.update });
    case "delete":
      return answerDelete(env, store, context, namespace);
    case "deletecollection":
      return answerDeleteCollection(env, store, context, namespace);
    default:
      throw methodNotAllowed();
  }
}

function answerCreation(
  { env, creators }: Dispatch,
  store: ResourceStore,
  context: RequestContext,
  namespace: string,
): Promise<ApiResponse> {
  const key = subresourceKey(store.type);
  const creator = creators[key];
  if (creator) return createVirtual(env, store, context, creator);
  if (key === "/bindings") return answerBinding(env, context, namespace, "");
  return answerCreate(env, store, context, namespace);
}

/** Custom resources: upstream answers what does not fit as a handler behind its router. */
async function answerCustomResource(dispatch: Dispatch, store: ResourceStore, context: RequestContext): Promise<ApiResponse> {
  const { info } = context;
  const { type } = store;
  context.speaksCbor = true;
  const acrossNamespaces = info.verb === "list" || info.verb === "watch";
  if (type.namespaced ? info.namespace === "" && !acrossNamespaces : info.namespace !== "") return pageNotFound;
  if (info.subresource === "") {
    if (!type.verbs.includes(info.verb) || info.parts.length > 2) throw verbNotSupported(type, info.verb);
    return answerResource(dispatch, store, context);
  }
  const served = type.subresources.find((s) => s.name === info.subresource);
  if (!served) throw notFound(type, info.name);
  if (!served.verbs.includes(info.verb)) throw verbNotSupported(type, info.verb);
  return answerSubresource(dispatch, store, context);
}

/** Verbs of single objects. */
const namedVerbs: ReadonlySet<string> = new Set(["get", "update", "patch", "delete"]);
const readVerbs: ReadonlySet<string> = new Set(["get", "list", "watch"]);

/** The router knows reads of built-in kinds by GET alone: it answers no HEAD, and takes nothing else at the paths of watches. */
function suitsMethod({ definition }: ResourceStore, { info, request }: RequestContext): boolean {
  return request.method === "GET" || !readVerbs.has(info.verb) || definition.custom !== undefined;
}

/** Whether the path's form fits the resource's scope: "/api/v1/pods/x" and "/api/v1/namespaces/x/nodes" name nothing. */
function isScopeOf({ type }: ResourceStore, info: RequestInfo, named: boolean): boolean {
  if (type.namespaced) return info.namespace !== "" || !named;
  // The path of a namespace has it twice, as the one it is in and as its name.
  return info.namespace === "" || (type.resource === "namespaces" && type.group === "" && info.namespace === info.name);
}

/** Collections take create, list, watch and deletecollection; objects the other verbs, and watches by the old path. */
function suitsPath({ type, definition }: ResourceStore, { verb, namespace }: RequestInfo, named: boolean): boolean {
  // Behind the router a name more is not looked at, and one that is missing is found by the verb.
  if (definition.custom && (verb === "create" || verb === "update" || verb === "patch")) return true;
  if (verb === "list" || verb === "watch") return verb === "watch" || !named;
  if (verb === "create" || verb === "deletecollection") return !named && (!type.namespaced || namespace !== "");
  return named;
}

function answerSubresource(dispatch: Dispatch, store: ResourceStore, context: RequestContext): Promise<ApiResponse> {
  const { env, creators, connects } = dispatch;
  const { info } = context;
  const { type, definition } = store;
  const { subresource, verb } = info;
  const served = type.subresources.find((s) => s.name === subresource);
  const isDeeper = info.parts.length > 3 && subresource !== "proxy";
  if (!served || isDeeper || !isScopeOf(store, info, true)) throw unknownResource();
  const key = subresourceKey(type, subresource);
  const connector = connects[key];
  const { method } = context.request;
  const isServed = served.verbs.includes(verb);
  const isConnection = connector && (subresource === "proxy" ? proxyMethods.has(method) : isServed && method !== "HEAD");
  if (connector ? !isConnection : !isServed || !suitsMethod(store, context)) throw methodNotAllowed();
  context.isRouted = true;
  context.speaksCbor = true;
  if (connector) return connect(env, store, context, { connector, kind: served.kind });
  if (!definition.custom) warnOfDeprecation(store, context);
  const namespace = namespaceOf(store, info);
  const creator = creators[key];
  if (verb === "create" && creator) return createVirtual(env, store, context, creator);
  if (verb === "create" && key === "/pods/binding") return answerBinding(env, context, namespace, info.name);
  if (verb === "create" && key === "/pods/eviction") return answerEviction(env, context, namespace);
  const isOwnKind = served.kind.kind === type.kind || subresource === "scale";
  if (!isOwnKind) throw methodNotAllowed();
  if (verb === "get") return answerGet(env, store, context, namespace);
  const strategy = subresource === "status" ? (definition.status ?? {}) : (definition.subresources?.[subresource] ?? definition.update);
  const target = { namespace, subresource, strategy };
  if (verb === "update") return answerUpdate(env, store, context, target);
  if (verb === "patch") return answerPatch(env, store, context, target);
  throw methodNotAllowed();
}

const proxyMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]);

async function answerBinding(env: WriteEnvironment, context: RequestContext, namespace: string, name: string): Promise<ApiResponse> {
  negotiateOutput(context.request); // the answer is no object of the kind, and never a table
  const options = parseWriteOptions("CreateOptions", context.request.query);
  const binding = await readObject(context, bindingKind, options.fieldValidation);
  // The collection of bindings is what it is to admission, too.
  const subresource = name === "" ? "" : "binding";
  const request = writeRequest(context, options, { namespace, name: name || binding.metadata.name, subresource });
  const type = name === "" ? bindings : podsType;
  const placed = inNamespace(binding, namespace);
  // Of the two only the pod's own endpoint takes a uid, as what the pod must have.
  const meant = name === "" ? withoutSystemFields(placed) : placed;
  await bindPod(env, env.stores.forType(podsType), request, { type, binding: meant });
  return success(201);
}

async function answerEviction(env: WriteEnvironment, context: RequestContext, namespace: string): Promise<ApiResponse> {
  negotiateOutput(context.request);
  const options = parseWriteOptions("CreateOptions", context.request.query);
  const eviction = await readObject(context, evictionKind, options.fieldValidation);
  const target = { namespace, name: context.info.name, subresource: "eviction" };
  await evictPod(
    env,
    env.stores.forType(podsType),
    writeRequest(context, options, target),
    withoutSystemFields(inNamespace(eviction, namespace)),
  );
  return success(201);
}

function success(code: number): ApiResponse {
  return { kind: "object", status: code, object: { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code } };
}

/** Upstream makes the key in the store of the name: it must not lead elsewhere. */
function checkPathName(name: string): void {
  const problem = name === "." || name === ".." ? `may not be '${name}'` : name.includes("%") ? "may not contain '%'" : undefined;
  if (problem !== undefined) throw badRequest(`Name parameter invalid: ${JSON.stringify(name)}: ${problem}`);
}

function checkExport({ request }: RequestContext): void {
  const value = request.query.size > 0 ? request.query.get("export") : null;
  if (value === "true" || value === "1")
    throw new StatusError({
      code: 400,
      reason: "BadRequest",
      message: "the export parameter, deprecated since v1.14, is no longer supported",
    });
}

/** The answer to a resource or subresource that is not served. */
function unknownResource(): StatusError {
  return new StatusError({ code: 404, reason: "NotFound", message: "the server could not find the requested resource", details: {} });
}

/** The answer to a verb that is not served. */
function methodNotAllowed(): StatusError {
  return new StatusError({
    code: 405,
    reason: "MethodNotAllowed",
    message: "the server does not allow this method on the requested resource",
    details: {},
  });
}
