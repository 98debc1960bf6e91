// Figures of the autoscaler: what each look at one came to, and what each of its metrics did.
import type { HorizontalPodAutoscaler } from "../../api/types/autoscaling-v2.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Lister } from "../../client/informer.ts";
import type { ControllerContext } from "../controller.ts";

type Action = "scale_up" | "scale_down" | "none";

export const actionOf = (from: number, to: number): Action => (to > from ? "scale_up" : to < from ? "scale_down" : "none");

/** One look at one autoscaler. */
export class AutoscalerLook {
  readonly #context: ControllerContext;
  readonly #begunMs: number;
  #action: Action = "none";
  #error: "internal" | "none" = "none";

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#begunMs = context.clock.monotonic();
  }

  scaled(from: number, to: number): void {
    this.#action = actionOf(from, to);
  }

  failed(): void {
    this.#error = "internal";
  }

  /** Begins with a metric; what is returned ends it: with the action that it asks for, or without, when it cannot be had. */
  metric(type: string): (action?: Action) => void {
    const { clock, metrics } = this.#context;
    const begunMs = clock.monotonic();
    return (action) => {
      const labels = [action ?? "none", action === undefined ? "internal" : "none", type];
      metrics?.own.count("horizontal_pod_autoscaler_controller_metric_computation_total", ...labels);
      const seconds = (clock.monotonic() - begunMs) / 1000;
      metrics?.own.observe("horizontal_pod_autoscaler_controller_metric_computation_duration_seconds", seconds, ...labels);
    };
  }

  end(): void {
    const { clock, metrics } = this.#context;
    const labels = [this.#action, this.#error];
    metrics?.own.count("horizontal_pod_autoscaler_controller_reconciliations_total", ...labels);
    const seconds = (clock.monotonic() - this.#begunMs) / 1000;
    metrics?.own.observe("horizontal_pod_autoscaler_controller_reconciliation_duration_seconds", seconds, ...labels);
  }
}

const shown = [
  "horizontal_pod_autoscaler_controller_desired_replicas",
  "horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers",
] as const;

export function showAutoscalers({ metrics }: ControllerContext, autoscalers: Lister<HorizontalPodAutoscaler>): Running {
  const own = metrics?.own;
  const hide = own?.beforeScrape(shown, () => {
    own.set("horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers", autoscalers.size);
    for (const { metadata, status } of autoscalers.list()) {
      const desired = status?.desiredReplicas ?? 0;
      own.set("horizontal_pod_autoscaler_controller_desired_replicas", desired, metadata.namespace, metadata.name);
    }
  });
  return { stop: async () => hide?.() };
}
