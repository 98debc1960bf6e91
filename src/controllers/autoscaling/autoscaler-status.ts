// The status of one autoscaler while it is looked at: conditions and figures are collected and written once, if they differ.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { horizontalpodautoscalers } from "../../api/resources.generated.ts";
import { findCondition, withCondition } from "../../api/semantics/conditions.ts";
import type { HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus, MetricStatus } from "../../api/types/autoscaling-v2.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";

export class AutoscalerStatus {
  readonly #autoscaler: HorizontalPodAutoscaler;
  readonly #clock: Clock;
  #status: HorizontalPodAutoscalerStatus;

  constructor(autoscaler: HorizontalPodAutoscaler, clock: Clock) {
    this.#autoscaler = autoscaler;
    this.#clock = clock;
    this.#status = autoscaler.status ?? { desiredReplicas: 0 };
  }

  set(type: string, status: "True" | "False", reason: string, message: string): void {
    const known = findCondition(this.#status.conditions, type);
    const lastTransitionTime = known?.status === status ? known.lastTransitionTime : formatTime(this.#clock.now());
    const since = lastTransitionTime === undefined ? {} : { lastTransitionTime };
    this.#status = { ...this.#status, conditions: withCondition(this.#status.conditions, { type, status, reason, message, ...since }) };
  }

  /** The figures of this look; what was desired last stays where nothing new is. */
  count(figures: {
    readonly current: number;
    readonly desired?: number;
    readonly metrics: readonly MetricStatus[];
    readonly scaledAt?: string;
  }): void {
    const { conditions, desiredReplicas, lastScaleTime } = this.#status;
    const scaled = figures.scaledAt ?? lastScaleTime;
    this.#status = {
      ...(conditions === undefined ? {} : { conditions }),
      currentReplicas: figures.current,
      desiredReplicas: figures.desired ?? desiredReplicas,
      ...(figures.metrics.length === 0 ? {} : { currentMetrics: figures.metrics }),
      ...(scaled === undefined ? {} : { lastScaleTime: scaled }),
    };
  }

  /** Does nothing where nothing has changed. */
  async write(client: Client, recorder: EventRecorder, signal: AbortSignal): Promise<void> {
    if (semanticallyEqual(this.#status, this.#autoscaler.status)) return;
    try {
      await client.updateStatus(horizontalpodautoscalers, { ...this.#autoscaler, status: this.#status }, { signal });
    } catch (error) {
      if (signal.aborted) throw error;
      const message = error instanceof Error ? error.message : String(error);
      recorder.record(this.#autoscaler, { type: "Warning", reason: "FailedUpdateStatus", message });
      throw new Error(`the status of ${this.#autoscaler.metadata.name} cannot be written`, { cause: error });
    }
  }
}
