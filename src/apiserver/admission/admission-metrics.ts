// How long admission took, under upstream's metric names: each plugin, and all plugins of a step together. One reading of the clock
// stands for the end of a plugin and the beginning of the next; a plugin that a request does not concern is not counted.
import type { Clock } from "../../base/clock.ts";
import type { Family, HistogramSeries, MetricsRegistry } from "../../base/metrics.ts";
import type { AdmissionPlugin, AdmissionRequest } from "./admission.ts";

/** As the label "type" has it. */
export type AdmissionStep = "admit" | "validate";

type Operation = AdmissionRequest["operation"];

export interface AdmissionMetrics {
  begin(step: AdmissionStep, operation: Operation): StepTimer;
}

const buckets = [0.005, 0.025, 0.1, 0.5, 1, 2.5];

export function createAdmissionMetrics(registry: MetricsRegistry, clock: Pick<Clock, "monotonic">): AdmissionMetrics {
  const families: AdmissionFamilies = {
    clock,
    plugins: registry.histogram(
      "apiserver_admission_controller_admission_duration_seconds",
      "[STABLE] Admission controller latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).",
      { labels: ["name", "operation", "rejected", "type"], buckets },
    ),
    steps: registry.histogram(
      "apiserver_admission_step_admission_duration_seconds",
      "[STABLE] Admission sub-step latency histogram in seconds, broken out for each operation and API resource and step type (validate or admit).",
      { labels: ["operation", "rejected", "type"], buckets },
    ),
  };
  const known = new Map<string, StepSeries>();
  return {
    begin(step, operation) {
      const key = step + operation;
      let series = known.get(key);
      if (!series) known.set(key, (series = new StepSeries(families, step, operation)));
      return new StepTimer(series);
    },
  };
}

interface AdmissionFamilies {
  readonly clock: Pick<Clock, "monotonic">;
  readonly plugins: Family<HistogramSeries>;
  readonly steps: Family<HistogramSeries>;
}

/** The series of a step of one operation. */
class StepSeries {
  readonly clock: Pick<Clock, "monotonic">;
  readonly #families: AdmissionFamilies;
  readonly #step: AdmissionStep;
  readonly #operation: Operation;
  readonly #passed = new Map<AdmissionPlugin, HistogramSeries>();
  #allPassed: HistogramSeries | undefined;

  constructor(families: AdmissionFamilies, step: AdmissionStep, operation: Operation) {
    this.clock = families.clock;
    this.#families = families;
    this.#step = step;
    this.#operation = operation;
  }

  plugin(plugin: AdmissionPlugin, rejected: boolean): HistogramSeries {
    let series = rejected ? undefined : this.#passed.get(plugin);
    if (!series) {
      series = this.#families.plugins.series(plugin.name, this.#operation, String(rejected), this.#step);
      if (!rejected) this.#passed.set(plugin, series);
    }
    return series;
  }

  all(rejected: boolean): HistogramSeries {
    if (rejected) return this.#families.steps.series(this.#operation, "true", this.#step);
    this.#allPassed ??= this.#families.steps.series(this.#operation, "false", this.#step);
    return this.#allPassed;
  }
}

/** Times one step of one request. */
export class StepTimer {
  readonly #series: StepSeries;
  readonly #begunMs: number;
  #lastMs: number;
  #plugin: AdmissionPlugin | undefined = undefined;

  constructor(series: StepSeries) {
    this.#series = series;
    this.#begunMs = series.clock.monotonic();
    this.#lastMs = this.#begunMs;
  }

  /** The plugin is asked now. */
  asking(plugin: AdmissionPlugin): void {
    this.#plugin = plugin;
  }

  /** The plugin has let the request pass. */
  passed(plugin: AdmissionPlugin): void {
    const nowMs = this.#series.clock.monotonic();
    this.#series.plugin(plugin, false).observe((nowMs - this.#lastMs) / 1000);
    this.#lastMs = nowMs;
  }

  /** All plugins have. */
  allPassed(): void {
    this.#series.all(false).observe((this.#lastMs - this.#begunMs) / 1000);
  }

  /** The plugin that was asked last has refused the request. */
  rejected(): void {
    const nowMs = this.#series.clock.monotonic();
    if (this.#plugin) this.#series.plugin(this.#plugin, true).observe((nowMs - this.#lastMs) / 1000);
    this.#series.all(true).observe((nowMs - this.#begunMs) / 1000);
  }
}
