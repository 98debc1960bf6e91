// What is counted about remembered tokens, under upstream's metric names (which have no help). There are such figures where tokens
// are remembered: those that a webhook or an issuer of JWTs has to be asked about.
import type { Clock } from "../../base/clock.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";

export interface TokenCacheMetrics {
  readonly clock: Pick<Clock, "monotonic">;
  answered(status: "hit" | "miss", durationMs: number): void;
  fetched(status: "ok" | "error"): void;
  /** `by`: 1 when it begins, -1 when it ends. */
  active(status: "in_flight" | "blocked", by: 1 | -1): void;
}

const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const labels = ["status"];

export function createTokenCacheMetrics(registry: MetricsRegistry, clock: Pick<Clock, "monotonic">): TokenCacheMetrics {
  const requests = registry.counter("authentication_token_cache_request_total", "[ALPHA] ", labels);
  const fetches = registry.counter("authentication_token_cache_fetch_total", "[ALPHA] ", labels);
  const active = registry.gauge("authentication_token_cache_active_fetch_count", "[ALPHA] ", labels);
  const durations = registry.histogram("authentication_token_cache_request_duration_seconds", "[ALPHA] ", { labels, buckets });
  return {
    clock,
    answered(status, durationMs) {
      requests.series(status).add();
      durations.series(status).observe(durationMs / 1000);
    },
    fetched: (status) => fetches.series(status).add(),
    active: (status, by) => active.series(status).add(by),
  };
}
