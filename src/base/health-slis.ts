// What health checks found, as /metrics/slis tells it: kubernetes_healthcheck (1 or 0, the last result) and
// kubernetes_healthchecks_total, by check and by the endpoint that asked. In a registry of its own, as upstream's.
import { MetricsRegistry } from "./metrics.ts";

export interface HealthSlis {
  readonly registry: MetricsRegistry;
  /** A check of an endpoint ("livez") was made. */
  readonly observe: (name: string, type: string, isOk: boolean) => void;
}

export function createHealthSlis(): HealthSlis {
  const registry = new MetricsRegistry();
  const last = registry.gauge("kubernetes_healthcheck", "[STABLE] This metric records the result of a single healthcheck.", [
    "name",
    "type",
  ]);
  const total = registry.counter("kubernetes_healthchecks_total", "[STABLE] This metric records the results of all healthcheck.", [
    "name",
    "status",
    "type",
  ]);
  return {
    registry,
    observe(name, type, isOk) {
      last.series(name, type).set(isOk ? 1 : 0);
      total.series(name, isOk ? "success" : "error", type).add();
    },
  };
}
