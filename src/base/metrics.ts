// A small metrics registry: counters, gauges and histograms with labels, written in Prometheus' text format (version
// 0.0.4). A series is looked up once and then updated by a plain addition, so that hot paths can afford it. The number of
// series of one metric is bounded: what comes after is counted in one series whose labels say "other".

import { showFloat } from "./go-float.ts";

export interface Series {
  /** Adds `by` (default 1). */
  add(by?: number): void;
}

export interface GaugeSeries extends Series {
  set(value: number): void;
}

export interface HistogramSeries {
  observe(value: number): void;
}

interface Metric {
  readonly help: string;
  write(lines: string[]): void;
}

const maxSeries = 5000;

export class MetricsRegistry {
  readonly #metrics = new Map<string, Metric>();
  #hidden: ReadonlySet<string> = new Set();
  readonly #collectors: (() => void)[] = [];
  readonly #included: (() => string)[] = [];

  /** A number that only grows. `labels` are the names of its labels, in the order of `series`' values. */
  counter(name: string, help: string, labels: readonly string[] = []): Family<Series> {
    return this.#register(name, new Family<GaugeSeries>(name, help, { type: "counter", labels }));
  }

  gauge(name: string, help: string, labels: readonly string[] = []): Family<GaugeSeries> {
    return this.#register(name, new Family<GaugeSeries>(name, help, { type: "gauge", labels }));
  }

  /** `buckets` are ascending upper bounds; +Inf is added. */
  histogram(
    name: string,
    help: string,
    { labels = [], buckets }: { readonly labels?: readonly string[]; readonly buckets: readonly number[] },
  ): Family<HistogramSeries> {
    return this.#register(name, new Family<HistogramSeries>(name, help, { type: "histogram", labels, buckets }));
  }

