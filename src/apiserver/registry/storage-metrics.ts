// What is counted about stored objects, their mirrors and the store, under upstream's metric names. The etcd_* figures are of the
// store that is used, whichever it is: a question to it is what a question to etcd is upstream. Nearly all is read off when it is
// scraped.
import type { ResourceType } from "../../api/resource-type.ts";
import type { Clock } from "../../base/clock.ts";
import type { Family, MetricsRegistry, Series } from "../../base/metrics.ts";
import { ResourceFigures } from "../watch-cache/resource-figures.ts";
import type { ResourceStore } from "./resource-store.ts";
import type { ResourceStores } from "./stores.ts";

const durationBuckets = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];
const waitBuckets = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3];
const watchListBuckets = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 15, 20, 30, 45, 60];
const byResource = ["group", "resource"];

/** The figures of a resource, timed by the clock; one for each. */
export function createStorageFigures(metrics: MetricsRegistry, clock: Pick<Clock, "monotonic">): (type: ResourceType) => ResourceFigures {
  const labels = ["group", "operation", "resource"];
  const requests = metrics.counter("etcd_requests_total", "[ALPHA] Etcd request counts for each operation and object type.", labels);
  const errors = metrics.counter(
    "etcd_request_errors_total",
    "[ALPHA] Etcd failed request counts for each operation and object type.",
    labels,
  );
  const durations = metrics.histogram(
    "etcd_request_duration_seconds",
    "[ALPHA] Etcd request latency in seconds for each operation and object type.",
    { labels, buckets: durationBuckets },
  );
  const waits = metrics.histogram(
    "apiserver_watch_cache_read_wait_seconds",
    "[ALPHA] Histogram of time spent waiting for a watch cache to become fresh.",
    { labels: byResource, buckets: waitBuckets },
  );
  const watchLists = metrics.histogram(
    "apiserver_watch_list_duration_seconds",
    "[BETA] Response latency distribution in seconds for watch list requests broken by group, version, resource and scope.",
    { labels: ["group", "resource", "scope", "version"], buckets: watchListBuckets },
  );
  return ({ group, resource, version }) =>
    new ResourceFigures({
      clock,
      seriesOf: (operation) => ({
        requests: requests.series(group, operation, resource),
        durations: durations.series(group, operation, resource),
        errors: () => errors.series(group, operation, resource),
      }),
      waits: () => waits.series(group, resource),
      watchLists: (scope) => watchLists.series(group, resource, scope, version),
    });
}

type Read = (store: ResourceStore) => number;

const figuresOf = ({ cache }: ResourceStore): ResourceFigures => cache.figures;

/** Shown for a resource from the first time on that there is something to count. */
const counters: readonly (readonly [name: string, help: string, read: Read])[] = [
  [
    "apiserver_watch_cache_events_received_total",
    "[ALPHA] Counter of events received in watch cache broken by resource type.",
    (store) => figuresOf(store).received,
  ],
  [
    "apiserver_watch_cache_events_dispatched_total",
    "[ALPHA] Counter of events dispatched in watch cache broken by resource type.",
    (store) => figuresOf(store).dispatched,
  ],
  [
    "apiserver_watch_cache_initializations_total",
    "[ALPHA] Counter of watch cache initializations broken by resource type.",
    (store) => figuresOf(store).initializations,
  ],
  [
    "apiserver_init_events_total",
    "[ALPHA] Counter of init events processed in watch cache broken by resource type.",
    (store) => figuresOf(store).initialEvents,
  ],
  ["apiserver_storage_events_received_total", "[BETA] Number of etcd events received split by kind.", (store) => figuresOf(store).received],
  [
    "apiserver_storage_decode_errors_total",
    "[ALPHA] Number of stored object decode errors split by object type",
    (store) => figuresOf(store).decodeErrors,
  ],
  ["apiserver_storage_list_total", "[ALPHA] Number of LIST requests served from storage", (store) => figuresOf(store).storageLists],
];

