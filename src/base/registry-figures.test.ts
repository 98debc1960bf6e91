import { describe, expect, it } from "vitest";
import { MetricsRegistry } from "./metrics.ts";
import { registerRegistryFigures } from "./registry-figures.ts";

describe("registerRegistryFigures()", () => {
  it("counts the metrics of each level, whether or not they have series", () => {
    const registry = new MetricsRegistry();
    registerRegistryFigures(registry);
    registry.counter("a", "[ALPHA] One.");
    registry.counter("b", "[STABLE] (Deprecated since 1.34.0) Two.").series().add();
    registry.gauge("c", "Of no level.").series();
    expect(registry.text()).toContain('registered_metrics_total{deprecated_version="",stability_level="ALPHA"} 1\n');
    expect(registry.text()).toContain('registered_metrics_total{deprecated_version="1.34.0",stability_level="STABLE"} 1\n');
    expect(registry.text()).toContain('registered_metrics_total{deprecated_version="",stability_level="BETA"} 3\n');
    expect(registry.text()).toContain("hidden_metrics_total 0\n");
  });
});
