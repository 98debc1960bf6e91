// Delivers changes to the watches of an embedded store. A watch first catches up from the index's list of changes, a
// stretch per turn of the event loop, and is then called with each commit. There are no queues: the list of changes is
// the buffer, and compaction bounds it.
import { CompactedError, type KeyValue, type StoreEvent, type Watch, type WatchOptions } from "./store.ts";
import { isTombstone, type Version, type VersionIndex } from "./version-index.ts";
import { WatchedRanges } from "./watched-ranges.ts";

/** So many changes are replayed before other work gets a turn. */
const stretch = 1000;

interface Watcher {
  readonly options: WatchOptions;
  /** Everything up to it has been delivered, or is not wanted. */
  revision: number;
  state: "catching up" | "live" | "ended";
  progressWanted: boolean;
}

export interface WatchHubOptions {
  readonly index: VersionIndex;
  readonly toKeyValue: (version: Version) => KeyValue;
}

export class WatchHub {
  readonly #index: VersionIndex;
  readonly #toKeyValue: (version: Version) => KeyValue;
  readonly #watchers = new Set<Watcher>();
  /** Made anew when watches have come or gone. */
  #ranges: WatchedRanges<Watcher> | undefined;

  constructor({ index, toKeyValue }: WatchHubOptions) {
    this.#index = index;
    this.#toKeyValue = toKeyValue;
  }

  watch(options: WatchOptions): Watch {
    const watcher: Watcher = { options, revision: options.afterRevision, state: "catching up", progressWanted: false };
    this.#watchers.add(watcher);
    this.#ranges = undefined;
    queueMicrotask(() => this.#catchUp(watcher));
    return {
      cancel: () => this.#remove(watcher),
    };
  }

  /** Delivers the changes of a commit, which the index has taken up. */
  publish(versions: readonly Version[]): void {
    this.#ranges ??= new WatchedRanges(this.#watchers);
    const deliveries = new Map<Watcher, Version[]>();
    for (const version of versions) {
      for (const watcher of this.#ranges.containing(version.key)) {
        if (watcher.state !== "live" || version.modRevision <= watcher.revision) continue;
        const wanted = deliveries.get(watcher);
        if (wanted) wanted.push(version);
        else deliveries.set(watcher, [version]);
      }
    }
    for (const [watcher, wanted] of deliveries) this.#deliver(watcher, wanted, this.#index.revision);
  }

  requestProgress(): void {
    for (const watcher of this.#watchers) watcher.progressWanted = true;
    // Not at once: the caller may be a consumer that is just being called, and may ask again each time.
    setImmediate(() => {
      for (const watcher of this.#watchers) if (watcher.state === "live") this.#reportProgress(watcher);
    });
  }

  /** Ends all watches. */
  close(error: Error): void {
    for (const watcher of this.#watchers) this.#end(watcher, error);
  }

  #catchUp(watcher: Watcher): void {
    if (watcher.state === "ended") return;
    if (watcher.revision < this.#index.compactedRevision) {
      this.#end(watcher, new CompactedError(this.#index.compactedRevision));
      return;
    }
    const { start, end } = watcher.options;
    const versions = this.#index.changesAfter(watcher.revision, stretch);
    const wanted = versions.filter(({ key }) => key >= start && key < end);
    watcher.revision = versions.at(-1)?.modRevision ?? watcher.revision;
    if (wanted.length > 0) this.#deliver(watcher, wanted, watcher.revision);
    if (this.#hasEnded(watcher)) return;
    if (watcher.revision < this.#index.revision) {
      setImmediate(() => this.#catchUp(watcher));
      return;
    }
    watcher.state = "live";
    this.#reportProgress(watcher);
  }

  #deliver(watcher: Watcher, versions: readonly Version[], revision: number): void {
    // Ended by a consumer that was called a moment ago, perhaps.
    if (watcher.state === "ended") return;
    try {
      const withPrevious = watcher.options.previous ?? true;
      const events = versions.map((version) => this.#toEvent(version, withPrevious));
      watcher.options.onEvents(events, revision);
    } catch (error) {
      this.#end(watcher, error);
    }
  }

  #reportProgress(watcher: Watcher): void {
    if (!watcher.progressWanted) return;
    watcher.progressWanted = false;
    this.#deliver(watcher, [], this.#index.revision);
  }

  /** Asked after a consumer was called, who may have cancelled. */
  #hasEnded(watcher: Watcher): boolean {
    return watcher.state === "ended";
  }

  #end(watcher: Watcher, error: unknown): void {
    if (watcher.state === "ended") return;
    this.#remove(watcher);
    // In a job of its own: what a consumer throws here concerns neither the store nor the other watches.
    queueMicrotask(() => watcher.options.onError(error));
  }

  #remove(watcher: Watcher): void {
    watcher.state = "ended";
    this.#watchers.delete(watcher);
    this.#ranges = undefined;
  }

  #toEvent(version: Version, withPrevious: boolean): StoreEvent {
    const { key, modRevision: revision, previous } = version;
    const before = withPrevious && previous && !isTombstone(previous) ? { previous: this.#toKeyValue(previous) } : undefined;
    return isTombstone(version)
      ? { type: "delete", key, revision, ...before }
      : { type: "put", key, revision, kv: this.#toKeyValue(version), ...before };
  }
}
