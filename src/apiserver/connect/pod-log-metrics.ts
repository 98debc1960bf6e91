// What is counted about logs of pods, under upstream's metric names: how kubelets' certificates are treated.
import type { MetricsRegistry } from "../../base/metrics.ts";

export interface PodLogMetrics {
  /** A log is asked for; `skipsTls`: the client wants no certificate to be checked. */
  asked(skipsTls: boolean): void;
  /** A kubelet's certificate was not accepted. */
  tlsFailed(): void;
}

export function createPodLogMetrics(registry: MetricsRegistry): PodLogMetrics {
  const usages = registry.counter(
    "kube_apiserver_pod_logs_insecure_backend_total",
    "[ALPHA] Total number of requests for pods/logs sliced by usage type: enforce_tls, skip_tls_allowed, skip_tls_denied",
    ["usage"],
  );
  const failures = registry
    .counter(
      "kube_apiserver_pod_logs_backend_tls_failure_total",
      "[ALPHA] Total number of requests for pods/logs that failed due to kubelet server TLS verification",
    )
    .series();
  return {
    asked: (skipsTls) => usages.series(skipsTls ? "skip_tls_allowed" : "enforce_tls").add(),
    tlsFailed: () => failures.add(),
  };
}
