// What is counted about the objects of one resource: their changes, the reads of them and the questions to the store. Plain
// numbers, which are read off when they are scraped (registry/storage-metrics.ts); only questions to the store are timed.
import type { Clock } from "../../base/clock.ts";
import type { HistogramSeries, Series } from "../../base/metrics.ts";

/** As upstream's label "operation" has it. */
export type StoreOperation = "get" | "list" | "create" | "update" | "delete";

export interface OperationSeries {
  readonly requests: Series;
  readonly durations: HistogramSeries;
  readonly errors: () => Series;
}

/** Where the questions to the store are counted. */
export interface OperationFigures {
  readonly clock: Pick<Clock, "monotonic">;
  seriesOf(operation: StoreOperation): OperationSeries;
  /** How long reads have waited for the mirror. */
  readonly waits: () => HistogramSeries;
  /** How long clients that list by a watch have waited for all that there was. */
  readonly watchLists: (scope: WatchScope) => HistogramSeries;
}

/** As the label "scope" has it. */
export type WatchScope = "cluster" | "namespace" | "resource";

interface IndexedLists {
  lists: number;
  fetched: number;
}

export class ResourceFigures {
  /** Of objects in the mirror, as they are stored. */
  bytes = 0;
  received = 0;
  dispatched = 0;
  initializations = 0;
  /** Events of what was there when a watch began. */
  initialEvents = 0;
  decodeErrors = 0;
  consistentReads = 0;
  failedConsistentReads = 0;
  listsReturned = 0;
  storageLists = 0;
  storageFetched = 0;
  storageReturned = 0;
  /** Lists from the mirror by the index that was used: "" for none. */
  readonly lists = new Map<string, IndexedLists>();
  readonly #operations: OperationFigures | undefined;
  readonly #series = new Map<StoreOperation, OperationSeries>();
  #waits: HistogramSeries | undefined;

  /** Without operations nothing is timed. */
  constructor(operations?: OperationFigures) {
    this.#operations = operations;
  }

  listed(index: string, fetched: number, returned: number): void {
    let known = this.lists.get(index);
    if (!known) this.lists.set(index, (known = { lists: 0, fetched: 0 }));
    known.lists++;
    known.fetched += fetched;
    this.listsReturned += returned;
  }

  /** Now, for the operation that begins. */
  begin(): number {
    return this.#operations?.clock.monotonic() ?? 0;
  }

  end(operation: StoreOperation, begunMs: number): void {
    const series = this.#seriesOf(operation);
    if (!series || !this.#operations) return;
    series.requests.add();
    series.durations.observe((this.#operations.clock.monotonic() - begunMs) / 1000);
  }

  failed(operation: StoreOperation, begunMs: number): void {
    this.end(operation, begunMs);
    this.#seriesOf(operation)?.errors().add();
  }

  listedByWatch(scope: WatchScope, ms: number): void {
    this.#operations?.watchLists(scope).observe(ms / 1000);
  }

  /** A read has waited until the mirror had reached its revision. */
  waited(ms: number): void {
    if (!this.#operations) return;
    this.#waits ??= this.#operations.waits();
    this.#waits.observe(ms / 1000);
  }

  #seriesOf(operation: StoreOperation): OperationSeries | undefined {
    let series = this.#series.get(operation);
    if (!series && this.#operations) this.#series.set(operation, (series = this.#operations.seriesOf(operation)));
    return series;
  }
}
