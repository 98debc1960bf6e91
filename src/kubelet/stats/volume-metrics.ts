// What is done with volumes, under upstream's names: how long mounting and unmounting took and how it ended, and how many volumes
// there are and should be, by plugin.
import type { Pod, Volume } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Family, HistogramSeries, MetricsRegistry } from "../../base/metrics.ts";
import { usedVolumes } from "../volumes/used-volumes.ts";

const seconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 25, 50, 120, 300, 600];
const measuringSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export type VolumeOperation = "volume_mount" | "volume_unmount";

/** Where a volume's type is not the plugin's name in another spelling. */
const plugins: Readonly<Record<string, string>> = {
  emptyDir: "kubernetes.io/empty-dir",
  hostPath: "kubernetes.io/host-path",
  configMap: "kubernetes.io/configmap",
  downwardAPI: "kubernetes.io/downward-api",
  // Of what a claim is bound to is known only where it is mounted.
  persistentVolumeClaim: "kubernetes.io/local-volume",
  ephemeral: "kubernetes.io/local-volume",
};

export function volumePlugin(volume: Volume): string {
  const type = Object.keys(volume).find((key) => key !== "name") ?? "";
  return plugins[type] ?? `kubernetes.io/${type}`;
}

export interface VolumeSources {
  /** Pods that are to have their volumes. */
  readonly wanted: () => Iterable<Pod>;
  /** The names of those that a pod has. */
  readonly mounted: (podUid: string) => Iterable<string>;
}

export class VolumeMetrics {
  readonly #clock: Clock;
  readonly #operations: Family<HistogramSeries>;
  readonly #overall: Family<HistogramSeries>;
  readonly #measuring: Family<HistogramSeries>;
  readonly #registry: MetricsRegistry;

  constructor(registry: MetricsRegistry, clock: Clock) {
    this.#registry = registry;
    this.#clock = clock;
    this.#operations = registry.histogram("storage_operation_duration_seconds", "[ALPHA] Storage operation duration", {
      ...{ labels: ["migrated", "operation_name", "status", "volume_plugin"], buckets: seconds },
    });
    this.#overall = registry.histogram("volume_operation_total_seconds", "[ALPHA] Storage operation end to end duration in seconds", {
      ...{ labels: ["operation_name", "plugin_name"], buckets: seconds },
    });
    const measuring = { labels: ["metric_source"], buckets: measuringSeconds };
    const help = "How long the figures of a volume took.";
    this.#measuring = registry.histogram("kubelet_volume_metric_collection_duration_seconds", help, measuring);
  }

  /** Does something with a volume of this plugin, and notes how long it took. */
  async observe<T>(operation: VolumeOperation, plugin: string, work: () => Promise<T>): Promise<T> {
    const begunMs = this.#clock.monotonic();
    let status = "fail-unknown";
    try {
      const done = await work();
      status = "success";
      this.#overall.series(`overall_${operation}`, plugin).observe((this.#clock.monotonic() - begunMs) / 1000);
      return done;
    } finally {
      this.#operations.series("false", operation, status, plugin).observe((this.#clock.monotonic() - begunMs) / 1000);
    }
  }

  measured(source: "du" | "statfs", durationMs: number): void {
    this.#measuring.series(source).observe(durationMs / 1000);
  }

  /** Counts the volumes whenever somebody asks. */
  follow({ wanted, mounted }: VolumeSources): void {
    const gauge = this.#registry.gauge("volume_manager_total_volumes", "[ALPHA] Number of volumes in Volume Manager", [
      ...["plugin_name", "state"],
    ]);
    this.#registry.beforeScrape(() => {
      gauge.reset();
      for (const pod of wanted()) {
        const there = new Set(mounted(pod.metadata.uid));
        for (const volume of usedVolumes(pod)) {
          // Images are the runtime's.
          if (volume.image) continue;
          const plugin = volumePlugin(volume);
          gauge.series(plugin, "desired_state_of_world").add();
          if (there.has(volume.name)) gauge.series(plugin, "actual_state_of_world").add();
        }
      }
    });
  }
}
