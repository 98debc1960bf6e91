// A local, indexed, immutable mirror of one resource, kept by list and
// watch, shared by every loop of a process. Implemented by shared-informer.ts.
import type { KubernetesObject } from "../api/meta/object.ts";
import type { ResourceType } from "../api/resource-type.ts";
import type { Running } from "../base/lifecycle.ts";

export interface InformerHandler<T> {
  onAdd?(object: T): void;
  onUpdate?(object: T, previous: T): void;
  /** The last state that is known. */
  onDelete?(object: T): void;
}

/** Maps an object to the values under which an index finds it. */
export type IndexFunction<T> = (object: T) => readonly string[];

/** The read side: what controllers and the scheduler hold. */
export interface Lister<T> {
  /** By "namespace/name" or "name". */
  get(key: string): T | undefined;
  list(): Iterable<T>;
  /** Objects of one namespace, by the built-in namespace index. */
  inNamespace(namespace: string): readonly T[];
  byIndex(index: string, value: string): readonly T[];
  readonly size: number;
}

export interface Informer<T extends KubernetesObject> extends Lister<T>, Running {
  readonly type: ResourceType<T>;
  /** Handlers added after the start first get onAdd for everything that is already there. */
  addHandler(handler: InformerHandler<T>): { remove(): void };
  /** Before or after the start; an index with the same name must be the same function. */
  addIndex(name: string, index: IndexFunction<T>): void;
  start(): void;
  /** Resolves when the first list has been delivered to all handlers. */
  synced(signal?: AbortSignal): Promise<void>;
  readonly hasSynced: boolean;
  /** Whether the cache has come as far as this resource version: then it shows all that was written up to it. */
  isAtLeast(resourceVersion: string): boolean;
}

export interface InformerOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

/** One informer per resource (and options), started together, shared by all loops of a process. */
export interface InformerFactory extends Running {
  /** The same arguments give the same informer. */
  informer<T extends KubernetesObject>(type: ResourceType<T>, options?: InformerOptions): Informer<T>;
  /** Stops and forgets the informer of a resource that is no longer served. */
  drop(type: ResourceType, options?: InformerOptions): Promise<void>;
  /** Starts all informers that have been asked for so far. */
  start(): void;
  /** Resolves when all started informers have synced. */
  synced(signal?: AbortSignal): Promise<void>;
}
