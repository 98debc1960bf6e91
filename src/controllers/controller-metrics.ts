// Figures of the controllers under upstream's names: workqueue_… for each queue, running_managed_controllers. Made once for a
// process; controllers come and go with the lease, and their series stay.
import type { QueueMetrics } from "../base/keyed-queue.ts";
import type { Family, GaugeSeries, MetricsRegistry } from "../base/metrics.ts";
import { type MeasuredQueue, QueueFigures } from "../client/queue-figures.ts";
import { ControllerFigures } from "./controller-figures.ts";
import { queueNameOf } from "./queue-names.ts";
import { ClaimMetrics } from "./resource-claim/claim-metrics.ts";

export type { MeasuredQueue } from "../client/queue-figures.ts";

export class ControllerMetrics {
  readonly #queues: QueueFigures;
  readonly #running: Family<GaugeSeries>;
  readonly claims: ClaimMetrics;
  /** Of single controllers. */
  readonly own: ControllerFigures;

  constructor(registry: MetricsRegistry) {
    this.claims = new ClaimMetrics(registry);
    this.own = new ControllerFigures(registry);
    this.#queues = new QueueFigures(registry);
    this.#running = registry.gauge(
      "running_managed_controllers",
      "[BETA] Indicates where instances of a controller are currently running",
      ["name", "manager"],
    );
  }

  /** Hooks for the queue of a controller. */
  hooks(controller: string): QueueMetrics {
    return this.#queues.hooks(queueNameOf(controller));
  }

  /** The controller runs, over this queue, until the function that is returned is called. */
  running(name: string, queue: MeasuredQueue): () => void {
    const series = this.#running.series(name, "kube-controller-manager");
    series.set(1);
    const gone = this.#queues.measure(queueNameOf(name), queue, name);
    return () => {
      series.set(0);
      gone();
    };
  }
}
