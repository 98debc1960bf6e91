// What is counted about authorization, under upstream's metric names.
import type { Clock } from "../../base/clock.ts";
import type { HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";
import type { AuthorizationDecision } from "./authorizer.ts";

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
  /** Its conditions were evaluated: one may have excluded it, after others that could not be evaluated. */
  conditionsEvaluated(webhook: string, outcome: { readonly excluded: boolean; readonly failed: boolean }, durationMs: number): void;
}

/** Counts what an authorizer decides. */
export type CountDecision = (decision: AuthorizationDecision["decision"]) => void;

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
  const conditions = "apiserver_authorization_match_condition";
  const by = ["name", "type"];
  const conditionTimes = registry.histogram(
    `${conditions}_evaluation_seconds`,
    "[ALPHA] Authorization match condition evaluation time in seconds, split by authorizer type and name.",
    { labels: by, buckets: [0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25] },
  );
  const conditionErrors = registry.counter(
    `${conditions}_evaluation_errors_total`,
    "[ALPHA] Total number of errors when an authorization webhook encounters a match condition error split by authorizer type and name.",
    by,
  );
  const exclusions = registry.counter(
    `${conditions}_exclusions_total`,
    "[ALPHA] Total number of exclusions when an authorization webhook is skipped because match conditions exclude it.",
    by,
  );
  return {
    conditionsEvaluated(webhook, { excluded, failed }, durationMs) {
      conditionTimes.series(webhook, "Webhook").observe(durationMs / 1000);
      if (failed) conditionErrors.series(webhook, "Webhook").add();
      if (excluded) exclusions.series(webhook, "Webhook").add();
    },
    asked(webhook, result, durationMs) {
      evaluations.series(webhook, result).add();
      durations.series(webhook, result).observe(durationMs / 1000);
    },
    failedOpen: (webhook, result) => failures.series(webhook, result).add(),
  };
}

/** Of each authorizer of the chain by its type and name; those that decide nothing are not shown. */
export function createDecisionMetrics(registry: MetricsRegistry): (type: string, name: string) => CountDecision {
  const decisions = registry.counter(
    "apiserver_authorization_decisions_total",
    "[ALPHA] Total number of terminal decisions made by an authorizer split by authorizer type, name, and decision.",
    ["decision", "name", "type"],
  );
  return (type, name) => {
    let allowed: Series | undefined;
    let denied: Series | undefined;
    return (decision) => {
      if (decision === "allow") (allowed ??= decisions.series("allowed", name, type)).add();
      else if (decision === "deny") (denied ??= decisions.series("denied", name, type)).add();
    };
  };
}
