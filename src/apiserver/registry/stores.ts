// The stores of all served resources over one key-value store: definitions by group, version and resource, a watch cache
// for each key space (loaded on first use), and the informer-shaped reader that admission and authorization use.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { apiVersionOf, type ResourceType } from "../../api/resource-type.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { type Logger, silentLogger } from "../../base/log.ts";
import type { Informer } from "../../client/informer.ts";
import type { Operation, Store } from "../../storage/store.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { TransformingStore } from "../encryption/transforming-store.ts";
import { CacheInformer, type VersionView } from "../watch-cache/cache-informer.ts";
import type { EventRingOptions } from "../watch-cache/event-ring.ts";
import { ObjectCodec } from "../watch-cache/object-codec.ts";
import { RecentObjects, type RecentObjectsOptions } from "../watch-cache/recent-objects.ts";
import type { ResourceFigures } from "../watch-cache/resource-figures.ts";
import { WatchCache } from "../watch-cache/watch-cache.ts";
import { ListBlocks } from "./list-blocks.ts";
import type { ResourceDefinition } from "./resource-definition.ts";
import { ResourceStore, type ResourceStoreParts } from "./resource-store.ts";

export interface ResourceStoresDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly definitions: readonly ResourceDefinition[];
  /** Built-in resources that are turned off: no client sees them, but parts of the server still read what lies there. */
  readonly unserved?: readonly ResourceDefinition[];
}

export interface ResourceStoresOptions {
  readonly log?: Logger;
  /** Before every key. Default "/registry/". */
  readonly prefix?: string;
  /** How long and how many recent events each watch cache keeps. */
  readonly events?: EventRingOptions;
  /** Events that may wait for a slow watcher. Default 8192. */
  readonly maxPending?: number;
  /** Where the objects of a resource lie, where it is not the store of all others. */
  readonly keptIn?: ((resource: ResourceType) => Store | undefined) | undefined;
  /** What stands between a resource's objects and their store (encryption at rest). */
  readonly storeFor?: (store: Store, resource: ResourceType, prefix: string) => TransformingStore | undefined;
  /** Where the changes, reads and writes of a resource are counted. */
  readonly figuresOf?: (type: ResourceType) => ResourceFigures;
  /** How many objects are kept decoded, of all kinds together. */
  readonly recent?: RecentObjectsOptions;
  /** Called with every object that enters a cache: tests freeze it. */
  readonly onObject?: (object: KubernetesObject) => void;
}

export interface ResourceStores extends Running {
  /** The watch caches as informers. */
  readonly reader: AdmissionReader;
  /** The underlying store. */
  readonly store: Store;
  /** Before every key: "/registry/". */
  readonly prefix: string;
  readonly clock: Clock;
  /** Every resource served now. */
  readonly all: Iterable<ResourceStore>;
  /** Throws for a type that is not served. */
  forType(type: ResourceType): ResourceStore;
  find(group: string, version: string, resource: string): ResourceStore | undefined;
  /** Whether a built-in resource is of this group, and of this version where it is given. */
  hasBuiltIn(group: string, version?: string): boolean;
  /** Every store of the same objects, itself included. The list is another one after a change. */
  sharing(store: ResourceStore): readonly ResourceStore[];
  /**
   * Serves a further resource (custom resources). Where it replaces one, the mirror of the objects stays, so that requests in
   * progress find what they wait for, and watches end.
   */
  add(definition: ResourceDefinition): ResourceStore;
  /** Serves a resource no longer and ends its watches. The objects stay. */
  remove(type: ResourceType): void;
  /** Where the objects of a resource lie, whether or not it is served. */
  keySpace(definition: Pick<ResourceDefinition, "type" | "storagePath">): KeySpace;
}

export interface KeySpace {
  /** As the objects are to be read and written. */
  readonly store: Store;
  /** "/registry/example.com/widgets/". */
  readonly prefix: string;
}

export function createResourceStores(dependencies: ResourceStoresDependencies, options: ResourceStoresOptions = {}): ResourceStores {
  return new Stores(dependencies, options);
}

const identityOf = (t: { readonly group: string; readonly version: string; readonly resource: string }): string =>
  `${t.group}/${t.version}/${t.resource}`;

