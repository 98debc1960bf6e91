// The watch cache of one resource: a mirror of its key range in the store, kept by one store watch, from which lists at
// any recent revision and all client watches are served. It holds the present objects (mirrored-objects.ts), the recent
// events (event-ring.ts) and the watchers. A consistent read asks the store for its revision and waits until the mirror has reached it.
//
// Hot path: #apply runs for every change in the cluster. It parses nothing that this process wrote itself, touches one
// object, and meets only the watchers that the event can concern (watcher-index.ts).
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import { prefixEnd, type Store, type StoreEvent, type Watch } from "../../storage/store.ts";
import type { WatchStreamEvent } from "../request.ts";
import { CacheEvent, StreamEvent } from "./cache-event.ts";
import { EventRing, type EventRingOptions } from "./event-ring.ts";
import { MirroredObjects } from "./mirrored-objects.ts";
import type { ObjectCodec } from "./object-codec.ts";
import type { ObjectVersion } from "./object-version.ts";
import { Progress } from "./progress.ts";
import { Readiness } from "./readiness.ts";
import { ResourceFigures } from "./resource-figures.ts";
import { readHistory } from "./store-history.ts";
import { type CacheScope, CacheWatcher } from "./watcher.ts";
import { WatcherIndex } from "./watcher-index.ts";

export interface WatchCacheOptions extends EventRingOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** "/registry/pods/". */
  readonly prefix: string;
  readonly codec: ObjectCodec;
  /** What it holds, in messages: "*core.Pod". Default: the prefix. */
  readonly what?: string;
  /** Events that may wait for a slow watcher. Default 8192. */
  readonly maxPending?: number | undefined;
  /** Where its changes and reads are counted. */
  readonly figures?: ResourceFigures | undefined;
}

export interface CacheWatchOptions {
  /** Begin after this revision; absent: begin with the present objects as ADDED. */
  readonly afterRevision?: number | undefined;
  /** Makes bookmarks, where the client wants them. `endsInitial`: the one that marks the end of the present objects. */
  readonly bookmark?: ((revision: number, endsInitial: boolean) => WatchStreamEvent) | undefined;
  /** Whether a bookmark marks the end of the present objects. */
  readonly marksInitialEnd?: boolean | undefined;
}

/** A watch was asked to begin at a revision whose events are no longer here. */
export class RevisionTooOldError extends Error {
  readonly revision: number;
  readonly oldest: number;
  constructor(revision: number, oldest: number) {
    super(`too old resource version: ${revision} (${oldest})`);
    this.name = "RevisionTooOldError";
    this.revision = revision;
    this.oldest = oldest;
  }
}

const bookmarkPeriodMs = 60_000;
const reloadDelayMs = 1000;

export class WatchCache {
  readonly figures: ResourceFigures;
  /** What there is at present; read it once the cache is `readable()`. */
  readonly objects: MirroredObjects;
  readonly #options: WatchCacheOptions;
  readonly #ring: EventRing;
  readonly #watchers = new WatcherIndex();
  readonly #progress: Progress;
  readonly #readiness: Readiness;
  #ready: Promise<void> | undefined;
  #loaded = false;
  #stopped = false;
  #storeWatch: Watch | undefined;
  /** Events of the past are being read; gives the revision where they could not be. */
  #reaching: Promise<number | undefined> | undefined;
  #bookmarks: { cancel(): void } | undefined;
  #trimming: Timer | undefined;

  constructor(options: WatchCacheOptions) {
    this.#options = options;
    this.figures = options.figures ?? new ResourceFigures();
    this.objects = new MirroredObjects({ log: options.log, figures: this.figures, prefix: options.prefix });
    this.#ring = new EventRing(options);
    this.#progress = new Progress(options.clock);
    this.#readiness = new Readiness(options.clock, options.what ?? options.prefix);
  }

  /** Loads the objects on first use; resolves when they are there. */
  ready(): Promise<void> {
    this.#ready ??= this.#load();
    return this.#ready;
  }

