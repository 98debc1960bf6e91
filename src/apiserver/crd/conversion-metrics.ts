// What is counted about calls of conversion webhooks, under upstream's metric names.
import type { Clock } from "../../base/clock.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { ConversionFailure } from "./convert-objects.ts";

export interface ConversionMetrics {
  /** A call begins; the returned function says how it has ended. */
  begin(): (failure: ConversionFailure | undefined) => void;
}

const buckets = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 45, 60];

export function createConversionMetrics(registry: MetricsRegistry, clock: Pick<Clock, "monotonic">): ConversionMetrics {
  const labels = ["failure_type", "result"];
  const requests = registry.counter(
    "apiserver_conversion_webhook_request_total",
    "[ALPHA] Counter for conversion webhook requests with success/failure and failure error type",
    labels,
  );
  const durations = registry.histogram("apiserver_conversion_webhook_duration_seconds", "[ALPHA] Conversion webhook request latency", {
    labels,
    buckets,
  });
  return {
    begin() {
      const startMs = clock.monotonic();
      return (failure) => {
        const values = failure === undefined ? ["", "success"] : [`conversion_webhook_${failure}_failure`, "failure"];
        requests.series(...values).add();
        durations.series(...values).observe((clock.monotonic() - startMs) / 1000);
      };
    },
  };
}
