// Figures of what the kubelet remembers of pulls (kubelet_imagemanager_*): how many records it keeps on disk, and what looks at
// them came to.
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { PullRecords } from "../pulls/pull-records.ts";
import type { CheckResult } from "../pulls/pull-verification.ts";

/** Gives what is told of each look at an image that is here. */
export function registerPullMetrics(registry: MetricsRegistry, records: PullRecords): (result: CheckResult) => void {
  const gauge = (name: string, help: string) => registry.gauge(`kubelet_imagemanager_ondisk_${name}`, `[ALPHA] ${help}`);
  const intents = gauge("pullintents", "Number of ImagePullIntents stored on disk.");
  const pulled = gauge("pulledrecords", "Number of ImagePulledRecords stored on disk.");
  registry.beforeScrape(() => {
    const { counts } = records;
    if (!counts) return;
    intents.series().set(counts.intents);
    pulled.series().set(counts.records);
  });
  const checks = registry.counter(
    "kubelet_imagemanager_image_mustpull_checks_total",
    "[ALPHA] Counter for how many times kubelet checked whether credentials need to be re-verified to access an image",
    ["result"],
  );
  return (result) => checks.series(result).add();
}
