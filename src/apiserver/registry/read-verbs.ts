// GET, list and watch as answers.
import { customScaleTable, scaleTable } from "../../api/encode/table/policy.ts";
import type { TableConvertor } from "../../api/encode/table/table.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { notFound } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { mediaTypes } from "../http/negotiate.ts";
import type { RequestInfo } from "../http/request-info.ts";
import type { ApiResponse, RequestContext } from "../request.ts";
import { type EncodedObject, ObjectVersion } from "../watch-cache/object-version.ts";
import { CacheNotReadyError } from "../watch-cache/readiness.ts";
import type { WatchScope } from "../watch-cache/resource-figures.ts";
import { cborList } from "./cbor-list.ts";
import { customScaleOf } from "./custom-scale.ts";
import type { ComputedReads } from "./handler-types.ts";
import { encodedList, type ListPage, listBytes, listObject, listPage, writtenList } from "./list.ts";
import { protobufList, wholeList } from "./protobuf-list.ts";
import { answeringRevisionErrors, readRevision } from "./read-errors.ts";
import {
  checkAskedFor,
  hasTable,
  partialList,
  partialMetadata,
  partialVersion,
  type Representation,
  representationOf,
  type TableOptions,
  tableOf,
} from "./representation.ts";
import { parseListOptions } from "./request-options.ts";
import type { ResourceStore } from "./resource-store.ts";
import { scaleOf } from "./scale.ts";
import { scopeOf } from "./scope.ts";
import { openWatch } from "./watch.ts";
import type { WriteEnvironment } from "./write-environment.ts";

export async function answerGet(
  env: WriteEnvironment,
  store: ResourceStore,
  context: RequestContext,
  namespace: string,
): Promise<ApiResponse> {
  const { info, request } = context;
  const representation = representationOf(request, "object", store.type, hasTable(store.definition, info.subresource));
  const key = store.keyOf(namespace, info.name);
  const version = await readAt(store, key, request.query.size > 0 ? (request.query.get("resourceVersion") ?? "") : "");
  if (!version) throw notFound(store.type, info.name);
  if (info.subresource === "scale") return scaleAnswer(env, store, version, representation);
  return objectAnswer(env, store, version, representation, 200);
}

/** Without a resource version the object is read from the store; otherwise from the mirror once it has come so far. */
async function readAt(store: ResourceStore, key: string, resourceVersion: string): Promise<ObjectVersion | undefined> {
  const revision = readRevision(resourceVersion);
  if (revision === undefined) return store.read(key);
  try {
    await store.cache.reach(revision);
  } catch (error) {
    // Of any revision: what the store has is good too.
    if (revision === 0 && error instanceof CacheNotReadyError) return store.read(key);
    await answeringRevisionErrors(() => Promise.reject(error));
  }
  const version = store.cache.objects.get(key);
  if (version && store.converts) await store.prepare([version]);
  return version && store.view(version);
}

/** One object as the client wants it shown. */
export function objectAnswer(
  env: WriteEnvironment,
  store: ResourceStore,
  version: ObjectVersion,
  representation: Representation,
  status: number,
): ApiResponse {
  if (representation.as === "object") return new VersionAnswer(version, status);
  checkAskedFor(representation, "object", store.type);
  if (representation.as === "metadata")
    return new VersionAnswer(partialVersion(version, store.definition, representation.apiVersion), status);
  return { kind: "object", status, object: rowOf(env, version.object, representation, store.definition) };
}

/** What Scales are called in refusals: those of custom resources by their version, others by their group. */
const shownInternally = { group: "autoscaling", kind: "Scale", schema: "autoscaling-v1.Scale" };
const shownAsV1 = { ...shownInternally, group: "v1" };

/** The Scale of an object as the client wants it shown. */
export function scaleAnswer(
  env: WriteEnvironment,
  { definition }: ResourceStore,
  version: ObjectVersion,
  representation: Representation,
): ApiResponse {
  const scale = definition.custom?.scale ? customScaleOf(version.object, definition.custom.scale) : scaleOf(version.object);
  if (representation.as === "object") return { kind: "object", status: 200, object: scale };
  checkAskedFor(representation, "object", definition.custom ? shownAsV1 : shownInternally);
  if (representation.as === "metadata")
    return { kind: "object", status: 200, object: partialMetadata(scale, {}, representation.apiVersion) };
  return {
    kind: "object",
    status: 200,
    object: rowOf(env, scale, representation, {
      table: (definition.custom ? customScaleTable : scaleTable) as TableConvertor<KubernetesObject>,
    }),
  };
}

/** A table of one object. */
function rowOf(
  env: WriteEnvironment,
  object: KubernetesObject,
  representation: TableOptions["representation"],
  definition: TableOptions["definition"],
): unknown {
  const { resourceVersion } = object.metadata;
  const metadata = resourceVersion === undefined ? {} : { resourceVersion };
  return tableOf([object], { definition, representation, metadata, withColumns: true, nowMs: env.clock.now() });
}

type ObjectResponse = Extract<ApiResponse, { kind: "object" }>;

/** A class, so that the object is decoded only for one who asks for it: most send its bytes. */
class VersionAnswer implements ObjectResponse {
  readonly kind = "object";
  readonly status: number;
  readonly #version: ObjectVersion;

  constructor(version: ObjectVersion, status: number) {
    this.#version = version;
    this.status = status;
  }

  get object(): KubernetesObject {
    return this.#version.shared();
  }

  encoded(): EncodedObject {
    return this.#version.encoded();
  }

  protobuf(): Uint8Array {
    return this.#version.protobuf();
  }
}

