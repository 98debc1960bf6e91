// Lists: which revision a list shows (upstream's table of resourceVersion, resourceVersionMatch, limit and continue), the
// page of objects, and the answer. Everything recent comes from the watch cache; older exact revisions from the store.
//
// Hot path: a list of thousands of objects. The answer's bytes are those of its objects, each encoded once for all its
// readers, handed out in chunks; nothing is serialised and no large string is built.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { badRequest } from "../../api/meta/status-error.ts";
import { apiVersionOf, type ResourceType } from "../../api/resource-type.ts";
import type { ListMeta } from "../../api/types/meta-v1.ts";
import { CompactedError, FutureRevisionError, prefixEnd } from "../../storage/store.ts";
import type { ObjectVersion } from "../watch-cache/object-version.ts";
import { CacheNotReadyError } from "../watch-cache/readiness.ts";
import { ChunkMemory } from "./chunk-memory.ts";
import { decodeContinue, encodeContinue } from "./continue-token.ts";
import { type ListBlocks, type Run, runsOf } from "./list-blocks.ts";
import { answeringRevisionErrors, continueExpired, listRevision, tooLarge } from "./read-errors.ts";
import type { ListOptions } from "./request-options.ts";
import type { ResourceStore } from "./resource-store.ts";
import type { RequestScope } from "./scope.ts";

export interface ListPage {
  readonly versions: readonly ObjectVersion[];
  readonly metadata: ListMeta;
}

/** The objects of a scope as the options ask for them. */
export function listPage(store: ResourceStore, scope: RequestScope, options: ListOptions): Promise<ListPage> {
  return answeringRevisionErrors(async () => {
    if (options.continue !== "") return continued(store, scope, options);
    const revision = listRevision(options.resourceVersion);
    const limit = Math.max(0, options.limit);
    // A limited list at a revision is exact unless the client says otherwise.
    const exact = revision > 0 && (options.resourceVersionMatch === "Exact" || (options.resourceVersionMatch === "" && limit > 0));
    if (exact) return pageAt(store, scope, { revision, from: "", limit });
    const reading = options.resourceVersion === "" ? store.cache.catchUp() : store.cache.reach(revision);
    if (!(await orOnlyStored(reading, scope, limit)))
      return storedPage(store, scope, { revision: await store.currentRevision(), from: "", limit });
    // Upstream's cache does not page lists of any revision.
    return currentPage(store, scope, { from: "", limit: options.resourceVersion === "0" ? 0 : limit });
  });
}

async function continued(store: ResourceStore, scope: RequestScope, options: ListOptions): Promise<ListPage> {
  const { revision, start } = decodeContinue(options.continue);
  if (options.resourceVersion !== "" && options.resourceVersion !== "0")
    throw badRequest("specifying resource version is not allowed when using continue");
  const from = scope.prefix + start;
  const limit = options.resourceVersion === "0" ? 0 : Math.max(0, options.limit);
  if (revision < 0) {
    if (await orOnlyStored(store.cache.catchUp(), scope, limit)) return currentPage(store, scope, { from, limit });
    return storedPage(store, scope, { revision: await store.currentRevision(), from, limit });
  }
  try {
    return await pageAt(store, scope, { revision, from, limit });
  } catch (error) {
    if (error instanceof CompactedError) throw continueExpired(start);
    throw error;
  }
}

/** Pages of everything are read from the store while the mirror is not there: false. Throws CacheNotReadyError for other lists. */
async function orOnlyStored(reading: Promise<void>, { selective }: RequestScope, limit: number): Promise<boolean> {
  try {
    await reading;
    return true;
  } catch (error) {
    if (limit > 0 && !selective && error instanceof CacheNotReadyError) return false;
    throw error;
  }
}

interface PageOptions {
  readonly from: string;
  /** 0: all. */
  readonly limit: number;
}

