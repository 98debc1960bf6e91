// Watches: where one begins (upstream's table of resourceVersion and sendInitialEvents), how it ends (its timeout, the
// client's going, the server's stop), and how its events are represented. An accepted watch that cannot begin where the
// client wants is answered with one ERROR event, as upstream does.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { expired, type StatusError } from "../../api/meta/status-error.ts";
import { apiVersionOf } from "../../api/resource-type.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { WatchStream, WatchStreamEvent } from "../request.ts";
import { StreamEvent } from "../watch-cache/cache-event.ts";
import { ObjectVersion } from "../watch-cache/object-version.ts";
import { RevisionTooOldError } from "../watch-cache/watch-cache.ts";
import type { CacheWatcher } from "../watch-cache/watcher.ts";
import { answeringRevisionErrors, readRevision } from "./read-errors.ts";
import { partialVersion, type Representation, tableOf } from "./representation.ts";
import type { ListOptions } from "./request-options.ts";
import type { ResourceStore } from "./resource-store.ts";
import type { RequestScope } from "./scope.ts";
import { convertedEvents, errorEvent } from "./watch-conversion.ts";

export interface WatchRequest {
  readonly scope: RequestScope;
  readonly options: ListOptions;
  readonly representation: Representation;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** How long it lasts at least where the client does not say; at most twice as long. */
  readonly minTimeoutMs: number;
  /** Told when everything that was there has been taken, with the bookmark that says so: where a client asks for that. */
  readonly listed?: (() => void) | undefined;
}

/** How long a watch lasts at least that does not say for how long, where nothing else is said. */
export const defaultMinWatchTimeoutMs = 30 * 60_000;
/** A bookmark is sent so long before a watch times out, so that the client can go on from there. */
const bookmarkBeforeEndMs = 2000;

export async function openWatch(store: ResourceStore, request: WatchRequest): Promise<WatchStream> {
  const { scope, options, clock, signal, representation, minTimeoutMs } = request;
  const revision = readRevision(options.resourceVersion);
  const wantsInitial = options.sendInitialEvents ?? (revision === undefined || revision === 0);
  await answeringRevisionErrors(async () => {
    if (revision === undefined) await store.cache.catchUp();
    else await store.cache.reach(wantsInitial ? revision : 0);
  });
  const begin = (): CacheWatcher =>
    store.cache.watch(scope, {
      // Zero is any revision, so it is the present one.
      afterRevision: wantsInitial ? undefined : revision || store.cache.revision,
      marksInitialEnd: wantsInitial,
      ...(options.allowWatchBookmarks ? { bookmark: (at, endsInitial) => bookmark(store, at, endsInitial) } : {}),
    });
  let watcher: CacheWatcher;
  try {
    watcher = await beginWithHistory(store, begin);
  } catch (error) {
    if (error instanceof RevisionTooOldError) return failedWatch(expired(error.message));
    throw error;
  }
  const timeoutMs = options.timeoutSeconds ? options.timeoutSeconds * 1000 : minTimeoutMs * (1 + clock.random());
  const ended = new Ended();
  endInTime(watcher, { timeoutMs, clock, signal, revision: () => store.cache.revision, ended });
  const source = store.converts ? convertedEvents(watcher, store, scope) : watcher.batches();
  return {
    batches: afterFirst(represented(source, store, representation, clock), listsByWatch(options) ? request.listed : undefined),
    close: () => watcher.close(),
    onceEnded: (listener) => ended.once(listener),
  };
}

/** What was there and its end are the first batch. */
const listsByWatch = ({ sendInitialEvents, allowWatchBookmarks }: ListOptions): boolean =>
  sendInitialEvents === true && allowWatchBookmarks;

/** Calls once the first batch has been taken and the next is asked for. */
function afterFirst(batches: EventBatches, done: (() => void) | undefined): EventBatches {
  if (!done) return batches;
  return {
    [Symbol.asyncIterator]() {
      const inner = batches[Symbol.asyncIterator]();
      let asked = 0;
      return {
        next() {
          if (asked < 2 && ++asked === 2) done();
          return inner.next();
        },
        return: (value) => inner.return?.(value) ?? Promise.resolve({ done: true, value: undefined }),
      };
    },
  };
}

