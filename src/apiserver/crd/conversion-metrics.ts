// What is counted about calls of conversion webhooks, under upstream's metric names.
import type { Clock } from "../../base/clock.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { ConversionFailure } from "./convert-objects.ts";

export interface ConversionMetrics {
  /** A call begins; the returned function says how it has ended. */
  begin(call: ConversionCall): (failure: ConversionFailure | undefined) => void;
}

export interface ConversionCall {
  /** The definition's. */
  readonly name: string;
  /** "v1", of the first object. */
  readonly from: string;
  readonly to: string;
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
  const byDefinition = registry.histogram(
    "apiserver_crd_conversion_webhook_duration_seconds",
    "[ALPHA] CRD webhook conversion duration in seconds",
    {
      labels: ["crd_name", "from_version", "succeeded", "to_version"],
      buckets: Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i),
    },
  );
  return {
    begin({ name, from, to }) {
      const startMs = clock.monotonic();
      return (failure) => {
        const values = failure === undefined ? ["", "success"] : [`conversion_webhook_${failure}_failure`, "failure"];
        requests.series(...values).add();
        const seconds = (clock.monotonic() - startMs) / 1000;
        durations.series(...values).observe(seconds);
        byDefinition.series(name, from, String(failure === undefined), to).observe(seconds);
      };
    },
  };
}