async function currentPage(store: ResourceStore, scope: RequestScope, { from, limit }: PageOptions): Promise<ListPage> {
  const { cache } = store;
  if (scope.select) {
    const all = cache.objects.list(scope, from);
    cache.figures.listed("", all.length, all.length);
    return selectedPage(store, scope, { versions: all, revision: cache.revision, limit });
  }
  const versions: ObjectVersion[] = [];
  let next: string | undefined;
  cache.objects.walk(scope, from, (version) => {
    if (limit > 0 && versions.length === limit) {
      next = version.key;
      return false;
    }
    versions.push(version);
    return true;
  });
  const last = versions.at(-1);
  if (next === undefined && mayGoOn(scope, versions, limit) && last && cache.objects.count(scope.prefix, last.key) > 1)
    next = `${last.key}\0`;
  const remaining = next === undefined || scope.selective ? undefined : cache.objects.count(scope.prefix, next);
  countList(store, scope, { from, next, returned: versions.length });
  return page(store, scope, { versions, revision: cache.revision, next, remaining });
}

/** How much of the mirror a list has looked at: without an index all of its range up to where it goes on. */
function countList(
  store: ResourceStore,
  { key, prefix, field }: RequestScope,
  { from, next, returned }: { readonly from: string; readonly next: string | undefined; readonly returned: number },
): void {
  const { cache } = store;
  if (field) cache.figures.listed(`f:${store.nameOfField(field.fieldOf)}`, cache.objects.countOf(field), returned);
  else if (key !== undefined) cache.figures.listed("", returned, returned);
  else cache.figures.listed("", cache.objects.count(prefix, from) - (next === undefined ? 0 : cache.objects.count(prefix, next)), returned);
}

/** A full page of what is selected goes on as long as there is anything behind it, selected or not, as upstream's do. */
function mayGoOn({ selective, key }: RequestScope, versions: readonly ObjectVersion[], limit: number): boolean {
  return selective && key === undefined && limit > 0 && versions.length === limit;
}

async function pageAt(store: ResourceStore, scope: RequestScope, options: PageOptions & { readonly revision: number }): Promise<ListPage> {
  const { revision, from, limit } = options;
  if (!(await orOnlyStored(store.cache.readable(), scope, limit))) return storedPage(store, scope, options);
  if (revision < store.cache.revision) await requireKept(store, scope, revision);
  const versions: ObjectVersion[] = [];
  if (scope.select) {
    const all = store.cache.walkAt(revision, scope, from, (version) => versions.push(version) > 0);
    return all ? selectedPage(store, scope, { versions, revision, limit }) : storedPage(store, scope, options);
  }
  let next: string | undefined;
  let further = 0;
  const served = store.cache.walkAt(revision, scope, from, (version) => {
    if (limit === 0 || versions.length < limit) versions.push(version);
    else {
      next ??= version.key;
      further++;
    }
    return next === undefined || !scope.selective;
  });
  if (!served) return storedPage(store, scope, options);
  const last = versions.at(-1);
  if (next === undefined && last && mayGoOn(scope, versions, limit)) {
    const all = { prefix: scope.prefix, field: undefined, matches: undefined, selective: false };
    store.cache.walkAt(revision, all, `${last.key}\0`, ({ key }) => {
      next = key;
      return false;
    });
  }
  return page(store, scope, { versions, revision, next, remaining: next === undefined || scope.selective ? undefined : further });
}

/** Throws CompactedError where the store no longer has the revision: the cache may have it still, but clients are told the same by all servers. */
async function requireKept(store: ResourceStore, scope: RequestScope, revision: number): Promise<void> {
  const nothing = store.storageKey(scope.prefix);
  await store.rangeAt({ start: nothing, end: `${nothing}\0`, revision, limit: 1 });
}

/** Objects that are converted together, to see which of them are selected. */
const selectionStep = 500;