class Stores implements ResourceStores {
  readonly store: Store;
  readonly prefix: string;
  readonly clock: Clock;
  readonly reader: AdmissionReader;
  readonly #options: ResourceStoresOptions;
  readonly #byIdentity = new Map<string, ResourceStore>();
  /** By storage path. */
  readonly #sharing = new Map<string, readonly ResourceStore[]>();
  readonly #caches = new Map<string, WatchCache>();
  /** By the resource's identity: a resource that is replaced keeps its informers. */
  readonly #informers = new Map<string, Informer<KubernetesObject>>();
  /** The same, by the types they were asked for with; made anew when a resource is no longer served. */
  #informersOfTypes = new WeakMap<ResourceType, Informer<KubernetesObject>>();

  readonly #unserved: readonly ResourceDefinition[];
  readonly #recent: RecentObjects;
  readonly #blocks = new ListBlocks();

  constructor({ store, clock, definitions, unserved = [] }: ResourceStoresDependencies, options: ResourceStoresOptions) {
    this.store = store;
    this.prefix = options.prefix ?? "/registry/";
    this.clock = clock;
    this.#options = options;
    this.#unserved = unserved;
    this.#recent = new RecentObjects(options.recent);
    this.reader = { informer: (type) => this.#informer(type) };
    // Those that own their key space first: their defaults apply to what lies there.
    for (const definition of definitions) if (!definition.sharesStorageOf) this.add(definition);
    for (const definition of definitions) if (definition.sharesStorageOf) this.add(definition);
  }

  get all(): Iterable<ResourceStore> {
    return this.#byIdentity.values();
  }

  forType(type: ResourceType): ResourceStore {
    const found = this.#byIdentity.get(identityOf(type));
    if (!found) throw new Error(`resource ${identityOf(type)} is not served`);
    return found;
  }

  find(group: string, version: string, resource: string): ResourceStore | undefined {
    return this.#byIdentity.get(`${group}/${version}/${resource}`);
  }

  hasBuiltIn(group: string, version?: string): boolean {
    for (const { type, definition } of this.#byIdentity.values())
      if (type.group === group && (version === undefined || type.version === version) && !definition.custom) return true;
    return false;
  }

  sharing({ definition: { storagePath } }: ResourceStore): readonly ResourceStore[] {
    return this.#sharing.get(storagePath) ?? [];
  }

  add(definition: ResourceDefinition): ResourceStore {
    const identity = identityOf(definition.type);
    const replaced = this.#byIdentity.get(identity);
    const added = new ResourceStore({ definition, blocks: this.#blocks, ...this.#cache(definition) });
    this.#byIdentity.set(identity, added);
    this.#share(added, replaced);
    if (replaced) this.#retire(replaced);
    return added;
  }

  remove(type: ResourceType): void {
    const removed = this.#byIdentity.get(identityOf(type));
    if (!removed) return;
    this.#byIdentity.delete(identityOf(type));
    this.#informers.delete(identityOf(type));
    this.#informersOfTypes = new WeakMap();
    this.#share(undefined, removed);
    this.#retire(removed);
  }

  /** One store in the place of another among those of the same objects. */
  #share(added: ResourceStore | undefined, replaced: ResourceStore | undefined): void {
    const path = (added ?? replaced)?.definition.storagePath ?? "";
    const others = (this.#sharing.get(path) ?? []).filter((store) => store !== replaced);
    const now = added ? [...others, added] : others;
    if (now.length > 0) this.#sharing.set(path, now);
    else this.#sharing.delete(path);
  }

  keySpace({ type, storagePath }: Pick<ResourceDefinition, "type" | "storagePath">): KeySpace {
    const prefix = this.#prefixOf(storagePath);
    const store = this.#storeOf(type);
    return { store: this.#options.storeFor?.(store, type, prefix) ?? store, prefix };
  }

  #storeOf(type: ResourceType): Store {
    return this.#options.keptIn?.(type) ?? this.store;
  }

  #prefixOf(storagePath: string): string {
    return `${this.prefix}${storagePath}/`;
  }

  /** Ends the watches that were opened by a resource; where no other is served from its mirror, the mirror goes too. */
  #retire(store: ResourceStore): void {
    const { cache, definition } = store;
    cache.endWatches();
    cache.objects.dropFieldIndexes(store.fields);
    if (this.sharing(store).length > 0) return;
    this.#caches.delete(definition.storagePath);
    this.#codecs.delete(cache);
    this.#storesOfCaches.delete(cache);
    cache.stop();
  }

  async stop(): Promise<void> {
    for (const cache of this.#caches.values()) cache.stop();
  }

  readonly #codecs = new Map<WatchCache, ObjectCodec>();
  readonly #storesOfCaches = new Map<WatchCache, Pick<ResourceStoreParts, "store" | "isStale" | "sealed">>();

  #cache(definition: ResourceDefinition): Omit<ResourceStoreParts, "definition" | "blocks"> {
    const { storagePath } = definition;
    const prefix = this.#prefixOf(storagePath);
    const known = this.#caches.get(storagePath);
    const knownCodec = known && this.#codecs.get(known);
    const knownStore = (known && this.#storesOfCaches.get(known)) ?? { store: this.store };
    if (known && knownCodec) return { cache: known, codec: knownCodec, prefix, ...knownStore };
    // What only sees the objects of another version adds its defaults in its view of them.
    const defaults = definition.sharesStorageOf ? undefined : definition.defaults;
    const fields = definition.sharesStorageOf ? [] : Object.values(definition.selectableFields ?? {});
    const codec = new ObjectCodec({ prefix, defaults, fields, recent: this.#recent, onObject: this.#options.onObject });
    const { log = silentLogger, events, maxPending } = this.#options;
    const figures = this.#options.figuresOf?.(definition.type);
    const base = this.#storeOf(definition.type);
    const transforming = this.#options.storeFor?.(base, definition.type, prefix);
    const store = transforming ?? base;
    const what = describedKind(definition);
    const cache = new WatchCache({ store, clock: this.clock, log, prefix, codec, what, maxPending, figures, ...events });
    this.#caches.set(storagePath, cache);
    this.#codecs.set(cache, codec);
    const storage = transforming
      ? { store, isStale: (key: string) => transforming.isStale(key), sealed: (operation: Operation) => transforming.sealed(operation) }
      : { store };
    this.#storesOfCaches.set(cache, storage);
    return { cache, codec, prefix, ...storage };
  }

  /** A store of a resource that is turned off, for an informer of this server's own. */
  #hidden(type: ResourceType): ResourceStore | undefined {
    const definition = this.#unserved.find((unserved) => identityOf(unserved.type) === identityOf(type));
    return definition && new ResourceStore({ definition, blocks: this.#blocks, ...this.#cache(definition) });
  }

  #informer<T extends KubernetesObject>(type: ResourceType<T>): Informer<T> {
    // Admission asks several times a request, by the same constants.
    const known = this.#informersOfTypes.get(type);
    if (known) return known as unknown as Informer<T>;
    const store = this.#hidden(type) ?? this.forType(type);
    const identity = identityOf(type);
    let informer = this.#informers.get(identity);
    if (!informer) {
      // What a custom resource looks like may change while its informer is used.
      const view: VersionView = store.definition.custom ? (version) => (this.#byIdentity.get(identity) ?? store).view(version) : store.view;
      informer = new CacheInformer(store.type as ResourceType<KubernetesObject>, store.cache, view);
      informer.start();
      this.#informers.set(identity, informer);
    }
    this.#informersOfTypes.set(type, informer);
    return informer as unknown as Informer<T>;
  }
}

/** As upstream's messages name what a cache holds: built-in kinds by their Go types. */
function describedKind({ type, custom }: ResourceDefinition): string {
  if (custom) return `${apiVersionOf(type)}, Kind=${type.kind}`;
  const [group = ""] = type.group.split(".");
  return `*${goPackages[type.group] ?? (group === "" ? "core" : group)}.${type.kind}`;
}

/** Of groups whose package is not called after them. */
const goPackages: Readonly<Record<string, string>> = { "events.k8s.io": "core", "internal.apiserver.k8s.io": "apiserverinternal" };
