// Priority and fairness as configured by the FlowSchemas and PriorityLevelConfigurations of the cluster: which schema and level
// take a request, the queues of each level, and every ten seconds the seats that levels lend each other. The mandatory schemas
// and levels hold even while their objects are missing.
import { flowschemas, prioritylevelconfigurations } from "../../api/resources.generated.ts";
import type { FlowSchema, PriorityLevelConfiguration } from "../../api/types/flowcontrol-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { RequestContext } from "../request.ts";
import { assignSeats, type SeatBounds, seatBounds } from "./concurrency-limits.ts";
import { mandatoryFlowSchemas, mandatoryPriorityLevels } from "./default-configuration.ts";
import { type Arrival, FairQueues } from "./fair-queues.ts";
import { createFlowMetrics, type FlowMetrics, type FlowSeries } from "./flow-metrics.ts";
import { inMatchingOrder, matchFlowSchema } from "./match-flow-schema.ts";
import { RetryAfter } from "./retry-after.ts";

/** A request at its level, as the queues keep it and the dumps show it. */
export interface FlowArrival extends Arrival {
  readonly context: RequestContext;
  readonly schema: string;
  readonly distinguisher: string;
}

/** The requests of one flow schema. */
export interface SchemaFlow {
  readonly schema: string;
  readonly schemaUid: string;
  readonly level: FlowLevel;
  readonly by: "ByUser" | "ByNamespace" | undefined;
  readonly series: FlowSeries;
  executing: number;
  executingSeats: number;
  waiting: number;
  waitingSeats: number;
}

export interface FlowLevel {
  readonly name: string;
  uid: string;
  exempt: boolean;
  /** Its object is gone; it lives until its last request ends. */
  quiescing: boolean;
  readonly queues: FairQueues<FlowArrival>;
  /** When those it refuses are told to come back. */
  readonly retryAfter: RetryAfter;
  bounds: SeatBounds;
  currentLimit: number;
  target: number;
  /** The most seats one request may take. */
  maxSeats: number;
  /** By name of flow schema. */
  readonly flows: Map<string, SchemaFlow>;
}

export interface FlowControllerDeps {
  readonly reader: AdmissionReader;
  readonly clock: Clock;
  readonly metrics: MetricsRegistry;
}

export interface FlowControllerOptions {
  /** Requests served at once: --max-requests-inflight and --max-mutating-requests-inflight together. Default 600. */
  readonly serverSeats?: number;
}

interface CompiledFlows {
  readonly schemas: readonly FlowSchema[];
  readonly flows: ReadonlyMap<FlowSchema, SchemaFlow>;
  /** The catch-all's. */
  readonly last: SchemaFlow;
}

const adjustmentMs = 10_000;
/** Of its level's nominal seats, for one request. */
const maxSeatsFraction = 0.15;
const noSeats: SeatBounds = { nominal: 0, min: 0, max: 0 };

export class FlowController implements Running {
  readonly #deps: FlowControllerDeps;
  readonly #serverSeats: number;
  readonly #metrics: FlowMetrics;
  readonly #levels = new Map<string, FlowLevel>();
  readonly #stops: (() => void)[] = [];
  #fairFraction = 0;
  /** The schemas in matching order with their flows; undefined when configuration has changed since. */
  #compiled: CompiledFlows | undefined;

  constructor(deps: FlowControllerDeps, options: FlowControllerOptions = {}) {
    this.#deps = deps;
    this.#serverSeats = options.serverSeats ?? 600;
    this.#metrics = createFlowMetrics(deps.metrics, { levels: () => this.levels, fairFraction: () => this.#fairFraction });
    const changed = (): void => {
      this.#compiled = undefined;
    };
    const handler = { onAdd: changed, onUpdate: changed, onDelete: changed };
    for (const informer of [deps.reader.informer(flowschemas), deps.reader.informer(prioritylevelconfigurations)]) {
      const added = informer.addHandler(handler);
      this.#stops.push(() => added.remove());
      informer.start();
    }
    const timer = deps.clock.every(adjustmentMs, () => this.adjust());
    this.#stops.push(() => timer.cancel());
  }

  get levels(): Iterable<FlowLevel> {
    this.#configuration();
    return this.#levels.values();
  }

  /** The flow that takes a request: what no schema names is the catch-all's. */
  flowOf({ user, info }: RequestContext): SchemaFlow {
    const { schemas, flows, last } = this.#configuration();
    const schema = matchFlowSchema(schemas, user, info);
    return (schema && flows.get(schema)) ?? last;
  }

