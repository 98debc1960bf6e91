// The kubelet's /metrics/resource: CPU and memory of the node, its pods and their containers, under upstream's names. This is
// what metrics-server reads every few seconds, so it is made from the cheap measurement, with the moment of each reading.
import { type Sample, type SampledMetric, sampledText } from "../../base/metrics.ts";
import type { Measurement, UsageReading } from "./measurement.ts";

interface Subject extends UsageReading {
  readonly labels: Readonly<Record<string, string>>;
}

/** `undefined`: the measurement failed. */
export function resourceMetrics(measured: Measurement | undefined): string {
  const failed = { value: measured ? 0 : 1 };
  return sampledText([
    ...(measured ? usageMetrics(measured) : []),
    metric("resource_scrape_error", "gauge", "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise", [failed]),
  ]);
}

function usageMetrics({ node, pods }: Measurement): readonly SampledMetric[] {
  const podSubjects = pods.map((pod) => ({ ...pod, labels: { pod: pod.name, namespace: pod.namespace } }));
  const containers = pods.flatMap(({ name: pod, namespace, containers: own }) =>
    own.map((container) => ({ ...container, labels: { container: container.name, pod, namespace } })),
  );
  const started = containers.flatMap(({ labels, startedAtMs }) => (startedAtMs > 0 ? [{ labels, value: startedAtMs / 1000 }] : []));
  return [
    ...ofSubjects("container", containers),
    metric("container_start_time_seconds", "gauge", "[STABLE] Start time of the container since unix epoch in seconds", started),
    ...ofSubjects("node", [{ ...node, labels: {} }]),
    ...ofSubjects("pod", podSubjects),
  ];
}

function ofSubjects(what: string, subjects: readonly Subject[]): readonly SampledMetric[] {
  const samples = (read: (subject: Subject) => Omit<Sample, "labels"> | undefined): readonly Sample[] =>
    subjects.flatMap((subject) => {
      const sample = read(subject);
      return sample ? [{ labels: subject.labels, ...sample }] : [];
    });
  return [
    metric(
      `${what}_cpu_usage_seconds_total`,
      "counter",
      `[STABLE] Cumulative cpu time consumed by the ${what} in core-seconds`,
      samples(({ cpu }) => cpu && { value: cpu.nanoseconds / 1e9, timestampMs: cpu.timeMs }),
    ),
    metric(
      `${what}_memory_working_set_bytes`,
      "gauge",
      `[STABLE] Current working set of the ${what} in bytes`,
      samples(({ memory }) =>
        memory?.workingSetBytes === undefined ? undefined : { value: memory.workingSetBytes, timestampMs: memory.timeMs },
      ),
    ),
    metric(
      `${what}_swap_usage_bytes`,
      "gauge",
      what === "node"
        ? "[ALPHA] Current swap usage of the node in bytes. Reported only on non-windows systems"
        : `[ALPHA] Current amount of the ${what} swap usage in bytes. Reported only on non-windows systems`,
      samples(({ swap }) => (swap?.usageBytes === undefined ? undefined : { value: swap.usageBytes, timestampMs: swap.timeMs })),
    ),
    ...(what !== "container"
      ? []
      : [
          metric(
            "container_swap_limit_bytes",
            "gauge",
            "[ALPHA] Current amount of the container swap limit in bytes. Reported only on non-windows systems",
            samples(({ swap }) =>
              // None where nothing is known of what it may use.
              swap?.usageBytes === undefined
                ? undefined
                : { value: swap.availableBytes === undefined ? 0 : swap.availableBytes + swap.usageBytes, timestampMs: swap.timeMs },
            ),
          ),
        ]),
  ];
}

const metric = (name: string, type: SampledMetric["type"], help: string, samples: readonly Sample[]): SampledMetric => ({
  name,
  type,
  help,
  samples,
});
