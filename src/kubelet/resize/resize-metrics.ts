// What became of resizes, under upstream's names.

import { amountOf } from "../../api/semantics/pod-resources.ts";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import type { Family, GaugeSeries, HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";

/** Why waiting resizes are looked at again. */
export type RetryTrigger = "pod_resized" | "pod_updated" | "pods_added" | "pods_removed" | "pod_terminated" | "periodic_retry";

export interface ResizeMetrics {
  /** By resource, requirement (requests, limits) and operation (add, remove, increase, decrease). */
  readonly requested: Family<Series>;
  /** Milliseconds, by success. */
  readonly durations: Family<HistogramSeries>;
  readonly pending: Family<GaugeSeries>;
  readonly infeasible: Family<Series>;
  readonly inProgress: GaugeSeries;
  /** Of those that had to wait, by what made them possible. */
  readonly accepted: Family<Series>;
}

const buckets = [10, 50, 100, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000];

export function registerResizeMetrics(registry: MetricsRegistry): ResizeMetrics {
  return {
    requested: registry.counter("kubelet_container_requested_resizes_total", "Resizes of containers that were asked for.", [
      "resource",
      "requirement",
      "operation",
    ]),
    durations: registry.histogram("kubelet_pod_resize_duration_milliseconds", "How long setting a pod's resources took.", {
      labels: ["success"],
      buckets,
    }),
    pending: registry.gauge("kubelet_pod_pending_resizes", "Pods whose resize waits, or can never be.", ["reason"]),
    infeasible: registry.counter("kubelet_pod_infeasible_resizes_total", "Resizes that can never be.", ["reason_detail"]),
    inProgress: registry.gauge("kubelet_pod_in_progress_resizes", "[ALPHA] Number of in-progress resizes for pods.").series(),
    accepted: registry.counter("kubelet_pod_deferred_accepted_resizes_total", "Resizes that had to wait and then fitted.", [
      "retry_trigger",
    ]),
  };
}

/** Counts what the new specification asks for otherwise than the old one. */
export function countRequested({ requested }: ResizeMetrics, before: Pod, after: Pod): void {
  const old = new Map(containers(before).map((container) => [container.name, container]));
  for (const container of containers(after)) {
    const was = old.get(container.name);
    if (!was || was.resources === container.resources) continue;
    for (const resource of ["memory", "cpu"] as const)
      for (const requirement of ["requests", "limits"] as const) {
        const amount = ({ resources }: Container): number => {
          const value = resources?.[requirement]?.[resource];
          return value === undefined ? 0 : amountOf(resource, value);
        };
        const operation = operationOf(amount(was), amount(container));
        if (operation !== undefined) requested.series(resource, requirement, operation).add();
      }
  }
}

const containers = ({ spec }: Pod): readonly Container[] => [...(spec.initContainers ?? []), ...spec.containers];

function operationOf(before: number, after: number): string | undefined {
  if (before === after) return undefined;
  if (after === 0) return "remove";
  if (before === 0) return "add";
  return after > before ? "increase" : "decrease";
}
