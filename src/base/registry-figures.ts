// How many metrics a component has, by their level of stability: what upstream's components tell of their own registry. Read off
// the help texts, which begin with the level. None is ever hidden here; those that are not written are disabled.
import type { MetricsRegistry } from "./metrics.ts";

export function registerRegistryFigures(metrics: MetricsRegistry): void {
  const registered = metrics.counter(
    "registered_metrics_total",
    "[BETA] The count of registered metrics broken by stability level and deprecation version.",
    ["deprecated_version", "stability_level"],
  );
  metrics.counter("hidden_metrics_total", "[BETA] The count of hidden metrics.").series();
  const disabled = metrics.counter("disabled_metrics_total", "[BETA] The count of disabled metrics.");
  metrics.beforeScrape(() => {
    registered.reset();
    disabled.reset();
    disabled.series().add(metrics.hiddenCount);
    for (const help of metrics.helps()) {
      const [, level, since = ""] = /^\[([A-Z]+)\](?: \(Deprecated since ([\d.]+)\))?/.exec(help) ?? [];
      if (level !== undefined) registered.series(since, level).add();
    }
  });
}
