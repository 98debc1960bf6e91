// What priority and fairness counts, under upstream's metric names. Gauges are read off the levels when they are scraped; what
// a request adds is a few counters that its flow schema holds ready.
import type { HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";
import type { RefusalReason } from "./fair-queues.ts";
import type { FlowLevel } from "./flow-controller.ts";

/** The series of one flow schema and its level. */
export interface FlowSeries {
  readonly dispatched: Series;
  readonly execution: HistogramSeries;
  readonly waitedToExecute: HistogramSeries;
  readonly seats: HistogramSeries;
  /** Requests in the queue with one that has just come. */
  readonly queueLengths: HistogramSeries;
  /** Of the watchers that a write will tell. */
  readonly watchers: HistogramSeries;
  refused(reason: RefusalReason, waitedSeconds: number): void;
}

export interface FlowMetrics {
  seriesOf(level: string, schema: string): FlowSeries;
}

interface FlowGauges {
  readonly levels: () => Iterable<FlowLevel>;
  readonly fairFraction: () => number;
}

const durations = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];
const seatBuckets = [1, 2, 4, 8, 16, 32, 64, 100];
const queueLengthBuckets = [0, 10, 25, 50, 100, 250, 500, 1000];
const watcherBuckets = [0, 1, 10, 100, 1000, 10_000];
const byLevel = ["priority_level"];
const byFlow = ["priority_level", "flow_schema"];

export function createFlowMetrics(registry: MetricsRegistry, gauges: FlowGauges): FlowMetrics {
  const named = (name: string): string => `apiserver_flowcontrol_${name}`;
  const dispatched = registry.counter(
    named("dispatched_requests_total"),
    "[BETA] Number of requests executed by API Priority and Fairness subsystem",
    byFlow,
  );
  const rejected = registry.counter(
    named("rejected_requests_total"),
    "[BETA] Number of requests rejected by API Priority and Fairness subsystem",
    [...byFlow, "reason"],
  );
  const waited = registry.histogram(named("request_wait_duration_seconds"), "[BETA] Length of time a request spent waiting in its queue", {
    labels: [...byFlow, "execute"],
    buckets: durations,
  });
  const execution = registry.histogram(
    named("request_execution_seconds"),
    "[ALPHA] Duration of initial stage (for a WATCH) or any (for a non-WATCH) stage of request execution in the API Priority and Fairness subsystem",
    { labels: [...byFlow, "type"], buckets: durations },
  );
  const seats = registry.histogram(
    named("work_estimated_seats"),
    "[ALPHA] Number of estimated seats (maximum of initial and final seats) associated with requests in API Priority and Fairness",
    { labels: byFlow, buckets: seatBuckets },
  );
  const queueLengths = registry.histogram(
    named("request_queue_length_after_enqueue"),
    "[ALPHA] Length of queue in the API Priority and Fairness subsystem, as seen by each request after it is enqueued",
    { labels: byFlow, buckets: queueLengthBuckets },
  );
  const watchers = registry.histogram(
    named("watch_count_samples"),
    "[ALPHA] count of watchers for mutating requests in API Priority and Fairness",
    { labels: byFlow, buckets: watcherBuckets },
  );
  registerGauges(registry, named, gauges);
  return {
    seriesOf: (level, schema) => ({
      dispatched: dispatched.series(level, schema),
      execution: execution.series(level, schema, "regular"),
      waitedToExecute: waited.series(level, schema, "true"),
      seats: seats.series(level, schema),
      queueLengths: queueLengths.series(level, schema),
      watchers: watchers.series(level, schema),
      refused(reason, waitedSeconds) {
        rejected.series(level, schema, reason).add();
        waited.series(level, schema, "false").observe(waitedSeconds);
      },
    }),
  };
}

type LevelGauge = readonly [name: string, help: string, value: (level: FlowLevel) => number];

const levelGauges: readonly LevelGauge[] = [
  ["nominal_limit_seats", "[BETA] Nominal number of execution seats configured for each priority level", ({ bounds }) => bounds.nominal],
  [
    "lower_limit_seats",
    "[ALPHA] Configured lower bound on number of execution seats available to each priority level",
    ({ bounds }) => bounds.min,
  ],
  [
    "upper_limit_seats",
    "[ALPHA] Configured upper bound on number of execution seats available to each priority level",
    ({ bounds }) => bounds.max,
  ],
  [
    "current_limit_seats",
    "[ALPHA] current derived number of execution seats available to each priority level",
    ({ currentLimit }) => currentLimit,
  ],
  [
    "demand_seats_high_watermark",
    "[ALPHA] High watermark, over last adjustment period, of demand_seats",
    ({ queues }) => queues.demand.last.highWatermark,
  ],
  [
    "demand_seats_average",
    "[ALPHA] Time-weighted average, over last adjustment period, of demand_seats",
    ({ queues }) => queues.demand.last.average,
  ],
  [
    "demand_seats_stdev",
    "[ALPHA] Time-weighted standard deviation, over last adjustment period, of demand_seats",
    ({ queues }) => queues.demand.last.deviation,
  ],
  ["demand_seats_smoothed", "[ALPHA] Smoothed seat demands", ({ queues }) => queues.demand.last.smoothed],
  ["current_r", "[ALPHA] R(time of last change)", ({ queues }) => queues.virtualSeconds],
  ["target_seats", "[ALPHA] Seat allocation targets", ({ target }) => target],
];

function registerGauges(registry: MetricsRegistry, named: (name: string) => string, { levels, fairFraction }: FlowGauges): void {
  const own = levelGauges.map(([name, help, value]) => ({ gauge: registry.gauge(named(name), help, byLevel), value }));
  const executing = registry.gauge(
    named("current_executing_requests"),
    "[BETA] Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in the API Priority and Fairness subsystem",
    byFlow,
  );
  const executingSeats = registry.gauge(
    named("current_executing_seats"),
    "[BETA] Concurrency (number of seats) occupied by the currently executing (initial stage for a WATCH, any stage otherwise) requests in the API Priority and Fairness subsystem",
    byFlow,
  );
  const inQueue = registry.gauge(
    named("current_inqueue_requests"),
    "[BETA] Number of requests currently pending in queues of the API Priority and Fairness subsystem",
    byFlow,
  );
  const inQueueSeats = registry.gauge(
    named("current_inqueue_seats"),
    "[ALPHA] Number of seats currently pending in queues of the API Priority and Fairness subsystem",
    byFlow,
  );
  const fraction = registry
    .gauge(named("seat_fair_frac"), "[ALPHA] Fair fraction of server's concurrency to allocate to each priority level that can use it")
    .series();
  registry.beforeScrape(() => {
    for (const { gauge } of own) gauge.reset();
    for (const gauge of [executing, executingSeats, inQueue, inQueueSeats]) gauge.reset();
    for (const level of levels()) {
      for (const { gauge, value } of own) gauge.series(level.name).set(value(level));
      for (const flow of level.flows.values()) {
        executing.series(level.name, flow.schema).set(flow.executing);
        executingSeats.series(level.name, flow.schema).set(flow.executingSeats);
        inQueue.series(level.name, flow.schema).set(flow.waiting);
        inQueueSeats.series(level.name, flow.schema).set(flow.waitingSeats);
      }
    }
    fraction.set(fairFraction());
  });
}
