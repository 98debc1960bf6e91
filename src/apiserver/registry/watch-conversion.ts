// Watches of custom resources whose objects a webhook converts: events wait until their objects have been converted, a batch
// in one call, and selectors are asked afterwards, as conversion may change labels and fields. When the conversion fails the
// watch tells so and ends.
import { StatusError } from "../../api/meta/status-error.ts";
import type { WatchStreamEvent } from "../request.ts";
import { StreamEvent } from "../watch-cache/cache-event.ts";
import type { ObjectVersion } from "../watch-cache/object-version.ts";
import type { CacheWatcher } from "../watch-cache/watcher.ts";
import type { ResourceStore } from "./resource-store.ts";
import type { RequestScope } from "./scope.ts";

export const errorEvent = ({ status }: StatusError): WatchStreamEvent => ({
  type: "ERROR",
  object: status,
  bytes: () => Buffer.from(JSON.stringify(status)),
});

/** The events of a watch whose objects can be viewed. */
export async function* convertedEvents(
  watcher: CacheWatcher,
  store: ResourceStore,
  scope: RequestScope,
): AsyncGenerator<readonly WatchStreamEvent[], void, void> {
  for await (const batch of watcher.batches()) {
    let seen: WatchStreamEvent[];
    try {
      seen = await convertBatch(store, batch as readonly StreamEvent[], scope); // the cache queues no others
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      yield [errorEvent(error)];
      return;
    }
    if (seen.length > 0) yield seen;
  }
}

async function convertBatch(store: ResourceStore, batch: readonly StreamEvent[], { select }: RequestScope): Promise<WatchStreamEvent[]> {
  const needed: ObjectVersion[] = [];
  for (const { type, version, previous } of batch) {
    if (type === "BOOKMARK") continue;
    if (type === "DELETED" && previous) store.prepareLast(version, previous);
    needed.push(version);
    if (select && previous && type === "MODIFIED") needed.push(previous);
  }
  await store.prepare(needed);
  return select ? batch.flatMap((event) => selected(store, event, select)) : [...batch];
}

/** What a client that selects sees: objects come and go with what the selectors say of them. */
function selected(store: ResourceStore, event: StreamEvent, select: (version: ObjectVersion) => boolean): StreamEvent[] {
  const { type, version, previous } = event;
  if (type === "BOOKMARK") return [event];
  const matches = select(version);
  if (type !== "MODIFIED" || !previous) return matches ? [event] : [];
  const matched = select(previous);
  if (matches) return [matched ? event : new StreamEvent("ADDED", version)];
  if (!matched) return [];
  const last = previous.at(version.revision);
  store.prepareLast(last, previous);
  return [new StreamEvent("DELETED", last, previous)];
}
