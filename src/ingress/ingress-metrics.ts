// What the ingress controller counts.
import type { MetricsRegistry } from "../base/metrics.ts";

export type IngressMetrics = ReturnType<typeof createIngressMetrics>;

const seconds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60];

export function createIngressMetrics(registry: MetricsRegistry) {
  const label = ["code"];
  return {
    requests: registry.counter("coracle_ingress_requests_total", "Requests answered, by status code; 0 where the client went away", label),
    durations: registry
      .histogram("coracle_ingress_request_duration_seconds", "Time from a request's head to the end of its answer", { buckets: seconds })
      .series(),
    open: registry.gauge("coracle_ingress_open_requests", "Requests and upgraded connections in progress").series(),
    connections: registry.gauge("coracle_ingress_connections", "Connections of clients").series(),
    retries: registry.counter("coracle_ingress_retries_total", "Requests sent to another endpoint after one did not take them").series(),
    routes: registry.gauge("coracle_ingress_routes", "Routes and defaults in use").series(),
    reloads: registry.counter("coracle_ingress_reloads_total", "Times that routes and certificates were read anew").series(),
  };
}