/** Whether a watch has ended, and who wants to know. */
class Ended {
  #isEnded = false;
  #listener: (() => void) | undefined = undefined;

  once(listener: () => void): void {
    if (this.#isEnded) listener();
    else this.#listener = listener;
  }

  now(): void {
    this.#isEnded = true;
    this.#listener?.();
  }
}

/** A cache that is younger than the revision to begin at reads what it has missed from the store's history. */
async function beginWithHistory(store: ResourceStore, begin: () => CacheWatcher): Promise<CacheWatcher> {
  try {
    return begin();
  } catch (error) {
    if (!(error instanceof RevisionTooOldError) || !(await store.cache.reachBack(error.revision))) throw error;
    return begin();
  }
}

interface Ending {
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly revision: () => number;
  readonly ended: Ended;
}

/** Closes the watcher at its timeout or when the client has gone, whatever comes first. */
function endInTime(watcher: CacheWatcher, { timeoutMs, clock, signal, revision, ended }: Ending): void {
  const close = (): void => watcher.close();
  const timers = [clock.after(timeoutMs, close)];
  const makeBookmark = watcher.bookmark;
  if (makeBookmark && timeoutMs > 2 * bookmarkBeforeEndMs)
    timers.push(clock.after(timeoutMs - bookmarkBeforeEndMs, () => watcher.push(makeBookmark(revision()))));
  watcher.onceClosed(() => {
    for (const timer of timers) timer.cancel();
    signal.removeEventListener("abort", close);
    ended.now();
  });
  if (signal.aborted) close();
  else signal.addEventListener("abort", close, { once: true });
}

function bookmark(store: ResourceStore, revision: number, endsInitial: boolean): WatchStreamEvent {
  const { type } = store;
  const annotations = endsInitial ? { annotations: { "k8s.io/initial-events-end": "true" } } : {};
  const metadata: Partial<ObjectMeta> = { resourceVersion: String(revision), ...annotations };
  // A bookmark is an object of the watched kind without a name and with no other metadata.
  const object = { kind: type.kind, apiVersion: apiVersionOf(type), metadata } as KubernetesObject;
  return new StreamEvent("BOOKMARK", new ObjectVersion("", object, revision));
}

/** A watch that tells why it could not begin. */
function failedWatch(error: StatusError): WatchStream {
  const batches = (async function* (): AsyncGenerator<readonly WatchStreamEvent[], void, void> {
    yield [errorEvent(error)];
  })();
  return { batches, close: () => undefined };
}

type EventBatches = AsyncIterable<readonly WatchStreamEvent[]>;

function represented(source: EventBatches, store: ResourceStore, representation: Representation, clock: Clock): EventBatches {
  if (representation.as === "object") {
    // The usual case: the shared events as they are.
    if (store.definition.sharesStorageOf === undefined) return source;
    return mapped(source, (event) => {
      const seen = event.type === "BOOKMARK" ? event.version : store.view(event.version);
      return seen === event.version ? event : new StreamEvent(event.type, seen);
    });
  }
  if (representation.as === "metadata")
    return mapped(
      source,
      (event) =>
        new StreamEvent(
          event.type,
          partialVersion(
            event.type === "BOOKMARK" ? event.version : store.view(event.version),
            store.definition,
            representation.apiVersion,
          ),
        ),
    );
  let withColumns = true;
  return mapped(source, (event) => {
    const { object } = event.type === "BOOKMARK" ? event.version : store.view(event.version);
    const metadata = { resourceVersion: object.metadata.resourceVersion };
    const table = tableOf([object], { definition: store.definition, representation, metadata, withColumns, nowMs: clock.now() });
    withColumns = false;
    return { type: event.type, object: table, bytes: () => Buffer.from(JSON.stringify(table)) };
  });
}

async function* mapped(
  source: EventBatches,
  map: (event: StreamEvent) => WatchStreamEvent,
): AsyncGenerator<readonly WatchStreamEvent[], void, void> {
  // The cache puts only stream events into the queue, and `bookmark` above makes one. Errors are what they are.
  for await (const batch of source) yield batch.map((event) => (event instanceof StreamEvent ? map(event) : event));
}