/** A page of those that are selected once they have been converted. */
async function selectedPage(
  store: ResourceStore,
  scope: RequestScope,
  { versions, revision, limit }: { readonly versions: readonly ObjectVersion[]; readonly revision: number; readonly limit: number },
): Promise<ListPage> {
  const selected: ObjectVersion[] = [];
  for (let at = 0; at < versions.length; at += selectionStep) {
    const step = versions.slice(at, at + selectionStep);
    await store.prepare(step);
    for (const version of step) {
      if (!scope.select?.(version)) continue;
      if (limit > 0 && selected.length === limit)
        return page(store, scope, { versions: selected, revision, next: version.key, remaining: undefined });
      selected.push(version);
    }
  }
  return page(store, scope, { versions: selected, revision, next: undefined, remaining: undefined });
}

const storePageSize = 1000;

/** Reads past the cache: a revision older than its events, or (for a cache that lags) newer than its state. */
async function storedPage(
  store: ResourceStore,
  scope: RequestScope,
  options: PageOptions & { readonly revision: number },
): Promise<ListPage> {
  const { revision, limit } = options;
  const prefix = store.storageKey(scope.key ?? scope.prefix);
  const end = scope.key === undefined ? prefixEnd(prefix) : `${prefix}\0`;
  const versions: ObjectVersion[] = [];
  let start = options.from === "" ? prefix : store.storageKey(options.from);
  store.cache.figures.storageLists++;
  try {
    for (;;) {
      const found = await store.rangeAt({ start, end, revision, limit: limit > 0 ? Math.max(limit + 1, storePageSize) : storePageSize });
      if (scope.select) await store.prepare(found.versions);
      store.cache.figures.storageFetched += found.versions.length;
      for (const [i, version] of found.versions.entries()) {
        if (scope.matches && !scope.matches(version)) continue;
        if (scope.select && !scope.select(version)) continue;
        if (limit > 0 && versions.length === limit)
          return page(store, scope, { versions, revision, next: version.key, remaining: scope.selective ? undefined : found.count - i });
        versions.push(version);
        store.cache.figures.storageReturned++;
      }
      const last = found.versions.at(-1);
      if (!last || found.count <= found.versions.length)
        return page(store, scope, { versions, revision, next: undefined, remaining: undefined });
      start = `${store.storageKey(last.key)}\0`;
    }
  } catch (error) {
    if (error instanceof FutureRevisionError) throw tooLarge(revision, error.currentRevision);
    throw error;
  }
}

interface PageParts {
  readonly versions: readonly ObjectVersion[];
  readonly revision: number;
  /** Key of the first object that is not on the page. */
  readonly next: string | undefined;
  readonly remaining: number | undefined;
}

async function page(store: ResourceStore, scope: RequestScope, parts: PageParts): Promise<ListPage> {
  const { versions, revision, next, remaining } = parts;
  if (store.converts) await store.prepare(versions);
  const last = versions.at(-1);
  const token: Pick<ListMeta, "continue"> =
    next !== undefined && last ? { continue: encodeContinue({ revision, start: `${last.key.slice(scope.prefix.length)}\0` }) } : {};
  return {
    versions: store.definition.sharesStorageOf ? versions.map(store.view) : versions,
    metadata: {
      resourceVersion: String(revision),
      ...token,
      ...(remaining === undefined ? {} : { remainingItemCount: remaining }),
      ...(scope.shard === undefined ? {} : { shardInfo: { selector: scope.shard } }),
    },
  };
}

/** The list as a value; its items are the shared objects. */
export function listObject(type: ResourceType, { versions, metadata }: ListPage): unknown {
  return {
    kind: listKindOf(type),
    apiVersion: apiVersionOf(type),
    metadata: listMetadata(type, metadata),
    items: versions.map((version) => version.shared()),
  };
}

/** The list as it is written: items of built-in kinds are without kind and apiVersion, those of custom resources keep them. */
export function writtenList(type: ResourceType, page: ListPage): unknown {
  const { items, ...rest } = listObject(type, page) as { readonly items: readonly KubernetesObject[] };
  return { ...rest, items: type.schema === undefined ? items : items.map(({ kind: _1, apiVersion: _2, ...item }) => item) };
}

