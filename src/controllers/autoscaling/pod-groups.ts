// Which of a target's pods count when its usage is reckoned: ready ones do; those that are starting are taken for idle when
// there are to be more pods; for those without figures the more careful assumption is made; those that go are left out.
import { parseQuantity } from "../../api/meta/quantity.ts";
import { parseTime } from "../../api/meta/time.ts";
import { podAmounts } from "../../api/semantics/pod-resources.ts";
import { isPodReady, podReadyCondition } from "../../api/semantics/pod-status.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { isPodLevelResource } from "../../api/validation/resource-names.ts";
import type { AutoscalerOptions } from "./autoscaler-options.ts";
import type { PodMetric, PodMetrics } from "./metric-source.ts";

export interface PodGroups {
  readonly readyCount: number;
  /** Starting, or not ready: their figures are not used. */
  readonly unready: ReadonlySet<string>;
  /** Without figures. */
  readonly missing: ReadonlySet<string>;
  /** Going, or failed. */
  readonly ignored: ReadonlySet<string>;
}

export function groupPods(
  pods: readonly Pod[],
  metrics: PodMetrics,
  { resource, nowMs, options }: { readonly resource: string; readonly nowMs: number; readonly options: AutoscalerOptions },
): PodGroups {
  const unready = new Set<string>();
  const missing = new Set<string>();
  const ignored = new Set<string>();
  let readyCount = 0;
  for (const pod of pods) {
    const { name, deletionTimestamp } = pod.metadata;
    const metric = metrics.get(name);
    if (deletionTimestamp !== undefined || pod.status?.phase === "Failed") ignored.add(name);
    else if (pod.status?.phase === "Pending") unready.add(name);
    else if (!metric) missing.add(name);
    else if (resource === "cpu" && isStarting(pod, metric, nowMs, options)) unready.add(name);
    else readyCount++;
  }
  return { readyCount, unready, missing, ignored };
}

/** Whether a pod's processor usage is that of its start rather than of its work. */
function isStarting(pod: Pod, metric: PodMetric, nowMs: number, options: AutoscalerOptions): boolean {
  const condition = podReadyCondition(pod);
  const startMs = parseTime(pod.status?.startTime ?? "");
  if (!condition || startMs === undefined) return true;
  const changedMs = parseTime(condition.lastTransitionTime ?? "") ?? 0;
  const isUnready = condition.status === "False";
  if (startMs + options.cpuInitializationPeriodMs > nowMs) return isUnready || metric.atMs < changedMs + metric.windowMs;
  // It has never been ready.
  return isUnready && startMs + options.initialReadinessDelayMs > changedMs;
}

/** Pods that run and are ready. Throws where the selector selects none at all. */
export function countReadyPods(pods: readonly Pod[]): number {
  if (pods.length === 0) throw new Error("unable to calculate ready pods: no pods returned by selector while calculating replica count");
  return pods.filter((pod) => pod.status?.phase === "Running" && isPodReady(pod)).length;
}

/** What each pod, or one of its containers, requests of a resource, in thousandths, by pod name. Throws where one has no request. */
export function requestsOf(pods: readonly Pod[], resource: string, container?: string): ReadonlyMap<string, number> {
  return new Map(pods.map((pod) => [pod.metadata.name, requestOf(pod, resource, container)]));
}

function requestOf(pod: Pod, resource: string, container: string | undefined): number {
  const { name } = pod.metadata;
  const { spec } = pod;
  if (container === undefined && Object.keys(spec.resources?.requests ?? {}).some(isPodLevelResource)) {
    const amount = podAmounts(spec)[resource];
    if (amount === undefined) throw new Error(`missing pod-level request for ${resource} in Pod ${name}`);
    // Processors are counted in thousandths already.
    return resource === "cpu" ? amount : amount * 1000;
  }
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  const wanted = [...spec.containers, ...sidecars].filter((each) => container === undefined || each.name === container);
  if (container !== undefined && wanted.length === 0) throw new Error(`container ${container} not found in Pod ${name}`);
  let sum = 0;
  for (const each of wanted) {
    const request = each.resources?.requests?.[resource];
    if (request === undefined) throw new Error(`missing request for ${resource} in container ${each.name} of Pod ${name}`);
    sum += parseQuantity(request).milliValue();
  }
  return sum;
}
