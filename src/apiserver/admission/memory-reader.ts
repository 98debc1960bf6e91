// An AdmissionReader over objects that are handed to it: for tests of what reads through one.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { apiVersionOf, type ResourceType } from "../../api/resource-type.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import type { Informer, InformerHandler } from "../../client/informer.ts";
import { ObjectCache } from "../../client/object-cache.ts";
import type { AdmissionReader } from "./admission.ts";

class MemoryInformer<T extends KubernetesObject> extends ObjectCache<T> implements Informer<T> {
  readonly type: ResourceType<T>;
  readonly hasSynced = true;
  readonly #handlers = new Set<InformerHandler<T>>();

  constructor(type: ResourceType<T>) {
    super();
    this.type = type;
  }

  addHandler(handler: InformerHandler<T>): { remove(): void } {
    for (const object of this.list()) handler.onAdd?.(object);
    this.#handlers.add(handler);
    return { remove: () => void this.#handlers.delete(handler) };
  }

  override set(object: T): T | undefined {
    const previous = super.set(object);
    for (const handler of this.#handlers) {
      if (previous) handler.onUpdate?.(object, previous);
      else handler.onAdd?.(object);
    }
    return previous;
  }

  override delete(key: string): T | undefined {
    const previous = super.delete(key);
    if (previous) for (const handler of this.#handlers) handler.onDelete?.(previous);
    return previous;
  }

  isAtLeast(): boolean {
    return true;
  }

  start(): void {}
  async synced(): Promise<void> {}
  async stop(): Promise<void> {}
}

export class MemoryReader implements AdmissionReader {
  readonly #informers = new Map<ResourceType, MemoryInformer<KubernetesObject>>();

  informer<T extends KubernetesObject>(type: ResourceType<T>): MemoryInformer<T> {
    let informer = this.#informers.get(type);
    if (!informer) {
      informer = new MemoryInformer(type as ResourceType<KubernetesObject>);
      this.#informers.set(type, informer);
    }
    return informer as unknown as MemoryInformer<T>; // made for this type above
  }

  /** Adds an object, with kind, version and a uid where it has none, and returns it. */
  put<T extends KubernetesObject>(
    type: ResourceType<T>,
    object: Omit<T, "apiVersion" | "kind" | "metadata"> & { readonly metadata: Partial<ObjectMeta> },
  ): T {
    const complete = {
      apiVersion: apiVersionOf(type),
      kind: type.kind,
      ...object,
      metadata: { uid: `uid-of-${object.metadata.name}`, ...object.metadata },
    } as unknown as T; // complete by the line above
    this.informer(type).set(complete);
    return complete;
  }

  remove(type: ResourceType, key: string): void {
    this.informer(type as ResourceType<KubernetesObject>).delete(key);
  }
}