export const listKindOf = (type: ResourceType): string => type.listKind ?? `${type.kind}List`;

/** Lists of custom resources always say where they go on. */
export function listMetadata({ schema }: ResourceType, metadata: ListMeta): ListMeta {
  return schema === undefined && metadata.continue === undefined ? { ...metadata, continue: "" } : metadata;
}

/** A list as it is sent. */
export interface EncodedList {
  /** Of all chunks together. */
  readonly length: number;
  /** JSON in pieces of some 64 KiB and more. Some share their memory: each is good until the next is asked for. */
  readonly chunks: Iterable<Uint8Array>;
}

/** The list as JSON. Runs of objects that other lists have held too come from `blocks`. */
export function encodedList(type: ResourceType, { versions, metadata }: ListPage, blocks?: ListBlocks): EncodedList {
  const list = JSON.stringify({ kind: listKindOf(type), apiVersion: apiVersionOf(type), metadata: listMetadata(type, metadata) });
  const before = Buffer.from(`${list.slice(0, -1)},"items":[`);
  // Items of built-in kinds are written without kind and apiVersion; those of custom resources keep them.
  const asItems = type.schema !== undefined;
  const runs = runsOf(versions, asItems);
  let length = before.length + closing.length - (versions.length > 0 ? 1 : 0);
  for (const { bytes } of runs) length += bytes;
  return { length, chunks: listChunks({ versions, asItems, before, runs }, blocks?.suits(length) ? blocks : undefined) };
}

interface ListParts {
  readonly versions: readonly ObjectVersion[];
  readonly asItems: boolean;
  readonly before: Uint8Array;
  readonly runs: readonly Run[];
}

function* listChunks({ versions, asItems, before, runs }: ListParts, blocks: ListBlocks | undefined): Generator<Uint8Array, void, void> {
  if (runs.length === 0) yield Buffer.concat([before, closing]);
  const memory = new ChunkMemory();
  const frame = new ChunkMemory();
  for (const [i, run] of runs.entries()) {
    const { from, to, bytes } = run;
    const make = (own: boolean): Uint8Array => {
      const into = own ? Buffer.allocUnsafeSlow(bytes) : memory.take(bytes);
      writeItems(into, versions, { from, to, asItems });
      return into;
    };
    const items = blocks ? blocks.bytesOf(versions, { from, to, asItems }, make) : make(false);
    const [isFirst, isLast] = [i === 0, i === runs.length - 1];
    if (!isFirst && !isLast) yield items;
    else yield framed(isFirst ? before : nothing, isFirst ? items.subarray(1) : items, isLast ? closing : nothing, frame);
  }
}

/** Each with a comma before it. */
function writeItems(
  into: Buffer,
  versions: readonly ObjectVersion[],
  { from, to, asItems }: Pick<Run, "from" | "to"> & Pick<ListParts, "asItems">,
): void {
  let at = 0;
  for (let i = from; i < to; i++) {
    into[at++] = commaByte;
    const version = versions[i] as ObjectVersion;
    const { head, tail } = asItems ? version.encodedItem() : version.encoded();
    at += into.write(head, at, "latin1");
    into.set(tail, at);
    at += tail.length;
  }
}

function framed(before: Uint8Array, items: Uint8Array, after: Uint8Array, memory: ChunkMemory): Uint8Array {
  const chunk = memory.take(before.length + items.length + after.length);
  chunk.set(before);
  chunk.set(items, before.length);
  chunk.set(after, before.length + items.length);
  return chunk;
}

const nothing = new Uint8Array(0);
const commaByte = ",".charCodeAt(0);
/** As Go's encoder ends every document. */
const closing = Buffer.from("]}\n");

/** The list as JSON in one piece, without the line end that every answer gets when it is sent. */
export function listBytes(type: ResourceType, page: ListPage): Buffer {
  return Buffer.concat(Array.from(encodedList(type, page).chunks, (chunk) => Buffer.from(chunk))).subarray(0, -1);
}