  /** As ready(), for who does not wait for ever: throws CacheNotReadyError while the objects cannot be loaded. */
  async readable(): Promise<void> {
    if (this.#readiness.isReady) return;
    void this.ready();
    await this.#readiness.wait();
  }

  get hasLoaded(): boolean {
    return this.#loaded;
  }

  /** The mirror shows the store at this revision, or at a later one at which this resource was the same. */
  get revision(): number {
    return this.#progress.revision;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  /** How many recent events it keeps at most. */
  get capacity(): number {
    return this.#ring.capacity;
  }

  /**
   * Visits the objects of a scope as they were at a recent revision, in key order from `from` on, until `visit` returns
   * false. Gives false, and visits nothing, where the events since then are no longer all here.
   */
  walkAt(revision: number, scope: CacheScope, from: string, visit: (version: ObjectVersion) => boolean): boolean {
    if (revision < this.#ring.completeAfter || revision > this.#progress.revision) return false;
    // What the objects that have changed since were at that revision: before their first later event.
    const before = new Map<string, ObjectVersion | undefined>();
    this.#ring.forEachAfter(revision, (event) => {
      if (event.key >= from && !before.has(event.key) && inKeyRange(scope, event.key)) before.set(event.key, event.previous);
    });
    if (before.size === 0) {
      this.objects.walk(scope, from, visit);
      return true;
    }
    const unchanged = this.objects.list(scope, from).filter((version) => !before.has(version.key));
    const changed = [...before.values()].filter((version) => version && isInScope(scope, version)) as ObjectVersion[];
    const all = [...unchanged, ...changed].sort((a, b) => (a.key < b.key ? -1 : 1));
    for (const version of all) if (!visit(version)) break;
    return true;
  }

  /** Resolves when the mirror has reached `revision`; throws RevisionNotReachedError after `timeoutMs`, CacheNotReadyError. */
  async reach(revision: number, timeoutMs = 3000): Promise<void> {
    if (!this.#readiness.isReady) await this.readable();
    if (this.#progress.revision >= revision) {
      this.figures.waited(0);
      return;
    }
    const begunMs = this.figures.begin();
    const reached = this.#progress.reach(revision, timeoutMs);
    this.#options.store.requestProgress();
    await reached;
    this.figures.waited(this.figures.begin() - begunMs);
  }

  /** Waits until the mirror shows everything that was committed before the call. */
  async catchUp(): Promise<void> {
    try {
      await this.reach(await this.#options.store.currentRevision());
      this.figures.consistentReads++;
    } catch (error) {
      this.figures.failedConsistentReads++;
      throw error;
    }
  }

  /** Opens a watch. The mirror must have loaded. Throws RevisionTooOldError. */
  watch(scope: CacheScope, options: CacheWatchOptions): CacheWatcher {
    const { afterRevision, bookmark } = options;
    const initial: WatchStreamEvent[] = [];
    if (afterRevision === undefined) {
      for (const version of this.objects.list(scope)) initial.push(new StreamEvent("ADDED", version));
      this.figures.initialEvents += initial.length;
      if (bookmark && options.marksInitialEnd) initial.push(bookmark(this.#progress.revision, true));
    } else if (afterRevision < this.#ring.completeAfter) throw new RevisionTooOldError(afterRevision, this.#ring.completeAfter);
    const watcher = new CacheWatcher({
      scope,
      afterRevision: afterRevision ?? this.#progress.revision,
      initial,
      bookmark: bookmark && ((revision) => bookmark(revision, false)),
      maxPending: this.#options.maxPending,
      onClose: (closed) => this.#watchers.delete(closed),
    });
    if (afterRevision !== undefined) this.#ring.forEachAfter(afterRevision, (event) => offerInScope(watcher, event));
    this.#watchers.add(watcher);
    if (bookmark) this.#bookmarks ??= this.#options.clock.every(bookmarkPeriodMs, () => void this.#sendBookmarks());
    return watcher;
  }

  /**
   * Reads the events after `revision` that happened before this mirror was loaded (it is young, or the server has just
   * started), so that a watch can begin there. Gives false where the store no longer has them.
   */
  async reachBack(revision: number, timeoutMs = 3000): Promise<boolean> {
    const { clock } = this.#options;
    const untilMs = clock.monotonic() + timeoutMs;
    // One at a time: after a restart all watches come at once, and what the first of them reads is enough for most others.
    while (this.#reaching && revision < this.#ring.completeAfter) {
      if (clock.monotonic() >= untilMs) return false;
      const failedAt = await this.#reaching;
      if (failedAt !== undefined && revision <= failedAt) return false;
    }
    if (revision >= this.#ring.completeAfter) return true;
    const reaching = (async () => {
      try {
        return (await this.#readBack(revision, timeoutMs)) ? undefined : revision;
      } finally {
        this.#reaching = undefined;
      }
    })();
    this.#reaching = reaching;
    return (await reaching) === undefined;
  }

  async #readBack(revision: number, timeoutMs: number): Promise<boolean> {
    const until = this.#ring.completeAfter;
    const { store, clock, prefix } = this.#options;
    const past = await readHistory({ store, clock, prefix, after: revision, until, timeoutMs });
    if (!past) return false;
    // Another watch may have reached back meanwhile.
    if (this.#ring.completeAfter !== until) return this.#ring.completeAfter <= revision;
    return this.#ring.prepend(
      past.map((event) => this.#pastEvent(event)),
      revision,
      clock.monotonic(),
    );
  }

  #pastEvent({ key, revision, kv, previous }: StoreEvent): CacheEvent {
    const { codec, prefix } = this.#options;
    const current = kv && this.#decoded(() => codec.version(kv));
    const before = previous && this.#decoded(() => codec.version(previous));
    return new CacheEvent(key.slice(prefix.length), revision, current, before);
  }

  /** Ends all watches; their clients take what is queued and watch again. */
  endWatches(): void {
    for (const watcher of this.#watchers.all()) watcher.close();
  }

  /** Ends all watches; reads that wait fail with CacheStoppedError. */
  stop(): void {
    this.#stopped = true;
    this.#storeWatch?.cancel();
    this.#bookmarks?.cancel();
    this.#bookmarks = undefined;
    this.#trimming?.cancel();
    this.endWatches();
    this.#progress.stop();
    this.#readiness.stop();
  }

  async #load(): Promise<void> {
    const { store, prefix, codec, clock, log } = this.#options;
    const end = prefixEnd(prefix);
    while (!this.#stopped) {
      try {
        const begunMs = this.figures.begin();
        const { items, revision } = await store.range({ start: prefix, end });
        this.figures.end("list", begunMs);
        this.figures.storageLists++;
        this.figures.storageFetched += items.length;
        this.figures.storageReturned += items.length;
        if (this.#stopped) return;
        const found = new Map<string, ObjectVersion>();
        for (const kv of items) {
          const version = this.#decoded(() => codec.version(kv));
          if (!version) continue;
          found.set(version.key, version);
          codec.forget(kv.value);
        }
        // One that has begun while the mirror was lost would miss what has happened meanwhile.
        this.endWatches();
        this.objects.replace(found);
        this.#ring.reset(revision);
        this.#progress.advance(revision);
        this.#loaded = true;
        this.figures.initializations++;
        this.#storeWatch = store.watch({
          start: prefix,
          end,
          afterRevision: revision,
          previous: false,
          onEvents: (events, upTo) => this.#apply(events, upTo),
          onError: (error) => this.#reload(error),
        });
        this.#readiness.succeeded();
        return;
      } catch (error) {
        this.#readiness.failed(error);
        log.error("Could not load objects from the store", { prefix, error });
        await clock.sleep(reloadDelayMs);
      }
    }
  }

  /** The store's watch has broken: client watches end, and the mirror is read anew. */
  #reload(error: unknown): void {
    if (this.#stopped) return;
    this.#options.log.warn("The store's watch has ended; reading the objects again", { prefix: this.#options.prefix, error });
    this.endWatches();
    this.#readiness.lost();
    this.#ready = this.#load();
    void this.#ready;
  }

  #apply(events: readonly StoreEvent[], revision: number): void {
    const { codec, clock, prefix } = this.#options;
    const nowMs = events.length > 0 ? clock.monotonic() : 0;
    this.figures.received += events.length;
    for (const event of events) {
      const key = event.key.slice(prefix.length);
      const { kv } = event;
      const current = kv && this.#decoded(() => codec.version(kv));
      const previous = this.objects.get(key);
      if (!current && !previous) continue;
      this.objects.put(key, current, previous);
      const change = new CacheEvent(key, event.revision, current, previous);
      this.#ring.push(change, nowMs);
      this.#watchers.dispatch(change);
      this.figures.dispatched++;
    }
    if (events.length > 0 && !this.#trimming) this.#trimLater();
    this.#progress.advance(revision);
  }

  /** Events age also while nothing happens: those of a busy hour must not stay for the quiet night after it. */
  #trimLater(): void {
    const { clock } = this.#options;
    const waitMs = this.#ring.msUntilTrim(clock.monotonic());
    if (waitMs === undefined || this.#stopped) return;
    this.#trimming = clock.after(waitMs, () => {
      this.#trimming = undefined;
      this.#ring.trim(clock.monotonic());
      this.#trimLater();
    });
  }

  /** An object that cannot be read is logged and left out: it must not take the others with it. */
  #decoded(decode: () => ObjectVersion): ObjectVersion | undefined {
    try {
      return decode();
    } catch (error) {
      this.figures.decodeErrors++;
      this.#options.log.error("Ignoring an object that cannot be decoded", { prefix: this.#options.prefix, error });
      return undefined;
    }
  }

  /** Every minute: how far a watcher may go on from, though nothing it watches has changed. */
  async #sendBookmarks(): Promise<void> {
    const interested = this.#watchers.all().filter((watcher) => watcher.bookmark);
    if (interested.length === 0) {
      this.#bookmarks?.cancel();
      this.#bookmarks = undefined;
      return;
    }
    try {
      await this.catchUp();
    } catch (error) {
      if (!this.#stopped) this.#options.log.warn("Sending no bookmarks", { prefix: this.#options.prefix, error });
      return;
    }
    for (const watcher of interested) if (watcher.bookmark) watcher.push(watcher.bookmark(this.#progress.revision));
  }
}

/** Offers an event of the past, for which the watcher index was not asked. */
function offerInScope(watcher: CacheWatcher, event: CacheEvent): void {
  if (!inKeyRange(watcher.scope, event.key)) return;
  const { field } = watcher.scope;
  if (field) {
    const { fieldOf, value } = field;
    const concerned = [event.current, event.previous].some((version) => version && fieldOf(version) === value);
    if (!concerned) return;
  }
  watcher.offer(event);
}

function inKeyRange({ key, prefix }: CacheScope, candidate: string): boolean {
  return key === undefined ? candidate.startsWith(prefix) : candidate === key;
}

function isInScope(scope: CacheScope, version: ObjectVersion): boolean {
  return inKeyRange(scope, version.key) && (scope.matches?.(version) ?? true);
}
