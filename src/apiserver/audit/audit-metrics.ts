// What is counted about audit, under upstream's metric names. Events and refusals are there, as zeros, without a policy too.
import type { MetricsRegistry, Series } from "../../base/metrics.ts";

export interface AuditCounters {
  readonly events: Series;
  readonly rejected: Series;
}

export function auditCounters(metrics: MetricsRegistry): AuditCounters {
  return {
    events: metrics
      .counter("apiserver_audit_event_total", "[ALPHA] Counter of audit events generated and sent to the audit backend.")
      .series(),
    rejected: metrics
      .counter(
        "apiserver_audit_requests_rejected_total",
        "[ALPHA] Counter of apiserver requests rejected due to an error in audit logging backend.",
      )
      .series(),
  };
}
