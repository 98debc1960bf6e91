// Wires the limits on requests: priority and fairness, or the two plain limits where it is switched off.
import { flowControlDumps } from "../../apiserver/flow-control/dumps.ts";
import { flowControlStage } from "../../apiserver/flow-control/flow-control-stage.ts";
import { FlowController } from "../../apiserver/flow-control/flow-controller.ts";
import { InFlight } from "../../apiserver/flow-control/in-flight.ts";
import { maxInFlightStage } from "../../apiserver/flow-control/max-in-flight-stage.ts";
import type { EndpointSource } from "../../apiserver/http/endpoints.ts";
import type { TimedStage } from "../../apiserver/http/filter-metrics.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { ResourceStores } from "../../apiserver/registry/stores.ts";
import type { RequestContext, Stage } from "../../apiserver/request.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { HistogramSeries, MetricsRegistry } from "../../base/metrics.ts";

export interface FlowControl extends Running {
  readonly stage: Stage;
  readonly endpoints: readonly EndpointSource[];
}

export interface FlowControlWiring {
  readonly settings: ApiServerSettings;
  readonly stores: ResourceStores;
  readonly clock: Clock;
  readonly metrics: MetricsRegistry;
  /** Where the durations of stages are counted. */
  readonly filters: (stage: TimedStage) => HistogramSeries;
}

export function createFlowControl({ settings, stores, clock, metrics, filters }: FlowControlWiring): FlowControl {
  const inFlight = new InFlight();
  inFlight.register(metrics, clock);
  const { priorityAndFairness, maxRequestsInflight: reads, maxMutatingRequestsInflight: writes, profiling } = settings.operations;
  if (!priorityAndFairness)
    return { stage: maxInFlightStage({ reads, writes }, { inFlight, clock }), endpoints: [], stop: async () => undefined };
  const controller = new FlowController({ reader: stores.reader, clock, metrics }, { serverSeats: reads + writes });
  const stage = filters("priorityandfairness");
  const observeWait = (seconds: number): void => stage.observe(seconds);
  const load = ({ info }: RequestContext) => {
    const cache = stores.find(info.apiGroup, info.apiVersion, info.resource)?.cache;
    return cache && { objects: cache.objects.size, objectBytes: cache.figures.bytes, watchers: cache.watcherCount };
  };
  return {
    stage: flowControlStage({ controller, load, clock, inFlight, observeWait }, { maxWaitMs: settings.requestTimeoutMs / 4 }),
    endpoints: profiling ? [flowControlDumps(controller)] : [],
    stop: () => controller.stop(),
  };
}
