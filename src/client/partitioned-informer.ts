// One informer of a resource, cut into parts by a value of its objects: the pods of a cluster by their node. Where many loops of
// one process each look at a part, such as the kubelets of simulated nodes, the resource is watched once, and a change reaches
// only the part that it concerns.
import { type KubernetesObject, keyOf } from "../api/meta/object.ts";
import type { IndexFunction, Informer, InformerHandler } from "./informer.ts";

/** The part an object belongs to; undefined for none. */
export type PartOf<T> = (object: T) => string | undefined;

export class PartitionedInformer<T extends KubernetesObject> {
  readonly #whole: Informer<T>;
  readonly #partOf: PartOf<T>;
  readonly #parts = new Map<string, Map<string, T>>();
  readonly #handlers = new Map<string, Set<InformerHandler<T>>>();

  constructor(whole: Informer<T>, partOf: PartOf<T>) {
    this.#whole = whole;
    this.#partOf = partOf;
    whole.addHandler({
      onAdd: (object) => this.#added(this.#partOf(object), object),
      onUpdate: (object, previous) => this.#changed(object, previous),
      onDelete: (object) => this.#removed(this.#partOf(object), object),
    });
  }

  /** The part as an informer of its own. It starts, syncs and stops with the whole. */
  part(name: string): Informer<T> {
    const whole = this.#whole;
    const objects = (): ReadonlyMap<string, T> => this.#parts.get(name) ?? new Map<string, T>();
    return {
      type: whole.type,
      get size() {
        return objects().size;
      },
      get hasSynced() {
        return whole.hasSynced;
      },
      get: (key) => objects().get(key),
      list: () => objects().values(),
      inNamespace: (namespace) => [...objects().values()].filter((object) => (object.metadata.namespace ?? "") === namespace),
      byIndex: (index, value) => whole.byIndex(index, value).filter((object) => this.#partOf(object) === name),
      addIndex: (index: string, values: IndexFunction<T>) => whole.addIndex(index, values),
      addHandler: (handler) => this.#addHandler(name, handler),
      start: () => undefined,
      synced: (signal) => whole.synced(signal),
      isAtLeast: (resourceVersion) => whole.isAtLeast(resourceVersion),
      stop: async () => undefined,
    };
  }

  #addHandler(name: string, handler: InformerHandler<T>): { remove(): void } {
    const handlers = this.#handlers.get(name) ?? new Set<InformerHandler<T>>();
    this.#handlers.set(name, handlers.add(handler));
    for (const object of [...(this.#parts.get(name)?.values() ?? [])]) handler.onAdd?.(object);
    return {
      remove: () => {
        handlers.delete(handler);
        if (handlers.size === 0 && this.#handlers.get(name) === handlers) this.#handlers.delete(name);
      },
    };
  }

  #added(name: string | undefined, object: T): void {
    if (name === undefined) return;
    const objects = this.#parts.get(name) ?? new Map<string, T>();
    this.#parts.set(name, objects.set(keyOf(object), object));
    this.#tell(name, (handler) => handler.onAdd?.(object));
  }

  #changed(object: T, previous: T): void {
    const [before, now] = [this.#partOf(previous), this.#partOf(object)];
    if (before !== now) {
      this.#removed(before, previous);
      this.#added(now, object);
    } else if (now !== undefined) {
      this.#parts.get(now)?.set(keyOf(object), object);
      this.#tell(now, (handler) => handler.onUpdate?.(object, previous));
    }
  }

  #removed(name: string | undefined, object: T): void {
    if (name === undefined) return;
    const objects = this.#parts.get(name);
    objects?.delete(keyOf(object));
    if (objects?.size === 0) this.#parts.delete(name);
    this.#tell(name, (handler) => handler.onDelete?.(object));
  }

  #tell(name: string, tell: (handler: InformerHandler<T>) => void): void {
    let failure: { readonly error: unknown } | undefined;
    for (const handler of this.#handlers.get(name) ?? []) {
      try {
        tell(handler);
      } catch (error) {
        failure ??= { error };
      }
    }
    // The whole's informer logs it; the other handlers have been told.
    if (failure) throw failure.error;
  }
}