  /** Called before each scrape, to bring gauges up to date. */
  beforeScrape(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** Adds figures that another registry has written: those of a thread of this process. Asked for at each scrape. */
  include(written: () => string): void {
    this.#included.push(written);
  }

  /** The help texts of all metrics that are written, whether or not anything has been counted. */
  *helps(): Generator<string, void, void> {
    for (const [name, metric] of this.#metrics) if (!this.#hidden.has(name)) yield metric.help;
  }

  /** Everything, in Prometheus' text format. */
  text(): string {
    for (const collect of this.#collectors) collect();
    const lines: string[] = [];
    for (const name of [...this.#metrics.keys()].sort()) if (!this.#hidden.has(name)) this.#metrics.get(name)?.write(lines);
    return `${lines.join("\n")}\n${this.#included.map((written) => written()).join("")}`;
  }

  /** From now on these are not written. */
  hide(names: readonly string[]): void {
    this.#hidden = new Set(names);
  }

  /** How many metrics are not written. */
  get hiddenCount(): number {
    return [...this.#hidden].filter((name) => this.#metrics.has(name)).length;
  }

  #register<S>(name: string, family: Family<S>): Family<S> {
    if (this.#metrics.has(name)) throw new Error(`metric ${name} is registered twice`);
    this.#metrics.set(name, family);
    return family;
  }
}

type Written = { write(lines: string[]): void };

/** One measured value of a metric that is not kept but read when it is asked for. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
  /** When it was measured, milliseconds since 1970. Default: the moment of the scrape. */
  readonly timestampMs?: number;
}

export interface SampledMetric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly samples: readonly Sample[];
}

/** Measured values in Prometheus' text format; metrics without any are left out. */
export function sampledText(metrics: readonly SampledMetric[]): string {
  const lines: string[] = [];
  for (const { name, help, type, samples } of metrics) {
    if (samples.length === 0) continue;
    lines.push(`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`);
    for (const { labels = {}, value, timestampMs } of samples) {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
      const series = pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
      lines.push(timestampMs === undefined ? `${series} ${value}` : `${series} ${value} ${Math.round(timestampMs)}`);
    }
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

interface FamilyOptions {
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  /** Of a histogram. */
  readonly buckets?: readonly number[];
}

/** All series of one metric. Small while it has no labels, as most: a process of many nodes has tens of thousands. */
export class Family<S> implements Metric {
  readonly #name: string;
  readonly #help: string;
  readonly #options: FamilyOptions;
  /** Without labels there is one. */
  #only: (S & Written) | undefined;
  #series: Map<string, S & Written> | undefined;

  constructor(name: string, help: string, options: FamilyOptions) {
    this.#name = name;
    this.#help = help;
    this.#options = options;
  }

  get help(): string {
    return this.#help;
  }

  /** The series with these values, one for each label in their order. */
  series(...values: readonly string[]): S {
    if (values.length === 0) return (this.#only ??= this.#make(""));
    const key = values.length === 1 ? (values[0] ?? "") : values.join("\0");
    this.#series ??= new Map();
    const known = this.#series.get(key);
    if (known) return known;
    if (this.#series.size >= maxSeries && values.some((v) => v !== "other")) return this.series(...values.map(() => "other"));
    const made = this.#make(this.#options.labels.map((label, i) => `${label}="${escapeLabel(values[i] ?? "")}"`).join(","));
    this.#series.set(key, made);
    return made;
  }

  #make(labels: string): S & Written {
    const { buckets } = this.#options;
    const made = buckets ? new BucketSeries(this.#name, labels, buckets) : new NumberSeries(this.#name, labels);
    // The registry names the kind of series that the type makes.
    return made as unknown as S & Written;
  }

  /** Forgets one series: what it counted for is gone. */
  remove(...values: readonly string[]): void {
    this.#series?.delete(values.length === 1 ? (values[0] ?? "") : values.join("\0"));
  }

  /** Forgets every series, for gauges that are filled anew before each scrape. */
  reset(): void {
    this.#only = undefined;
    this.#series?.clear();
  }

  /** Nothing where nothing has been counted, as every client of Prometheus has it. */
  write(lines: string[]): void {
    if (!this.#only && !this.#series?.size) return;
    lines.push(`# HELP ${this.#name} ${escapeHelp(this.#help)}`);
    lines.push(`# TYPE ${this.#name} ${this.#options.type}`);
    this.#only?.write(lines);
    for (const series of this.#series?.values() ?? []) series.write(lines);
  }
}

class NumberSeries implements GaugeSeries, Written {
  readonly #name: string;
  readonly #labels: string;
  #value = 0;

  constructor(name: string, labels: string) {
    this.#name = name;
    this.#labels = labels;
  }

  add(by = 1): void {
    this.#value += by;
  }

  set(value: number): void {
    this.#value = value;
  }

  write(lines: string[]): void {
    lines.push(`${this.#name}${this.#labels === "" ? "" : `{${this.#labels}}`} ${showFloat(this.#value)}`);
  }
}

class BucketSeries implements HistogramSeries, Written {
  readonly #name: string;
  readonly #labels: string;
  readonly #bounds: readonly number[];
  /** Absent until something is observed. */
  #counts: number[] | undefined;
  #sum = 0;
  #count = 0;

  constructor(name: string, labels: string, bounds: readonly number[]) {
    this.#name = name;
    this.#labels = labels;
    this.#bounds = bounds;
  }

  observe(value: number): void {
    this.#sum += value;
    this.#count++;
    const bounds = this.#bounds;
    this.#counts ??= bounds.map(() => 0);
    for (let at = 0; at < bounds.length; at++) {
      if (value > (bounds[at] as number)) continue;
      this.#counts[at] = (this.#counts[at] as number) + 1;
      return;
    }
  }

  write(lines: string[]): void {
    const prefix = this.#labels === "" ? "" : `${this.#labels},`;
    const suffix = this.#labels === "" ? "" : `{${this.#labels}}`;
    let cumulated = 0;
    this.#bounds.forEach((bound, i) => {
      cumulated += this.#counts?.[i] ?? 0;
      lines.push(`${this.#name}_bucket{${prefix}le="${showFloat(bound)}"} ${cumulated}`);
    });
    lines.push(`${this.#name}_bucket{${prefix}le="+Inf"} ${this.#count}`);
    lines.push(`${this.#name}_sum${suffix} ${showFloat(this.#sum)}`, `${this.#name}_count${suffix} ${this.#count}`);
  }
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
