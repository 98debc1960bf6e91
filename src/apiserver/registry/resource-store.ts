// One served resource: its definition, its watch cache and its keys in the store. Types that serve the objects of another
// type (events.k8s.io on events) share that type's cache and see its versions through a conversion, made once a version.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { withoutSentEmpty } from "../../api/meta/sent-empty.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import type { Condition, KeyValue, Operation, Store, TransactionResult } from "../../storage/store.ts";
import type { ObjectCodec } from "../watch-cache/object-codec.ts";
import { ObjectVersion } from "../watch-cache/object-version.ts";
import { withoutResourceVersion, withResourceVersion } from "../watch-cache/stored-json.ts";
import type { WatchCache } from "../watch-cache/watch-cache.ts";
import type { FieldValue } from "../watch-cache/watcher.ts";
import type { ListBlocks } from "./list-blocks.ts";
import { ObjectViews } from "./object-views.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

export interface ResourceStoreParts {
  readonly definition: ResourceDefinition;
  readonly store: Store;
  readonly cache: WatchCache;
  readonly codec: ObjectCodec;
  readonly prefix: string;
  /** Whether lists and watches may be of a shard. */
  readonly shards?: boolean;
  /** What is kept of long lists, of all resources together. */
  readonly blocks: ListBlocks;
  /** Whether the store would hold what lies at a key otherwise now; absent where it cannot be so. */
  readonly isStale?: (storageKey: string) => Promise<boolean>;
  /** Makes an operation on this resource's keys one on the store beneath, where they differ. */
  readonly sealed?: (operation: Operation) => Promise<Operation>;
}

/** What is written with an object, or not at all: keys beside its own that no two objects may have. */
export interface Companions {
  readonly conditions: readonly Condition[];
  readonly operations: readonly Operation[];
}

export type CommitResult =
  | { readonly version: ObjectVersion }
  /**
   * Another write came first; what the key holds now. Where it is still what was read, the companions were contested: their
   * keys held something else at that revision.
   */
  | { readonly version: undefined; readonly current: ObjectVersion | undefined; readonly contestedAt?: number };

type Put = Extract<Operation, { type: "put" }>;

export class ResourceStore {
  readonly definition: ResourceDefinition;
  readonly cache: WatchCache;
  readonly blocks: ListBlocks;
  readonly shards: boolean;
  /** From a stored version to the version this type serves. */
  readonly view: (version: ObjectVersion) => ObjectVersion;
  /** Whether stored versions have to be prepared before they can be viewed. */
  readonly converts: boolean;
  readonly #store: Store;
  readonly #codec: ObjectCodec;
  readonly #prefix: string;
  readonly #isStale: ((storageKey: string) => Promise<boolean>) | undefined;
  readonly #sealed: ((operation: Operation) => Promise<Operation>) | undefined;
  readonly #fields = new Map<string, FieldValue>();
  readonly #views: ObjectViews;

  constructor({ definition, store, cache, codec, prefix, blocks, shards = false, isStale, sealed }: ResourceStoreParts) {
    this.definition = definition;
    this.cache = cache;
    this.blocks = blocks;
    this.shards = shards;
    this.#store = store;
    this.#codec = codec;
    this.#prefix = prefix;
    this.#isStale = isStale;
    this.#views = new ObjectViews(definition);
    this.converts = definition.sharesStorageOf?.conversion !== undefined;
    this.view = definition.sharesStorageOf ? (version) => this.#views.of(version) : (version) => version;
    this.#sealed = sealed;
    this.#fields.set("metadata.name", ({ key }) => key.slice(key.indexOf("/") + 1));
    // Kinds of the whole cluster that name the fields they know do not name this one.
    if (definition.type.namespaced ? !definition.namespaceNotSelectable : !definition.selectableFields)
      this.#fields.set("metadata.namespace", ({ key }) => key.slice(0, Math.max(0, key.indexOf("/"))));
    const { sharesStorageOf } = definition;
    for (const [field, fieldOf] of Object.entries(definition.selectableFields ?? {}))
      this.#fields.set(field, sharesStorageOf ? (version) => fieldOf(this.view(version).object) : (version) => version.field(fieldOf));
  }

