// The kinds of metrics.k8s.io/v1beta1, made from what was measured. CPU is given in nanocores, memory in bytes.
import { canonicalQuantity, quantityOf } from "../api/meta/quantity.ts";
import type { Node, Pod } from "../api/types/core-v1.ts";
import { formatTime } from "../base/clock.ts";
import { formatDuration } from "../base/duration.ts";
import type { Usage } from "./metric-store.ts";

export interface ResourceUsage {
  readonly cpu: string;
  readonly memory: string;
}

interface MetricsBase {
  readonly apiVersion: "metrics.k8s.io/v1beta1";
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    /** The moment of the answer: the object is made for it. */
    readonly creationTimestamp: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  /** The end of the window. */
  readonly timestamp: string;
  readonly window: string;
}

export interface NodeMetrics extends MetricsBase {
  readonly kind: "NodeMetrics";
  readonly usage: ResourceUsage;
}

export interface PodMetrics extends MetricsBase {
  readonly kind: "PodMetrics";
  readonly containers: readonly { readonly name: string; readonly usage: ResourceUsage }[];
}

export type MetricsObject = NodeMetrics | PodMetrics;

const apiVersion = "metrics.k8s.io/v1beta1";

export function nodeMetrics({ metadata: { name, labels } }: Node, usage: Usage, nowMs: number): NodeMetrics {
  return {
    kind: "NodeMetrics",
    apiVersion,
    metadata: { name, creationTimestamp: formatTime(nowMs), ...(labels ? { labels } : {}) },
    ...timesOf(usage),
    usage: resourceUsage(usage),
  };
}

export function podMetrics(pod: Pod, usages: ReadonlyMap<string, Usage>, nowMs: number): PodMetrics {
  const { name, namespace, labels } = pod.metadata;
  // What all figures together can vouch for is what the oldest of them can.
  const [oldest] = [...usages.values()].sort((a, b) => a.timeMs - b.timeMs);
  return {
    kind: "PodMetrics",
    apiVersion,
    metadata: { name, namespace, creationTimestamp: formatTime(nowMs), ...(labels ? { labels } : {}) },
    ...timesOf(oldest ?? { timeMs: nowMs, windowMs: 0 }),
    containers: [...usages].map(([container, usage]) => ({ name: container, usage: resourceUsage(usage) })),
  };
}

function timesOf({ timeMs, windowMs }: Pick<Usage, "timeMs" | "windowMs">): Pick<MetricsBase, "timestamp" | "window"> {
  return { timestamp: formatTime(timeMs), window: formatDuration(windowMs) };
}

function resourceUsage({ cpuNanoCores, memoryBytes }: Usage): ResourceUsage {
  return { cpu: canonicalQuantity(`${cpuNanoCores}n`), memory: quantityOf(memoryBytes, "BinarySI").toString() };
}
