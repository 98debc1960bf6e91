// What a client or server needs to know of a served resource: its names, scope, verbs and subresources. The constants
// for all built-in resources are in resources.generated.ts; those of custom resources are made from their definitions.

/** A group, version and kind; the core group is "". */
export interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

export interface SubresourceType {
  /** For example "status", "scale", "exec". */
  readonly name: string;
  /** What the subresource answers with. */
  readonly kind: GroupVersionKind;
  readonly verbs: readonly string[];
}

/** One served resource. `T` is the interface of its objects; it exists for the type checker only. */
export interface ResourceType<T = unknown> {
  /** "" for the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, as in paths: "pods". */
  readonly resource: string;
  readonly singular: string;
  readonly kind: string;
  /** Where it is not the kind followed by "List". */
  readonly listKind?: string;
  /** Where objects are stored as another version of the group than this. */
  readonly storageVersion?: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  /** Name of its schema ("core-v1.Pod", see schema/schema.ts); custom resources have none. */
  readonly schema?: string;
  readonly subresources: readonly SubresourceType[];
  /** Phantom, never present. */
  readonly __object?: T;
}

/** "v1" or "apps/v1". */
export function apiVersionOf(type: { readonly group: string; readonly version: string }): string {
  return type.group === "" ? type.version : `${type.group}/${type.version}`;
}

/** "pods" or "deployments.apps", as in error messages and RBAC. */
export function groupResourceOf(type: { readonly group: string; readonly resource: string }): string {
  return type.group === "" ? type.resource : `${type.resource}.${type.group}`;
}

/** "/api/v1" or "/apis/apps/v1". */
export function groupVersionPath(type: { readonly group: string; readonly version: string }): string {
  return type.group === "" ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
}

/**
 * The path of a collection, an object or a subresource:
 * resourcePath(pods, { namespace: "default", name: "web", subresource: "log" }) is
 * "/api/v1/namespaces/default/pods/web/log". Without a namespace a namespaced resource's path is that of all namespaces.
 */
export function resourcePath(
  type: ResourceType,
  at: { readonly namespace?: string | undefined; readonly name?: string | undefined; readonly subresource?: string | undefined } = {},
): string {
  let path = groupVersionPath(type);
  if (type.namespaced && at.namespace) path += `/namespaces/${encodeURIComponent(at.namespace)}`;
  path += `/${type.resource}`;
  if (at.name !== undefined) path += `/${encodeURIComponent(at.name)}`;
  if (at.subresource !== undefined) path += `/${at.subresource}`;
  return path;
}
