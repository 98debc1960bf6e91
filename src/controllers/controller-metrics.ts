// Figures of the controllers under upstream's names: workqueue_… for each queue, running_managed_controllers. Made once for a
// process; controllers come and go with the lease, and their series stay.
import type { QueueMetrics } from "../base/keyed-queue.ts";
import type { Family, GaugeSeries, MetricsRegistry } from "../base/metrics.ts";
import { ControllerFigures } from "./controller-figures.ts";
import { queueNameOf } from "./queue-names.ts";
import { ClaimMetrics } from "./resource-claim/claim-metrics.ts";

/** What is read of a queue before each scrape. */
export interface MeasuredQueue {
  readonly depth: number;
  /** Of the work in progress: how long it has taken, altogether and the longest. */
  readonly unfinished: { readonly totalMs: number; readonly longestMs: number };
}

const buckets = Array.from({ length: 10 }, (_, i) => Number((1e-8 * 10 ** i).toPrecision(1)));

export class ControllerMetrics {
  /** By the controller's name; two may have queues of one name. */
  readonly #queues = new Map<string, () => MeasuredQueue | undefined>();
  readonly #running: Family<GaugeSeries>;
  readonly #hooksOf: (name: string) => QueueMetrics;
  readonly claims: ClaimMetrics;
  /** Of single controllers. */
  readonly own: ControllerFigures;

  constructor(registry: MetricsRegistry) {
    this.claims = new ClaimMetrics(registry);
    this.own = new ControllerFigures(registry);
    const labels = ["name"];
    const adds = registry.counter("workqueue_adds_total", "[BETA] Total number of adds handled by workqueue", labels);
    const retries = registry.counter("workqueue_retries_total", "[BETA] Total number of retries handled by workqueue", labels);
    const depth = registry.gauge("workqueue_depth", "[BETA] Current depth of workqueue", labels);
    const waited = registry.histogram(
      "workqueue_queue_duration_seconds",
      "[BETA] How long in seconds an item stays in workqueue before being requested.",
      { labels, buckets },
    );
    const worked = registry.histogram(
      "workqueue_work_duration_seconds",
      "[BETA] How long in seconds processing an item from workqueue takes.",
      {
        labels,
        buckets,
      },
    );
    const unfinished = registry.gauge(
      "workqueue_unfinished_work_seconds",
      "[BETA] How many seconds of work in progress has not been observed by work_duration.",
      labels,
    );
    const longest = registry.gauge(
      "workqueue_longest_running_processor_seconds",
      "[BETA] How many seconds has the longest running processor for workqueue been running.",
      labels,
    );
    this.#running = registry.gauge(
      "running_managed_controllers",
      "[BETA] Indicates where instances of a controller are currently running",
      ["name", "manager"],
    );
    this.#hooksOf = (name) => {
      const series = { adds: adds.series(name), retries: retries.series(name), waited: waited.series(name), worked: worked.series(name) };
      return {
        added: () => series.adds.add(),
        retried: () => series.retries.add(),
        started: (ms) => series.waited.observe(ms / 1000),
        finished: (ms) => series.worked.observe(ms / 1000),
      };
    };
    registry.beforeScrape(() => {
      for (const [name, queues] of this.#byQueueName()) {
        depth.series(name).set(queues.reduce((sum, queue) => sum + queue.depth, 0));
        unfinished.series(name).set(queues.reduce((sum, queue) => sum + queue.unfinished.totalMs, 0) / 1000);
        longest.series(name).set(Math.max(0, ...queues.map((queue) => queue.unfinished.longestMs)) / 1000);
      }
    });
  }

  /** Queues that are there now, by upstream's names; those that have gone count nothing. */
  #byQueueName(): ReadonlyMap<string, readonly MeasuredQueue[]> {
    const grouped = new Map<string, MeasuredQueue[]>();
    for (const [controller, measure] of this.#queues) {
      const name = queueNameOf(controller);
      const queue = measure();
      grouped.set(name, [...(grouped.get(name) ?? []), ...(queue ? [queue] : [])]);
    }
    return grouped;
  }

  /** Hooks for the queue of a controller. */
  hooks(controller: string): QueueMetrics {
    return this.#hooksOf(queueNameOf(controller));
  }

  /** The controller runs, over this queue, until the function that is returned is called. */
  running(name: string, queue: MeasuredQueue): () => void {
    const series = this.#running.series(name, "kube-controller-manager");
    series.set(1);
    this.#queues.set(name, () => queue);
    return () => {
      series.set(0);
      this.#queues.set(name, () => undefined);
    };
  }
}
