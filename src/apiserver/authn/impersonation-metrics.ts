// What is counted about impersonation, under upstream's metric names: whole attempts, and the checks that each consists of. Only
// requests that ask for it cost anything.
import type { Clock } from "../../base/clock.ts";
import type { HistogramSeries, MetricsRegistry } from "../../base/metrics.ts";

export interface ImpersonationMetrics {
  readonly clock: Pick<Clock, "monotonic">;
  /** `mode`: the one that allowed it; "" where none did. */
  attempted(mode: string, isAllowed: boolean, durationMs: number): void;
  asked(mode: string, isAllowed: boolean, durationMs: number): void;
}

/** 1 ms, doubled fourteen times. */
const buckets = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);
const labels = ["decision", "mode"];

/** `stage`: the durations of the whole stage. */
export function createImpersonationMetrics(
  registry: MetricsRegistry,
  clock: Pick<Clock, "monotonic">,
  stage?: () => HistogramSeries,
): ImpersonationMetrics {
  const counter = (name: string, help: string) => registry.counter(`apiserver_impersonation_${name}`, `[ALPHA] ${help}`, labels);
  const histogram = (name: string, help: string) =>
    registry.histogram(`apiserver_impersonation_${name}`, `[ALPHA] ${help}`, { labels, buckets });
  const attempts = counter("attempts_total", "Total number of impersonation attempts split by mode and decision.");
  const durations = histogram("attempts_duration_seconds", "Latency of impersonation attempts in seconds split by mode and decision.");
  const checks = counter(
    "authorization_attempts_total",
    "Total number of authorization checks made by the impersonation handler split by mode and decision.",
  );
  const checkDurations = histogram(
    "authorization_attempts_duration_seconds",
    "Latency of authorization checks made by the impersonation handler in seconds split by mode and decision.",
  );
  const decision = (isAllowed: boolean): string => (isAllowed ? "allowed" : "denied");
  return {
    clock,
    attempted(mode, isAllowed, durationMs) {
      attempts.series(decision(isAllowed), mode).add();
      durations.series(decision(isAllowed), mode).observe(durationMs / 1000);
      stage?.().observe(durationMs / 1000);
    },
    asked(mode, isAllowed, durationMs) {
      checks.series(decision(isAllowed), mode).add();
      checkDurations.series(decision(isAllowed), mode).observe(durationMs / 1000);
    },
  };
}
