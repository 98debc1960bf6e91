// What is counted about calls of admission webhooks, under upstream's metric names. Both kinds of webhooks share the series.
import type { MetricsRegistry } from "../../../base/metrics.ts";

/** As the label "type" has it. */
export type WebhookStep = "admit" | "validating";

export interface ObservedCall {
  readonly name: string;
  readonly step: WebhookStep;
  readonly operation: string;
  readonly rejected: boolean;
  /** HTTP status of the outcome: 200, that of a refusal, or 0 where the server itself failed. */
  readonly code: number;
  readonly durationMs: number;
}

export type RejectionKind = "calling_webhook_error" | "apiserver_internal_error" | "no_error";

export interface WebhookMetrics {
  called(call: ObservedCall): void;
  rejected(call: Pick<ObservedCall, "name" | "step" | "operation" | "code">, kind: RejectionKind): void;
  failedOpen(name: string, step: WebhookStep): void;
  excluded(name: string, step: WebhookStep, operation: string): void;
  conditionFailed(name: string, step: WebhookStep, operation: string): void;
  /** The conditions of a webhook have been looked at. */
  conditionsTook(name: string, step: WebhookStep, operation: string, durationMs: number): void;
}

const buckets = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25];

/** Keeps the number of series bounded, whatever webhooks answer. */
const codeText = (code: number): string => String(Math.min(code, 600));

export function createWebhookMetrics(registry: MetricsRegistry): WebhookMetrics {
  const durations = registry.histogram(
    "apiserver_admission_webhook_admission_duration_seconds",
    "[STABLE] Admission webhook latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).",
    { labels: ["name", "operation", "rejected", "type"], buckets },
  );
  const requests = registry.counter(
    "apiserver_admission_webhook_request_total",
    "[ALPHA] Admission webhook request total, identified by name and broken out for each admission type (validating or admit) and operation. Additional labels specify whether the request was rejected or not and an HTTP status code. Codes greater than 600 are truncated to 600, to keep the metrics cardinality bounded.",
    ["code", "name", "operation", "rejected", "type"],
  );
  const rejections = registry.counter(
    "apiserver_admission_webhook_rejection_count",
    "[ALPHA] Admission webhook rejection count, identified by name and broken out for each admission type (validating or admit) and operation. Additional labels specify an error type (calling_webhook_error or apiserver_internal_error if an error occurred; no_error otherwise) and optionally a non-zero rejection code if the webhook rejects the request with an HTTP status code (honored by the apiserver when the code is greater or equal to 400). Codes greater than 600 are truncated to 600, to keep the metrics cardinality bounded.",
    ["error_type", "name", "operation", "rejection_code", "type"],
  );
  const failuresOpen = registry.counter(
    "apiserver_admission_webhook_fail_open_count",
    "[ALPHA] Admission webhook fail open count, identified by name and broken out for each admission type (validating or admit).",
    ["name", "type"],
  );
  const exclusions = registry.counter(
    "apiserver_admission_match_condition_exclusions_total",
    "[ALPHA] Admission match condition evaluation exclusions count, identified by name of resource containing the match condition and broken out for each kind containing matchConditions (webhook or policy), operation and admission type (validate or admit).",
    ["kind", "name", "operation", "type"],
  );
  const conditionErrors = registry.counter(
    "apiserver_admission_match_condition_evaluation_errors_total",
    "[ALPHA] Admission match condition evaluation errors count, identified by name of resource containing the match condition and broken out for each kind containing matchConditions (webhook or policy), operation and admission type (validate or admit).",
    ["kind", "name", "operation", "type"],
  );
  const conditionTimes = registry.histogram(
    "apiserver_admission_match_condition_evaluation_seconds",
    "[ALPHA] Admission match condition evaluation time in seconds, identified by name and broken out for each kind containing matchConditions (webhook or policy), operation and type (validate or admit).",
    { labels: ["kind", "name", "operation", "type"], buckets: [0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25] },
  );
  return {
    called({ name, step, operation, rejected, code, durationMs }) {
      requests.series(codeText(code), name, operation, String(rejected), step).add();
      durations.series(name, operation, String(rejected), step).observe(durationMs / 1000);
    },
    rejected({ name, step, operation, code }, kind) {
      rejections.series(kind, name, operation, codeText(code), step).add();
    },
    failedOpen: (name, step) => failuresOpen.series(name, step).add(),
    excluded: (name, step, operation) => exclusions.series("webhook", name, operation, step === "admit" ? "admit" : "validate").add(),
    conditionsTook: (name, step, operation, durationMs) =>
      conditionTimes.series("webhook", name, operation, step).observe(durationMs / 1000),
    conditionFailed: (name, step, operation) => conditionErrors.series("webhook", name, operation, step).add(),
  };
}
