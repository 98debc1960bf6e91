// An informer that many loops of one process share: a cache kept current by a reflector, with handlers that are called
// synchronously and in the order of changes, after the cache has changed. A handler that throws is logged and disturbs
// nobody else.
import { type KubernetesObject, keyOf } from "../api/meta/object.ts";
import { groupResourceOf, type ResourceType } from "../api/resource-type.ts";
import { deepFreeze } from "../base/deep-freeze.ts";
import type { IndexFunction, Informer, InformerHandler, InformerOptions } from "./informer.ts";
import { ObjectCache } from "./object-cache.ts";
import { isNewer } from "./recent-writes.ts";
import { Reflector, type ReflectorDeps } from "./reflector.ts";

export interface SharedInformerDeps extends ReflectorDeps {
  /** Freeze every object that enters the cache, to find code that changes one: for tests. Default false. */
  readonly deepFreeze?: boolean;
}

export class SharedInformer<T extends KubernetesObject> implements Informer<T> {
  readonly type: ResourceType<T>;
  readonly #deps: SharedInformerDeps;
  readonly #cache = new ObjectCache<T>((index, object, error) =>
    this.#deps.logger.error("An object cannot be found by an index", { resource: groupResourceOf(this.type), object, index, error }),
  );
  readonly #reflector: Reflector<T>;
  readonly #handlers = new Set<InformerHandler<T>>();
  #hasSynced = false;
  #markSynced: () => void = () => undefined;
  readonly #synced = new Promise<void>((resolve) => {
    this.#markSynced = resolve;
  });

  constructor(type: ResourceType<T>, scope: InformerOptions, deps: SharedInformerDeps) {
    this.type = type;
    this.#deps = deps;
    this.#reflector = new Reflector(type, scope, deps, {
      replaced: (objects) => this.#replace(objects),
      changed: (kind, object) => (kind === "DELETED" ? this.#delete(keyOf(object), object) : this.#upsert(object)),
    });
  }

  get size(): number {
    return this.#cache.size;
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  get(key: string): T | undefined {
    return this.#cache.get(key);
  }

  list(): Iterable<T> {
    return this.#cache.list();
  }

  inNamespace(namespace: string): readonly T[] {
    return this.#cache.inNamespace(namespace);
  }

  byIndex(index: string, value: string): readonly T[] {
    return this.#cache.byIndex(index, value);
  }

  addIndex(name: string, index: IndexFunction<T>): void {
    this.#cache.addIndex(name, index);
  }

  addHandler(handler: InformerHandler<T>): { remove(): void } {
    this.#handlers.add(handler);
    // A copy: a handler may cause changes to the cache.
    if (handler.onAdd) for (const object of [...this.#cache.list()]) this.#call(handler, object, (h) => h.onAdd?.(object));
    return { remove: () => void this.#handlers.delete(handler) };
  }

  start(): void {
    this.#reflector.start();
  }

  async stop(): Promise<void> {
    await this.#reflector.stop();
  }

  isAtLeast(resourceVersion: string): boolean {
    const reached = this.#reflector.resourceVersion;
    return reached !== undefined && !isNewer(resourceVersion, reached);
  }

  synced(signal?: AbortSignal): Promise<void> {
    if (!signal || this.#hasSynced) return this.#synced;
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      void this.#synced.then(() => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      });
    });
  }

  #replace(objects: readonly T[]): void {
    const listed = new Set<string>();
    for (const object of objects) {
      listed.add(keyOf(object));
      this.#upsert(object);
    }
    for (const key of [...this.#cache.keys()]) if (!listed.has(key)) this.#delete(key);
    if (this.#hasSynced) return;
    this.#hasSynced = true;
    this.#markSynced();
  }

  #upsert(object: T): void {
    if (this.#deps.deepFreeze) deepFreeze(object);
    // One text for all look-ups: its hash is reckoned once.
    const key = keyOf(object);
    const known = this.#cache.get(key);
    if (known?.metadata.uid === object.metadata.uid && known.metadata.resourceVersion === object.metadata.resourceVersion) return;
    // Deleted and made again while we were not watching: two objects, so two changes.
    if (known && known.metadata.uid !== object.metadata.uid) this.#delete(key);
    const previous = this.#cache.set(object, key);
    if (previous) this.#dispatch(object, (handler) => handler.onUpdate?.(object, previous));
    else this.#dispatch(object, (handler) => handler.onAdd?.(object));
  }

  #delete(key: string, last?: T): void {
    const known = this.#cache.delete(key);
    if (!known) return;
    if (last && this.#deps.deepFreeze) deepFreeze(last);
    const object = last ?? known;
    this.#dispatch(object, (handler) => handler.onDelete?.(object));
  }

  #dispatch(object: T, tell: (handler: InformerHandler<T>) => void): void {
    for (const handler of this.#handlers) this.#call(handler, object, tell);
  }

  #call(handler: InformerHandler<T>, object: T, tell: (handler: InformerHandler<T>) => void): void {
    try {
      tell(handler);
    } catch (error) {
      this.#deps.logger.error("A handler failed", { resource: groupResourceOf(this.type), object: keyOf(object), error });
    }
  }
}
