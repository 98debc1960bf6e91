// The first stage's result: what a request is about, read off its method and path as upstream's RequestInfo does.
// "/api/v1/namespaces/default/pods/web/log" with GET is verb "get" of resource "pods", subresource "log".

export interface RequestInfo {
  /** Whether the path is below /api/<version> or /apis/<group>/<version>. */
  readonly isResourceRequest: boolean;
  readonly path: string;
  /** get, list, watch, create, update, patch, delete, deletecollection, proxy; for other paths the lower-case method. */
  readonly verb: string;
  /** "api" or "apis"; "" for other paths. */
  readonly apiPrefix: string;
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly namespace: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
  /** Path parts from the resource on. */
  readonly parts: readonly string[];
  readonly fieldSelector: string;
  readonly labelSelector: string;
}