export async function answerList(
  env: WriteEnvironment,
  store: ResourceStore,
  { info, request }: RequestContext,
  namespace: string,
): Promise<ApiResponse> {
  const representation = representationOf(request, "list", store.type);
  const options = parseListOptions(request.query, false);
  const scope = scopeOf(store, { ...options, namespace });
  const page = await listPage(store, scope, options);
  return listAnswer(env, store, page, representation, request.trustedUser !== undefined || info.verb !== "list");
}

/** Lists of more objects, or bytes, are sent in chunks at the client's pace, where it takes JSON or protobuf over a connection. */
const streamedItems = 64;
const streamedBytes = 256 * 1024;

export function listAnswer(
  env: WriteEnvironment,
  store: ResourceStore,
  page: ListPage,
  representation: Representation,
  inProcess: boolean,
): ApiResponse {
  const { type } = store;
  checkAskedFor(representation, "list", type);
  if (representation.as === "metadata")
    return { kind: "object", status: 200, object: partialList(withoutShard(page), store.definition, representation.apiVersion) };
  if (representation.as === "table") {
    const objects = page.versions.map((version) => version.glance());
    const { metadata } = withoutShard(page);
    const options = { definition: store.definition, representation, metadata, withColumns: true, nowMs: env.clock.now() };
    return { kind: "object", status: 200, object: tableOf(objects, options) };
  }
  const object = (): unknown => listObject(type, page);
  // Indented and in YAML, lists are encoded whole.
  if (representation.encoding !== "protobuf" && (representation.pretty || representation.encoding === "yaml") && !inProcess)
    return { kind: "object", status: 200, object: writtenList(type, page) };
  if (representation.encoding === "protobuf") return protobufListAnswer(type, page, inProcess);
  if (representation.encoding === "cbor" && representation.cbor && !inProcess)
    return {
      kind: "stream",
      status: 200,
      contentType: mediaTypes.cbor,
      chunks: asAsync(cborList(type, page, representation.cbor)),
      object,
    };
  if (!inProcess && representation.encoding === "json" && !representation.pretty && isLong(page, type.schema !== undefined)) {
    const { length, chunks } = encodedList(type, page, store.blocks);
    return { kind: "stream", status: 200, contentType: "application/json", length, chunks: asAsync(chunks), object };
  }
  return { kind: "object", status: 200, object: listObject(type, page), encoded: () => ({ head: "", tail: listBytes(type, page) }) };
}

/** Lists that are shown as something else do not say which shard they are. */
function withoutShard(page: ListPage): ListPage {
  if (page.metadata.shardInfo === undefined) return page;
  const { shardInfo: _, ...metadata } = page.metadata;
  return { ...page, metadata };
}

/** Whole, it would lie in memory for as long as a slow client takes to read it. */
function isLong({ versions }: ListPage, asItems: boolean): boolean {
  if (versions.length > streamedItems) return true;
  let length = 0;
  for (const version of versions) length += version.encodedLength(asItems);
  return length > streamedBytes;
}

function protobufListAnswer(type: ResourceType, page: ListPage, inProcess: boolean): ApiResponse {
  const list = protobufList(type, page);
  const contentType = mediaTypes.protobuf;
  const object = (): unknown => listObject(type, page);
  if (!inProcess && (page.versions.length > streamedItems || list.length > streamedBytes))
    return { kind: "stream", status: 200, contentType, length: list.length, chunks: asAsync(list.chunks), object };
  return { kind: "bytes", status: 200, contentType, bytes: wholeList(list), object };
}

async function* asAsync(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  yield* chunks;
}

/** GET and list of a resource whose objects are found out when somebody asks: they have no revisions and no pages. */
export async function answerComputed(
  env: WriteEnvironment,
  store: ResourceStore,
  { info, request }: RequestContext,
  { singular, get, list }: ComputedReads,
): Promise<ApiResponse> {
  const version = (object: KubernetesObject): ObjectVersion => new ObjectVersion(object.metadata.name, object, 0);
  if (info.verb === "get") {
    const representation = representationOf(request, "object", store.type);
    const object = await get(info.name);
    if (!object) throw notFound({ group: store.type.group, resource: singular }, info.name);
    return objectAnswer(env, store, version(object), representation, 200);
  }
  const representation = representationOf(request, "list", store.type);
  const { labelSelector, fieldSelector } = parseListOptions(request.query, false);
  const { matches } = scopeOf(store, { namespace: "", labelSelector, fieldSelector });
  const versions = (await list()).map(version);
  const page = { versions: matches ? versions.filter(matches) : versions, metadata: {} };
  return listAnswer(env, store, page, representation, request.trustedUser !== undefined);
}

/** As metrics have it. */
function watchScope({ name, namespace }: RequestInfo): WatchScope {
  if (name !== "") return "resource";
  return namespace === "" ? "cluster" : "namespace";
}

export async function answerWatch(
  env: WriteEnvironment,
  store: ResourceStore,
  { info, request }: RequestContext,
  namespace: string,
): Promise<ApiResponse> {
  const begunMs = env.clock.monotonic();
  const representation = representationOf(request, "watch", store.type);
  const options = parseListOptions(request.query, true);
  const name = info.parts[1];
  const scope = scopeOf(store, { ...options, namespace, ...(name ? { name } : {}) });
  const stream = await openWatch(store, {
    scope,
    options,
    representation,
    signal: request.signal,
    clock: env.clock,
    minTimeoutMs: env.minWatchTimeoutMs,
    listed: () => store.cache.figures.listedByWatch(watchScope(info), env.clock.monotonic() - begunMs),
  });
  return { kind: "watch", stream, encoding: representation.encoding === "yaml" ? "json" : representation.encoding };
}
