// The informer-shaped view of a watch cache, for what runs inside the API server: admission, authorization, allocators.
// It shares the cache's objects; nothing is listed, copied or transported.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import type { IndexFunction, Informer, InformerHandler } from "../../client/informer.ts";
import type { CacheIndex } from "./cache-index.ts";
import type { ObjectVersion } from "./object-version.ts";
import type { WatchCache } from "./watch-cache.ts";

/** From what is stored to what the informer's type serves; the identity for most types. */
export type VersionView = (version: ObjectVersion) => ObjectVersion;

export class CacheInformer<T extends KubernetesObject> implements Informer<T> {
  readonly type: ResourceType<T>;
  readonly #cache: WatchCache;
  readonly #view: VersionView;
  readonly #indexes = new Map<string, { readonly function: IndexFunction<T>; readonly index: CacheIndex }>();

  constructor(type: ResourceType<T>, cache: WatchCache, view: VersionView) {
    this.type = type;
    this.#cache = cache;
    this.#view = view;
  }

  get size(): number {
    return this.#cache.objects.size;
  }

  get hasSynced(): boolean {
    return this.#cache.hasLoaded;
  }

  isAtLeast(resourceVersion: string): boolean {
    return this.#cache.hasLoaded && this.#cache.revision >= Number(resourceVersion);
  }

  get(key: string): T | undefined {
    const version = this.#cache.objects.get(key);
    return version && this.#object(version);
  }

  list(): Iterable<T> {
    return this.#cache.objects.list({ prefix: "" }).map((version) => this.#object(version));
  }

  inNamespace(namespace: string): readonly T[] {
    // Admission asks for limits and quotas that hardly a cluster has.
    if (this.#cache.objects.size === 0) return [];
    return this.#cache.objects.list({ prefix: `${namespace}/` }).map((version) => this.#object(version));
  }

  byIndex(index: string, value: string): readonly T[] {
    const known = this.#indexes.get(index);
    if (!known) throw new Error(`no index ${index} of ${this.type.resource}`);
    return Array.from(known.index.get(value), (version) => this.#object(version));
  }

  addIndex(name: string, index: IndexFunction<T>): void {
    const known = this.#indexes.get(name);
    if (known) {
      if (known.function !== index) throw new Error(`index ${name} of ${this.type.resource} is there already, with another function`);
      return;
    }
    this.#indexes.set(name, { function: index, index: this.#cache.objects.addIndex((version) => index(this.#object(version))) });
  }

  addHandler(handler: InformerHandler<T>): { remove(): void } {
    for (const version of this.#cache.objects.list({ prefix: "" })) handler.onAdd?.(this.#object(version));
    return this.#cache.objects.addListener((current, previous) => {
      if (current && previous) handler.onUpdate?.(this.#object(current), this.#object(previous));
      else if (current) handler.onAdd?.(this.#object(current));
      else if (previous) handler.onDelete?.(this.#object(previous));
    });
  }

  start(): void {
    void this.#cache.ready();
  }

  async synced(signal?: AbortSignal): Promise<void> {
    const ready = this.#cache.ready();
    if (!signal) return ready;
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      ready.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
    });
  }

  /** The cache belongs to the stores, which stop it. */
  async stop(): Promise<void> {}

  #object(version: ObjectVersion): T {
    return this.#view(version).object as T;
  }
}
