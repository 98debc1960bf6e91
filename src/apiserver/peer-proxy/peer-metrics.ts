// Figures of what is passed on to peers, under upstream's names.
import type { MetricsRegistry } from "../../base/metrics.ts";

/** What a request is for; all empty for the discovery of a peer. */
export interface CountedResource {
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly resource: string;
}

export interface PeerMetrics {
  /** `code`: of the answer, 0 where it is an upgraded connection. */
  rerouted(code: number, resource: CountedResource): void;
  /** No address of a peer that serves it. */
  unresolved(resource: CountedResource): void;
  syncFailed(why: "hostport_resolution" | "fetch_discovery"): void;
}

export function createPeerMetrics(metrics: MetricsRegistry): PeerMetrics {
  const rerouted = metrics.counter(
    "apiserver_rerouted_request_total",
    `[ALPHA] Total number of requests that were proxied to a peer kube-apiserver because the local apiserver was not capable of serving it, broken down by 'group', 'version', and 'resource' indicating the GVR of the request. If all three are empty (""), the request is a discovery request.`,
    ["code", "group", "resource", "version"],
  );
  const errors = metrics.counter(
    "apiserver_peer_proxy_errors_total",
    "[ALPHA] Total number of errors encountered while proxying requests to a peer kube apiserver",
    ["group", "resource", "type", "version"],
  );
  const syncErrors = metrics.counter(
    "apiserver_peer_discovery_sync_errors_total",
    "[ALPHA] Total number of errors encountered while syncing discovery information from a peer kube-apiserver",
    ["type"],
  );
  return {
    rerouted: (code, { apiGroup, resource, apiVersion }) => rerouted.series(String(code), apiGroup, resource, apiVersion).add(),
    unresolved: ({ apiGroup, resource, apiVersion }) => errors.series(apiGroup, resource, "endpoint_resolution", apiVersion).add(),
    syncFailed: (why) => syncErrors.series(why).add(),
  };
}
