// The priority and fairness stage: a request gets its seats at the priority level of its flow schema, waits for them in that
// level's queues, or is refused with 429. The client learns schema and level by the headers X-Kubernetes-PF-FlowSchema-UID and
// X-Kubernetes-PF-PriorityLevel-UID. A watch holds its seats until it has begun; what else is long-running takes none.
import type { Clock } from "../../base/clock.ts";
import { plainText } from "../http/plain-text.ts";
import { isLongRunning } from "../http/request-info.ts";
import { noteDuration } from "../http/stage-durations.ts";
import type { ApiResponse, Handler, RequestContext, Stage } from "../request.ts";
import { SeatsRefused } from "./fair-queues.ts";
import type { FlowArrival, FlowController, SchemaFlow } from "./flow-controller.ts";
import type { InFlight } from "./in-flight.ts";
import { estimateWork, type ResourceLoad } from "./work-estimate.ts";

export interface FlowControlDeps {
  readonly controller: FlowController;
  readonly load: ResourceLoad;
  readonly clock: Clock;
  readonly inFlight?: InFlight;
  /** How long a request has waited for its seats. */
  readonly observeWait?: (seconds: number) => void;
}

export interface FlowControlOptions {
  /** How long a request may wait that asks for no time limit. Default 15 s, a quarter of the default --request-timeout. */
  readonly maxWaitMs?: number;
}

const longestWaitMs = 60_000;

export function flowControlStage(deps: FlowControlDeps, { maxWaitMs = 15_000 }: FlowControlOptions = {}): Stage {
  const { controller, load } = deps;
  return (context, next) => {
    if (isLongRunning(context.info) && context.info.verb !== "watch") return next(context);
    const flow = controller.flowOf(context);
    const { level, schemaUid } = flow;
    if (schemaUid !== "" && level.uid !== "") context.flow = { schemaUid, levelUid: level.uid };
    const waitMs = context.timeoutMs === undefined ? maxWaitMs : context.timeoutMs / 4;
    const work = estimateWork(context, load, level.maxSeats, flow.series.watchers);
    const arrival = new RequestArrival(context, flow, work, Math.min(waitMs, longestWaitMs));
    return seated(arrival, deps, next);
  };
}

class RequestArrival implements FlowArrival {
  readonly context: RequestContext;
  readonly flow: string;
  readonly of: SchemaFlow;
  readonly work: FlowArrival["work"];
  readonly maxWaitMs: number;
  readonly distinguisher: string;
  waits = false;

  constructor(context: RequestContext, of: SchemaFlow, work: FlowArrival["work"], maxWaitMs: number) {
    this.context = context;
    this.of = of;
    this.work = work;
    this.maxWaitMs = maxWaitMs;
    this.distinguisher = of.by === "ByUser" ? context.user.name : of.by === "ByNamespace" ? context.info.namespace : "";
    this.flow = `${of.schema}/${this.distinguisher}`;
  }

  get schema(): string {
    return this.of.schema;
  }

  get seats(): number {
    return Math.max(this.work.seats, this.work.finalSeats);
  }

  signal(): AbortSignal {
    return this.context.request.signal;
  }

  onQueue(length: number): void {
    this.of.series.queueLengths.observe(length);
  }

  onWait(): void {
    this.waits = true;
    this.of.waiting++;
    this.of.waitingSeats += this.seats;
  }

  endWait(): void {
    if (!this.waits) return;
    this.waits = false;
    this.of.waiting--;
    this.of.waitingSeats -= this.seats;
  }
}

async function seated(arrival: RequestArrival, { clock, inFlight, observeWait }: FlowControlDeps, next: Handler): Promise<ApiResponse> {
  const { of: flow, context, seats } = arrival;
  const { verb } = context.info;
  const arrivedMs = clock.monotonic();
  let startedMs = arrivedMs;
  let leave: () => void;
  try {
    const entered = flow.level.queues.enter(arrival);
    if (entered instanceof Promise) {
      inFlight?.waiting(verb, 1, arrivedMs);
      try {
        leave = await entered;
      } finally {
        startedMs = clock.monotonic();
        inFlight?.waiting(verb, -1, startedMs);
        context.waitedMs = (context.waitedMs ?? 0) + startedMs - arrivedMs;
        noteDuration(context, "apf-queue-wait", startedMs - arrivedMs);
      }
    } else leave = entered;
  } catch (error) {
    if (!(error instanceof SeatsRefused)) throw error;
    flow.series.refused(error.reason, (clock.monotonic() - arrivedMs) / 1000);
    return comeBackIn(flow.level.retryAfter.refused(Math.floor(clock.now() / 1000)));
  } finally {
    arrival.endWait();
  }
  const { series } = flow;
  series.dispatched.add();
  series.waitedToExecute.observe((startedMs - arrivedMs) / 1000);
  series.seats.observe(seats);
  observeWait?.((startedMs - arrivedMs) / 1000);
  inFlight?.executing(verb, 1, startedMs);
  flow.executing++;
  flow.executingSeats += seats;
  try {
    return await next(context);
  } finally {
    flow.executing--;
    flow.executingSeats -= seats;
    const endedMs = clock.monotonic();
    inFlight?.executing(verb, -1, endedMs);
    series.execution.observe((endedMs - startedMs) / 1000);
    leave();
  }
}

const comeBackIn = (seconds: number): ApiResponse =>
  plainText(429, "Too many requests, please try again later.\n", { "Retry-After": String(seconds) });

/** The answer of the limits that hold without priority and fairness. */
export const tooManyRequests: ApiResponse = comeBackIn(1);
