// What is counted about the server as a whole, under upstream's metric names. All of it is read off when it is scraped:
// nothing is done for it per request.
import type { MetricsRegistry } from "../base/metrics.ts";
import { registerBuildInfo, registerVersionInfo } from "../base/process-metrics.ts";
import type { VersionFields } from "./discovery/version-info.ts";
import type { ResourceStores } from "./registry/stores.ts";

export function registerServerMetrics(metrics: MetricsRegistry, stores: ResourceStores, version: VersionFields): void {
  registerBuildInfo(metrics);
  registerVersionInfo(metrics, {
    emulation: `${version.emulationMajor}.${version.emulationMinor}`,
    minCompatibility: `${version.minCompatibilityMajor}.${version.minCompatibilityMinor}`,
  });
  const byResource = ["group", "resource"];
  const objects = metrics.gauge(
    "apiserver_resource_objects",
    "[ALPHA] Number of stored objects at the time of last check split by kind. In case of a fetching error, the value will be -1.",
    byResource,
  );
  const storageObjects = metrics.gauge(
    "apiserver_storage_objects",
    "[STABLE] (Deprecated since 1.34.0) [DEPRECATED, consider using apiserver_resource_objects instead] Number of stored objects at the time of last check split by kind. In case of a fetching error, the value will be -1.",
    ["resource"],
  );
  const revision = metrics.gauge(
    "apiserver_watch_cache_resource_version",
    "[ALPHA] Current resource version of watch cache broken by resource type. This is truncated to the 15 least significant digits.",
    byResource,
  );
  metrics.beforeScrape(() => {
    for (const family of [objects, storageObjects, revision]) family.reset();
    for (const { type, cache, definition } of stores.all) {
      if (!cache.hasLoaded || definition.sharesStorageOf) continue;
      const { group, resource } = type;
      objects.series(group, resource).set(cache.objects.size);
      storageObjects.series(group === "" ? resource : `${resource}.${group}`).set(cache.objects.size);
      revision.series(group, resource).set(cache.revision % 1e15);
    }
  });
}
