// The typed client all components use. Resources are named by their ResourceType (api/resources.generated.ts), so
// `client.get(pods, { namespace, name })` is a Promise<Pod>. Failures are thrown as StatusError. Objects are shared and
// immutable.
import type { KubernetesObject, New } from "../api/meta/object.ts";
import type { ResourceType } from "../api/resource-type.ts";
import type { DeleteOptions, ListMeta } from "../api/types/meta-v1.ts";

export interface Target {
  /** Required for namespaced resources, except in list, watch: there "" or absent means all namespaces. */
  readonly namespace?: string;
}

export interface NamedTarget extends Target {
  readonly name: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Default 30 s. */
  readonly timeoutMs?: number;
}

export interface WriteOptions extends CallOptions {
  readonly dryRun?: boolean;
  readonly fieldManager?: string;
  readonly fieldValidation?: "Strict" | "Warn" | "Ignore";
  /** For example "status", "scale", "binding". */
  readonly subresource?: string;
}

export interface ListOptions extends Target, CallOptions {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: "Exact" | "NotOlderThan";
  readonly limit?: number;
  readonly continue?: string;
}

export interface WatchOptions extends Target {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly resourceVersion?: string;
  readonly allowWatchBookmarks?: boolean;
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
}

export interface ObjectList<T> {
  readonly metadata: ListMeta;
  readonly items: readonly T[];
}

export type WatchEvent<T> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: T }
  | { readonly type: "BOOKMARK"; readonly object: { readonly metadata: { readonly resourceVersion: string } } };

export type PatchType = "json" | "merge" | "strategic" | "apply";

export interface PatchOptions extends WriteOptions {
  readonly type: PatchType;
  /** Server-side apply: take fields from other managers. */
  readonly force?: boolean;
}

export interface Client {
  get<T extends KubernetesObject>(
    type: ResourceType<T>,
    at: NamedTarget,
    options?: CallOptions & { readonly resourceVersion?: string },
  ): Promise<T>;
  list<T extends KubernetesObject>(type: ResourceType<T>, options?: ListOptions): Promise<ObjectList<T>>;
  /** Batches of events; throws StatusError (also when the server ends the stream with an ERROR event, such as 410). */
  watch<T extends KubernetesObject>(type: ResourceType<T>, options?: WatchOptions): Promise<AsyncIterable<readonly WatchEvent<T>[]>>;
  /** The namespace comes from the object's metadata. */
  create<T extends KubernetesObject>(type: ResourceType<T>, object: New<T>, options?: WriteOptions): Promise<T>;
  update<T extends KubernetesObject>(type: ResourceType<T>, object: T, options?: WriteOptions): Promise<T>;
  updateStatus<T extends KubernetesObject>(type: ResourceType<T>, object: T, options?: WriteOptions): Promise<T>;
  patch<T extends KubernetesObject>(type: ResourceType<T>, at: NamedTarget, patch: unknown, options: PatchOptions): Promise<T>;
  /** Resolves with the object where it remains (finalizers, grace period), or the server's Status. */
  delete(type: ResourceType, at: NamedTarget, options?: CallOptions & { readonly body?: DeleteOptions }): Promise<unknown>;
  deleteCollection(type: ResourceType, options?: ListOptions & { readonly body?: DeleteOptions }): Promise<void>;
  /** POST to a subresource whose body is of another kind: binding, eviction, token. */
  createSubresource<R>(
    type: ResourceType,
    at: NamedTarget & { readonly subresource: string },
    body: unknown,
    options?: WriteOptions,
  ): Promise<R>;
  getSubresource<R>(type: ResourceType, at: NamedTarget & { readonly subresource: string }, options?: CallOptions): Promise<R>;
  /** Any path, for discovery and the like; the parsed body of an answer below 400. */
  raw(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    options?: CallOptions & { readonly body?: unknown; readonly contentType?: string; readonly accept?: string },
  ): Promise<unknown>;
}
