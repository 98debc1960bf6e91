// What is counted about authorization, under upstream's metric names.
import type { Clock } from "../../base/clock.ts";
import type { HistogramSeries, MetricsRegistry } from "../../base/metrics.ts";

export type AuthorizationResult = "allowed" | "denied" | "no-opinion" | "error";

export interface AuthorizationMetrics {
  /** For durations. */
  readonly clock: Pick<Clock, "monotonic">;
  attempted(result: AuthorizationResult, durationMs: number): void;
}

/** How a webhook was asked. */
export interface AuthorizationWebhookMetrics {
  asked(webhook: string, result: "success" | "timeout" | "error", durationMs: number): void;
  /** It could not be asked, and others decide. */
  failedOpen(webhook: string, result: "timeout" | "error"): void;
}

const durationBuckets = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);
const webhookBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** `stage`: the durations of the whole stage, whatever its result. */
export function createAuthorizationMetrics(
  registry: MetricsRegistry,
  clock: Pick<Clock, "monotonic">,
  stage?: HistogramSeries,
): AuthorizationMetrics {
  const attempts = registry.counter(
    "authorization_attempts_total",
    "[ALPHA] Counter of authorization attempts broken down by result. It can be either 'allowed', 'denied', 'no-opinion' or 'error'.",
    ["result"],
  );
  const durations = registry.histogram(
    "authorization_duration_seconds",
    "[ALPHA] Authorization duration in seconds broken out by result.",
    {
      labels: ["result"],
      buckets: durationBuckets,
    },
  );
  const byResult = (result: AuthorizationResult) => ({ attempts: attempts.series(result), durations: durations.series(result) });
  // Made when it first happens: a series that has counted nothing is not shown.
  const series: Partial<Record<AuthorizationResult, ReturnType<typeof byResult>>> = {};
  return {
    clock,
    attempted(result, durationMs) {
      const counted = (series[result] ??= byResult(result));
      counted.attempts.add();
      counted.durations.observe(durationMs / 1000);
      stage?.observe(durationMs / 1000);
    },
  };
}

export function createAuthorizationWebhookMetrics(registry: MetricsRegistry): AuthorizationWebhookMetrics {
  const prefix = "apiserver_authorization_webhook";
  const evaluations = registry.counter(`${prefix}_evaluations_total`, "[ALPHA] Round-trips to authorization webhooks.", ["name", "result"]);
  const durations = registry.histogram(`${prefix}_duration_seconds`, "[ALPHA] Request latency in seconds.", {
    labels: ["name", "result"],
    buckets: webhookBuckets,
  });
  const failures = registry.counter(`${prefix}_evaluations_fail_open_total`, "[ALPHA] NoOpinion results due to webhook timeout or error.", [
    "name",
    "result",
  ]);
  return {
    asked(webhook, result, durationMs) {
      evaluations.series(webhook, result).add();
      durations.series(webhook, result).observe(durationMs / 1000);
    },
    failedOpen: (webhook, result) => failures.series(webhook, result).add(),
  };
}