/** Of lists from the store, which asks the selectors about all that it reads: there, though they may be zero, once there has been a list. */
const listCounters: readonly (readonly [name: string, help: string, read: Read])[] = [
  [
    "apiserver_storage_list_fetched_objects_total",
    "[ALPHA] Number of objects read from storage in the course of serving a LIST request",
    (store) => figuresOf(store).storageFetched,
  ],
  [
    "apiserver_storage_list_evaluated_objects_total",
    "[ALPHA] Number of objects tested in the course of serving a LIST request from storage",
    (store) => figuresOf(store).storageFetched,
  ],
  [
    "apiserver_storage_list_returned_objects_total",
    "[ALPHA] Number of objects returned for a LIST request from storage",
    (store) => figuresOf(store).storageReturned,
  ],
];

export function registerStorageMetrics(metrics: MetricsRegistry, stores: ResourceStores, sizeBytes?: () => number | undefined): void {
  const counted = [...counters, ...listCounters].map(([name, help, read]) => ({ family: metrics.counter(name, help, byResource), read }));
  const always = new Set(counted.slice(counters.length));
  const capacity = metrics.gauge("watch_cache_capacity", "[ALPHA] Total capacity of watch cache broken by resource type.", byResource);
  const bytes = metrics.gauge(
    "apiserver_resource_size_estimate_bytes",
    "[ALPHA] Estimated size of stored objects in database. Estimate is based on sum of last observed sizes of serialized objects. In case of a fetching error, the value will be -1.",
    byResource,
  );
  const writeReads = registerReads(metrics);
  if (sizeBytes) registerSize(metrics, sizeBytes);
  metrics.beforeScrape(() => {
    for (const { family } of counted) family.reset();
    capacity.reset();
    bytes.reset();
    writeReads.reset();
    for (const store of stores.all) {
      if (store.definition.sharesStorageOf) continue;
      const { group, resource } = store.type;
      const figures = figuresOf(store);
      for (const each of counted) {
        const value = each.read(store);
        if (value > 0 || (always.has(each) && figures.storageLists > 0)) each.family.series(group, resource).add(value);
      }
      if (!store.cache.hasLoaded) continue;
      capacity.series(group, resource).set(store.cache.capacity);
      bytes.series(group, resource).set(Math.max(0, figures.bytes));
      writeReads.write(store);
    }
  });
}

/** Lists and consistent reads that the mirrors have served. */
function registerReads(metrics: MetricsRegistry): { reset(): void; write(store: ResourceStore): void } {
  const byIndex = ["group", "index", "resource"];
  const lists = metrics.counter("apiserver_cache_list_total", "[ALPHA] Number of LIST requests served from watch cache", byIndex);
  const fetched = metrics.counter(
    "apiserver_cache_list_fetched_objects_total",
    "[ALPHA] Number of objects read from watch cache in the course of serving a LIST request",
    byIndex,
  );
  const returned = metrics.counter(
    "apiserver_cache_list_returned_objects_total",
    "[ALPHA] Number of objects returned for a LIST request from watch cache",
    byResource,
  );
  const consistent = metrics.counter("apiserver_watch_cache_consistent_read_total", "[ALPHA] Counter for consistent reads from cache.", [
    ...["fallback", "group", "resource", "success"],
  ]);
  const families: readonly Family<Series>[] = [lists, fetched, returned, consistent];
  return {
    reset() {
      for (const family of families) family.reset();
    },
    write({ type: { group, resource }, cache: { figures } }) {
      for (const [index, found] of figures.lists) {
        lists.series(group, index, resource).add(found.lists);
        fetched.series(group, index, resource).add(found.fetched);
      }
      if (figures.lists.size > 0) returned.series(group, resource).add(figures.listsReturned);
      // Nothing else is asked where the mirror cannot follow: the read fails.
      if (figures.consistentReads > 0) consistent.series("false", group, resource, "true").add(figures.consistentReads);
      if (figures.failedConsistentReads > 0) consistent.series("false", group, resource, "false").add(figures.failedConsistentReads);
    },
  };
}

function registerSize(metrics: MetricsRegistry, sizeBytes: () => number | undefined): void {
  const size = metrics.gauge("apiserver_storage_size_bytes", "[STABLE] Size of the storage database file physically allocated in bytes.", [
    "storage_cluster_id",
  ]);
  metrics.beforeScrape(() => {
    size.reset();
    const bytes = sizeBytes();
    if (bytes !== undefined) size.series("etcd-0").set(bytes);
  });
}