  get type(): ResourceType {
    return this.definition.type;
  }

  /** How a field selector reads a field of a stored version; undefined for fields it does not know. One function per field. */
  field(name: string): FieldValue | undefined {
    return this.#fields.get(name);
  }

  /** The name of a field that is read by this function. */
  nameOfField(fieldOf: FieldValue): string {
    for (const [name, known] of this.#fields) if (known === fieldOf) return name;
    return "";
  }

  /** The functions of all such fields. */
  get fields(): Iterable<FieldValue> {
    return this.#fields.values();
  }

  /** "namespace/name" or "name". */
  keyOf(namespace: string, name: string): string {
    return this.type.namespaced ? `${namespace}/${name}` : name;
  }

  /** The store's. */
  currentRevision(): Promise<number> {
    return this.#store.currentRevision();
  }

  /** The full key in the store. */
  storageKey(key: string): string {
    return this.#prefix + key;
  }

  /** Has what is stored converted, so that it can be viewed. Throws StatusError. */
  prepare(versions: Iterable<ObjectVersion>): Promise<void> {
    return this.#views.prepare(versions);
  }

  /** Lets the last state of an object be viewed as it was while it was there, where it was. */
  prepareLast(last: ObjectVersion, before: ObjectVersion): void {
    this.#views.prepareLast(last, before);
  }

  /**
   * Whether an object that has not changed is to be written all the same: it is encrypted otherwise than it should be, or in
   * another version, without its defaults or with fields that nobody sees.
   */
  async needsRewrite(view: ObjectVersion): Promise<boolean> {
    if (this.#views.isOutdated(view)) return true;
    return this.#isStale?.(this.#prefix + view.key) ?? false;
  }

  /** The object as the store holds it now. Where the mirror has that version already, it is the mirror's. */
  async read(key: string): Promise<ObjectVersion | undefined> {
    const { figures } = this.cache;
    const begunMs = figures.begin();
    const kv = await this.#store.get(this.#prefix + key);
    figures.end("get", begunMs);
    if (!kv) return undefined;
    const mirrored = this.cache.objects.get(key);
    const version = mirrored?.revision === kv.modRevision ? mirrored : this.#version(kv);
    return this.converts ? this.#views.prepared(version) : this.view(version);
  }

  /** The object as the mirror has it, perhaps a moment old; read from the store where there is no mirror yet. */
  async recent(key: string): Promise<{ readonly version: ObjectVersion | undefined; readonly fresh: boolean }> {
    if (!this.cache.hasLoaded) return { version: await this.read(key), fresh: true };
    const mirrored = this.cache.objects.get(key);
    if (mirrored && this.converts) await this.prepare([mirrored]);
    return { version: mirrored && this.view(mirrored), fresh: false };
  }

  /** Stored versions of a key range at a past revision. Throws what Store.range throws. */
  async rangeAt(options: { readonly start: string; readonly end: string; readonly revision: number; readonly limit?: number }): Promise<{
    readonly versions: readonly ObjectVersion[];
    readonly count: number;
    readonly revision: number;
  }> {
    const { figures } = this.cache;
    const begunMs = figures.begin();
    const { items, count, revision } = await this.#store.range(options);
    figures.end("list", begunMs);
    return { versions: items.map((kv) => this.#version(kv)), count, revision };
  }

  /** Of a kind that has no mirror, because nobody has watched it, nothing is remembered: a store in memory keeps the bytes for long. */
  #version(kv: KeyValue): ObjectVersion {
    const version = this.#codec.version(kv);
    if (!this.cache.hasLoaded) this.#codec.forget(kv.value);
    return version;
  }

  /** Writes an object over the version that was read (absent: creates it). */
  async commit(
    key: string,
    object: KubernetesObject,
    over: ObjectVersion | undefined,
    companions: Companions = noCompanions,
  ): Promise<CommitResult> {
    const operation = this.converts ? await this.#putConverted(key, object) : this.#put(key, object);
    const { key: storageKey, value } = operation;
    const read = over?.revision ?? 0;
    const { figures } = this.cache;
    const begunMs = figures.begin();
    const step = over ? "update" : "create";
    let result: TransactionResult;
    try {
      result = await this.#store.transact({
        conditions: [{ key: storageKey, modRevision: read }, ...companions.conditions],
        operations: [operation, ...companions.operations],
      });
    } catch (error) {
      figures.failed(step, begunMs);
      throw error;
    }
    figures.end(step, begunMs);
    if (!result.succeeded) return this.#failed(result, read);
    const kv = { key: storageKey, value, createRevision: 0, modRevision: result.revision, version: 0 };
    const version = this.#codec.version(kv);
    // Once mirrored, the version is found in the mirror and these bytes do not come back; without a mirror nobody asks for them.
    if (!this.cache.hasLoaded || this.cache.objects.get(key) === version) this.#codec.forget(value);
    return { version: this.converts ? await this.#views.prepared(version) : this.view(version) };
  }

  /**
   * An object that is not stored as it would come back: of a custom one, with the fields and defaults of the version that is
   * stored. No webhook is asked to convert it.
   */
  asRead(object: KubernetesObject): KubernetesObject {
    const { sharesStorageOf } = this.definition;
    return sharesStorageOf && !this.converts ? sharesStorageOf.fromStored(sharesStorageOf.toStored(withoutSentEmpty(object))) : object;
  }

  /** Removes the version that was read. The result is its last state under the revision of its removal. */
  async remove(version: ObjectVersion, companions: Companions = noCompanions): Promise<CommitResult> {
    const storageKey = this.#prefix + version.key;
    const { figures } = this.cache;
    const begunMs = figures.begin();
    let result: TransactionResult;
    try {
      result = await this.#store.transact({
        conditions: [{ key: storageKey, modRevision: version.revision }, ...companions.conditions],
        operations: [{ type: "delete", key: storageKey }, ...companions.operations],
      });
    } catch (error) {
      figures.failed("delete", begunMs);
      throw error;
    }
    figures.end("delete", begunMs);
    if (!result.succeeded) return this.#failed(result, version.revision);
    return { version: version.at(result.revision) };
  }

