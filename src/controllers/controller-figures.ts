// Figures of single controllers under upstream's names, as figure-table.ts lists them: there from the first scrape on, and
// counted by name where something happens. What is read rather than counted is filled in by the controller before a scrape.
import type { Family, GaugeSeries, HistogramSeries, MetricsRegistry, Series } from "../base/metrics.ts";
import { counters, type Described, gauges, histograms } from "./figure-table.ts";

export type Counted = keyof typeof counters;
export type Timed = keyof typeof histograms;
export type Measured = keyof typeof gauges;

export class ControllerFigures {
  readonly #counters: ReadonlyMap<string, Family<Series>>;
  readonly #histograms: ReadonlyMap<string, Family<HistogramSeries>>;
  readonly #gauges: ReadonlyMap<string, Family<GaugeSeries>>;
  readonly #collectors = new Set<() => void>();

  constructor(registry: MetricsRegistry) {
    const labelsOf = (described: Described): readonly string[] => described.labels ?? [];
    this.#counters = made(counters, (name, each) => registry.counter(name, each.help, labelsOf(each)));
    this.#histograms = made<HistogramSeries, Described & { readonly buckets: readonly number[] }>(histograms, (name, each) =>
      registry.histogram(name, each.help, { labels: labelsOf(each), buckets: each.buckets }),
    );
    this.#gauges = made(gauges, (name, each) => registry.gauge(name, each.help, labelsOf(each)));
    registry.beforeScrape(() => {
      for (const collect of this.#collectors) collect();
    });
  }

  /** `labels` in the order of the table. */
  count(name: Counted, ...labels: readonly string[]): void {
    this.add(name, 1, ...labels);
  }

  add(name: Counted, by: number, ...labels: readonly string[]): void {
    this.#counters
      .get(name)
      ?.series(...labels)
      .add(by);
  }

  observe(name: Timed, seconds: number, ...labels: readonly string[]): void {
    this.#histograms
      .get(name)
      ?.series(...labels)
      .observe(seconds);
  }

  set(name: Measured, value: number, ...labels: readonly string[]): void {
    this.#gauges
      .get(name)
      ?.series(...labels)
      .set(value);
  }

  /** By one: for counting into a gauge that is filled anew. */
  increase(name: Measured, ...labels: readonly string[]): void {
    this.#gauges
      .get(name)
      ?.series(...labels)
      .add();
  }

  /** What the labels stand for is gone. */
  forget(name: Measured, ...labels: readonly string[]): void {
    this.#gauges.get(name)?.remove(...labels);
  }

  /** Before each scrape the gauges that are named are emptied and filled anew, until the function that is returned is called. */
  beforeScrape(names: readonly Measured[], fill: () => void): () => void {
    const empty = (): void => {
      for (const name of names) this.#gauges.get(name)?.reset();
    };
    const collect = (): void => {
      empty();
      fill();
    };
    this.#collectors.add(collect);
    return () => {
      this.#collectors.delete(collect);
      empty();
    };
  }
}

/** A family for each entry; those without labels have their series at once. */
function made<S, D extends Described = Described>(
  table: Readonly<Record<string, D>>,
  make: (name: string, described: D) => Family<S>,
): ReadonlyMap<string, Family<S>> {
  return new Map(
    Object.entries(table).map(([name, described]) => {
      const family = make(name, described);
      if (!described.labels) family.series();
      return [name, family];
    }),
  );
}
