// What is counted about admission policies, under upstream's metric names: failures of validations, and every mutation.
import type { MetricsRegistry } from "../../../base/metrics.ts";

export interface ObservedPolicy {
  readonly policy: string;
  readonly binding: string;
  /** What the policy said; undefined where nothing failed. */
  readonly message: string | undefined;
  readonly durationMs: number;
}

/** What the failure of a validation had for a consequence. */
type Consequence = "allow" | "deny" | "audit" | "warn";

type ObserveValidation = (observed: ObservedPolicy, consequence: Consequence) => void;

type ObserveMutation = (observed: ObservedPolicy) => void;

const buckets = [0.0000005, 0.001, 0.01, 0.1, 1];

export function validationMetrics(registry: MetricsRegistry): ObserveValidation {
  const labels = ["policy", "policy_binding", "error_type", "enforcement_action"];
  const checks = registry.counter(
    "apiserver_validating_admission_policy_check_total",
    "[BETA] Validation admission policy check total, labeled by policy and further identified by binding and enforcement action taken.",
    labels,
  );
  const times = registry.histogram(
    "apiserver_validating_admission_policy_check_duration_seconds",
    "[BETA] Validation admission latency for individual validation expressions in seconds, labeled by policy and further including binding and enforcement action taken.",
    { labels, buckets },
  );
  return ({ policy, binding, message, durationMs }, consequence) => {
    const values = [policy, binding, errorType(message), consequence] as const;
    checks.series(...values).add();
    times.series(...values).observe(durationMs / 1000);
  };
}

export function mutationMetrics(registry: MetricsRegistry): ObserveMutation {
  const labels = ["policy", "policy_binding", "error_type"];
  const checks = registry.counter(
    "apiserver_mutating_admission_policy_check_total",
    "[ALPHA] Mutation admission policy check total, labeled by policy and further identified by binding.",
    labels,
  );
  const times = registry.histogram(
    "apiserver_mutating_admission_policy_check_duration_seconds",
    "[ALPHA] Mutation admission latency for individual mutation expressions in seconds, labeled by policy and binding.",
    { labels, buckets },
  );
  return ({ policy, binding, message, durationMs }) => {
    const values = [policy, binding, errorType(message)] as const;
    checks.series(...values).add();
    times.series(...values).observe(durationMs / 1000);
  };
}

/** Upstream tells the kinds of failures by how their messages begin; an expression that is false is among the last. */
function errorType(message: string | undefined): string {
  if (message === undefined) return "no_error";
  if (message.startsWith("compilation")) return "compile_error";
  return message.startsWith("validation failed due to running out of cost budget") ? "out_of_budget" : "invalid_error";
}
