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
  const last = registry.gauge("kubernetes_healthcheck", "[STABLE] Result of the last run of a health check: 1 or 0.", ["name", "type"]);
  const total = registry.counter("kubernetes_healthchecks_total", "[STABLE] Runs of health checks by their result.", [
    "name",
    "type",
    "status",
  ]);
  return {
    registry,
    observe(name, type, isOk) {
      last.series(name, type).set(isOk ? 1 : 0);
      total.series(name, type, isOk ? "success" : "error").add();
    },
  };
}
