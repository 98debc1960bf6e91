// Figures of work queues under client-go's names (workqueue_…), by the name of each queue. Made once for a registry; queues come and
// go, and their series stay.
import type { QueueMetrics } from "../base/keyed-queue.ts";
import type { MetricsRegistry } from "../base/metrics.ts";

/** What is read of a queue before each scrape. */
export interface MeasuredQueue {
  readonly depth: number;
  /** Of the work in progress: how long it has taken, altogether and the longest. */
  readonly unfinished: { readonly totalMs: number; readonly longestMs: number };
}

/** Ten times as much each, by multiplying: bounds are texts to those who read them, and upstream's are not quite round. */
const buckets: number[] = [1e-8];
for (let bound = 1e-8; buckets.length < 10; ) buckets.push((bound *= 10));

export class QueueFigures {
  /** By who has the queue; two may have queues of one name. */
  readonly #queues = new Map<string, { readonly name: string; queue: MeasuredQueue | undefined }>();
  readonly #hooksOf: (name: string) => QueueMetrics;

  constructor(registry: MetricsRegistry) {
    this.#hooksOf = registerCounted(registry);
    this.#registerMeasured(registry);
  }

  /** Hooks for a queue of this name. */
  hooks(name: string): QueueMetrics {
    return this.#hooksOf(name);
  }

  /** The queue is there until the function that is returned is called. `owner`: by default there is one queue of the name. */
  measure(name: string, queue: MeasuredQueue, owner = name): () => void {
    const measured: { readonly name: string; queue: MeasuredQueue | undefined } = { name, queue };
    this.#queues.set(owner, measured);
    return () => {
      measured.queue = undefined;
    };
  }

  #registerMeasured(registry: MetricsRegistry): void {
    const gauge = (name: string, help: string) => registry.gauge(`workqueue_${name}`, `[BETA] ${help}`, ["name"]);
    const depth = gauge("depth", "Current depth of workqueue");
    const unfinished = gauge(
      "unfinished_work_seconds",
      "How many seconds of work has done that is in progress and hasn't been observed by work_duration. Large values indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which this increases.",
    );
    const longest = gauge(
      "longest_running_processor_seconds",
      "How many seconds has the longest running processor for workqueue been running.",
    );
    registry.beforeScrape(() => {
      for (const [name, queues] of this.#byName()) {
        depth.series(name).set(queues.reduce((sum, queue) => sum + queue.depth, 0));
        unfinished.series(name).set(queues.reduce((sum, queue) => sum + queue.unfinished.totalMs, 0) / 1000);
        longest.series(name).set(Math.max(0, ...queues.map((queue) => queue.unfinished.longestMs)) / 1000);
      }
    });
  }

  /** Queues that are there now; those that have gone count nothing. */
  #byName(): ReadonlyMap<string, readonly MeasuredQueue[]> {
    const grouped = new Map<string, MeasuredQueue[]>();
    for (const { name, queue } of this.#queues.values()) grouped.set(name, [...(grouped.get(name) ?? []), ...(queue ? [queue] : [])]);
    return grouped;
  }
}

function registerCounted(registry: MetricsRegistry): (name: string) => QueueMetrics {
  const labels = ["name"];
  const adds = registry.counter("workqueue_adds_total", "[BETA] Total number of adds handled by workqueue", labels);
  const retries = registry.counter("workqueue_retries_total", "[BETA] Total number of retries handled by workqueue", labels);
  const waited = registry.histogram(
    "workqueue_queue_duration_seconds",
    "[BETA] How long in seconds an item stays in workqueue before being requested.",
    { labels, buckets },
  );
  const worked = registry.histogram(
    "workqueue_work_duration_seconds",
    "[BETA] How long in seconds processing an item from workqueue takes.",
    { labels, buckets },
  );
  return (name) => {
    const series = { adds: adds.series(name), retries: retries.series(name), waited: waited.series(name), worked: worked.series(name) };
    return {
      added: () => series.adds.add(),
      retried: () => series.retries.add(),
      started: (ms) => series.waited.observe(ms / 1000),
      finished: (ms) => series.worked.observe(ms / 1000),
    };
  };
}