  /** Moves seats between levels by what they wanted in the period that ends now. */
  adjust(): void {
    this.#configuration();
    for (const [name, level] of this.#levels) if (level.quiescing && level.queues.isIdle) this.#levels.delete(name);
    for (const level of this.#levels.values()) level.queues.demand.endPeriod();
    this.#assign();
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
  }

  #assign(): void {
    const levels = [...this.#levels.values()].filter((level) => !level.quiescing);
    const demands = levels.map((level) => ({ ...level, demand: level.queues.demand.last }));
    const { limits, targets, fairFraction } = assignSeats(demands);
    this.#fairFraction = fairFraction;
    for (const level of levels) {
      level.currentLimit = limits.get(level.name) ?? 0;
      level.target = targets.get(level.name) ?? 0;
      level.queues.setLimit(level.exempt ? Number.POSITIVE_INFINITY : level.currentLimit);
    }
  }

  #configuration(): CompiledFlows {
    this.#compiled ??= this.#compile();
    return this.#compiled;
  }

  #compile(): CompiledFlows {
    const { reader } = this.#deps;
    const configurations = withMandatory(reader.informer(prioritylevelconfigurations).list(), mandatoryPriorityLevels);
    this.#configureLevels(configurations);
    const flows = new Map<FlowSchema, SchemaFlow>();
    for (const schema of withMandatory(reader.informer(flowschemas).list(), mandatoryFlowSchemas)) {
      const level = this.#levels.get(schema.spec.priorityLevelConfiguration.name);
      // A schema without its level takes no requests.
      if (level && !level.quiescing) flows.set(schema, this.#flow(schema, level));
    }
    const schemas = inMatchingOrder(flows.keys());
    const last = [...flows.values()].find((flow) => flow.schema === "catch-all");
    if (!last) throw new Error("the flow schema catch-all refers to a priority level that is missing");
    return { schemas, flows, last };
  }

  #configureLevels(configurations: readonly PriorityLevelConfiguration[]): void {
    const bounds = seatBounds(configurations, this.#serverSeats);
    for (const level of this.#levels.values()) level.quiescing = true;
    for (const { metadata, spec } of configurations) {
      const level = this.#level(metadata.name);
      level.uid = metadata.uid ?? "";
      level.quiescing = false;
      level.exempt = spec.type === "Exempt";
      level.bounds = bounds.get(metadata.name) ?? noSeats;
      const queuing = spec.limited?.limitResponse?.type === "Queue" ? spec.limited.limitResponse.queuing : undefined;
      const { queues = 64, handSize = 8, queueLengthLimit = 50 } = queuing ?? {};
      level.queues.configure(queuing ? { queues, handSize, queueLengthLimit } : { queues: 0, handSize: 0, queueLengthLimit: 0 });
      const byHand = queuing ? Math.floor(level.bounds.nominal / handSize) : Number.POSITIVE_INFINITY;
      level.maxSeats = Math.max(1, Math.min(Math.ceil(level.bounds.nominal * maxSeatsFraction), byHand));
    }
    this.#assign();
  }

  #level(name: string): FlowLevel {
    let level = this.#levels.get(name);
    if (!level) {
      const queues = new FairQueues<FlowArrival>(this.#deps.clock);
      const fresh = { uid: "", exempt: false, quiescing: false, bounds: noSeats, currentLimit: 0, target: 0, maxSeats: 1 };
      level = { name, ...fresh, queues, retryAfter: new RetryAfter(), flows: new Map() };
      this.#levels.set(name, level);
    }
    return level;
  }

  #flow({ metadata, spec }: FlowSchema, level: FlowLevel): SchemaFlow {
    const type = spec.distinguisherMethod?.type;
    const by = type === "ByUser" || type === "ByNamespace" ? type : undefined;
    const known = level.flows.get(metadata.name);
    if (known && known.by === by && known.schemaUid === (metadata.uid ?? "")) return known;
    const counts = { executing: 0, executingSeats: 0, waiting: 0, waitingSeats: 0 };
    const series = this.#metrics.seriesOf(level.name, metadata.name);
    const flow: SchemaFlow = { schema: metadata.name, schemaUid: metadata.uid ?? "", level, by, series, ...counts };
    level.flows.set(metadata.name, flow);
    return flow;
  }
}

/** The objects there are, and the mandatory ones that are not. */
function withMandatory<T extends { readonly metadata: { readonly name: string } }>(found: Iterable<T>, mandatory: readonly object[]): T[] {
  const all = [...found];
  const names = new Set(all.map(({ metadata }) => metadata.name));
  // What is configured by is complete in them; only what the store adds (the uid) is missing.
  for (const object of mandatory as unknown as readonly T[]) if (!names.has(object.metadata.name)) all.push(object);
  return all;
}