  /** The writing of an object as a companion of another resource's. */
  async asCompanion(key: string, object: KubernetesObject): Promise<Operation> {
    const operation = await this.#put(key, object);
    return this.#sealed ? this.#sealed(operation) : operation;
  }

  #put(key: string, object: KubernetesObject): Put {
    const { sharesStorageOf } = this.definition;
    const bare = withoutResourceVersion(object);
    return this.#putStored(key, object, sharesStorageOf ? sharesStorageOf.toStored(bare) : bare);
  }

  async #putConverted(key: string, object: KubernetesObject): Promise<Put> {
    const bare = withoutResourceVersion(object);
    return this.#putStored(key, object, (await this.definition.sharesStorageOf?.conversion?.toStored(bare)) ?? bare);
  }

  #putStored(key: string, object: KubernetesObject, stored: KubernetesObject): Put {
    const ttl = this.definition.ttlSeconds?.(object);
    const value = this.#codec.toStored(stored);
    return { type: "put", key: this.#prefix + key, value, ...(ttl === undefined ? {} : { ttlSeconds: ttl }) };
  }

  async #failed({ current: [kv], revision }: Extract<TransactionResult, { succeeded: false }>, read: number): Promise<CommitResult> {
    const contested = (kv?.modRevision ?? 0) === read;
    const current = kv && (await this.#views.prepared(this.#codec.version(kv)));
    return { version: undefined, current, ...(contested ? { contestedAt: revision } : {}) };
  }
}

const noCompanions: Companions = { conditions: [], operations: [] };

/** An object that was not stored (a dry run), as a version. */
export function unstored(key: string, object: KubernetesObject, revision: number | undefined): ObjectVersion {
  const shown = revision === undefined ? withoutResourceVersion(object) : withResourceVersion(object, revision);
  return new ObjectVersion(key, shown, revision ?? 0);
}
