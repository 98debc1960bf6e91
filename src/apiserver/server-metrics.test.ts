import { describe, expect, it } from "vitest";
import { namespaces } from "../api/resources.generated.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import { createApiFixture } from "./api-fixture.ts";
import { versionInfo } from "./discovery/version-info.ts";
import { registerServerMetrics } from "./server-metrics.ts";

describe("registerServerMetrics()", () => {
  it("tells what is stored and which version runs", async () => {
    const api = createApiFixture();
    await api.stores.reader.informer(namespaces).synced();
    const metrics = new MetricsRegistry();
    registerServerMetrics(metrics, api.stores, versionInfo());
    const text = metrics.text();
    expect(text).toMatch(/^apiserver_resource_objects\{group="",resource="namespaces"\} \d+$/m);
    expect(text).toMatch(/^apiserver_storage_objects\{resource="namespaces"\} \d+$/m);
    expect(text).toMatch(/^version_info\{binary="1\.36\.\d+",component="kube",emulation="1\.36",min_compat="1\.35"\} 1$/m);
    expect(text).toMatch(/^kubernetes_build_info\{build_date="[^"]+",compiler="v8",.*major="1",minor="36",/m);
  });
});
