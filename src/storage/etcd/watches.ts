// The watches of an etcd store. All that are about the present share one feed (and one more, where previous values are
// wanted): an API server has a watch for each resource, which concern different keys. A watch that begins further back than
// the events kept here is replayed by a feed of its own, until it meets the shared one.
import type { StoreEvent, Watch, WatchOptions } from "../store.ts";
import { WatchedRanges } from "../watched-ranges.ts";
import { Feed, type FeedOptions } from "./feed.ts";
import { RecentEvents } from "./recent-events.ts";

const maxReplays = 64;

interface Watcher {
  readonly options: WatchOptions;
  /** Everything up to it has been delivered, or is not wanted. */
  revision: number;
  state: "joining" | "replaying" | "live" | "ended";
  progressWanted: boolean;
  replay: Feed | undefined;
}

export type FeedParts = Omit<FeedOptions, "withPrevious" | "after" | "onEvents" | "onProgress" | "onEnd">;

/** The watches with, or without, previous values. */
export class SharedWatches {
  readonly #parts: FeedParts;
  readonly #withPrevious: boolean;
  readonly #watchers = new Set<Watcher>();
  #ranges: WatchedRanges<Watcher> | undefined;
  #feed: Feed | undefined;
  #recent = new RecentEvents(0);
  #replays = 0;
  #expected = 0;

  constructor(parts: FeedParts, withPrevious: boolean) {
    this.#parts = parts;
    this.#withPrevious = withPrevious;
  }

  watch(options: WatchOptions): Watch {
    const watcher: Watcher = { options, revision: options.afterRevision, state: "joining", progressWanted: false, replay: undefined };
    this.#watchers.add(watcher);
    this.#ranges = undefined;
    this.#feed ??= this.#start(options.afterRevision);
    queueMicrotask(() => this.#join(watcher));
    return { cancel: () => this.#remove(watcher) };
  }

  /** Every watch reports (an empty batch) when it has reached the revision. */
  expect(revision: number): void {
    this.#expected = revision;
    for (const watcher of this.#watchers) watcher.progressWanted = true;
    this.#feed?.expect(revision);
    for (const { replay } of this.#watchers) replay?.expect(revision);
  }

  close(error: Error): void {
    for (const watcher of this.#watchers) this.#end(watcher, error);
  }

  #start(after: number): Feed {
    this.#recent = new RecentEvents(after);
    return new Feed({
      ...this.#parts,
      withPrevious: this.#withPrevious,
      after,
      onEvents: (events, position) => this.#publish(events, position),
      onProgress: () => this.#report(),
      onEnd: (error) => {
        this.#feed = undefined;
        for (const watcher of this.#watchers) if (watcher.state !== "replaying") this.#end(watcher, error);
      },
    });
  }

  /** Goes on from the events kept here, or begins a replay. */
  #join(watcher: Watcher): void {
    if (watcher.state === "ended") return;
    this.#feed ??= this.#start(watcher.revision);
    if (watcher.revision < this.#recent.completeAfter) return this.#replay(watcher);
    this.#meet(watcher, this.#feed.position);
  }

  #meet(watcher: Watcher, position: number): void {
    const missed = this.#wanted(watcher, this.#recent.after(watcher.revision));
    watcher.state = "live";
    watcher.revision = Math.max(watcher.revision, position);
    if (missed.length > 0) this.#deliver(watcher, missed, watcher.revision);
    if (watcher.progressWanted) this.#feed?.expect(this.#expected);
  }

  #replay(watcher: Watcher): void {
    if (this.#replays >= maxReplays) return this.#end(watcher, new Error(`${maxReplays} watches are being replayed already`));
    this.#replays++;
    watcher.state = "replaying";
    watcher.replay = new Feed({
      ...this.#parts,
      withPrevious: this.#withPrevious,
      after: watcher.revision,
      onEvents: (events, position) => {
        const wanted = this.#wanted(watcher, events);
        watcher.revision = Math.max(watcher.revision, position);
        if (wanted.length > 0) this.#deliver(watcher, wanted, position);
        this.#tryToMeet(watcher);
      },
      onProgress: (position) => {
        watcher.revision = Math.max(watcher.revision, position);
        if (watcher.progressWanted) this.#reportTo(watcher, position);
        this.#tryToMeet(watcher);
      },
      onEnd: (error) => this.#end(watcher, error),
    });
  }

  #tryToMeet(watcher: Watcher): void {
    if (watcher.state !== "replaying" || !this.#feed || watcher.revision < this.#recent.completeAfter) return;
    this.#stopReplay(watcher);
    this.#meet(watcher, this.#feed.position);
  }

  #wanted({ options: { start, end }, revision }: Watcher, events: readonly StoreEvent[]): readonly StoreEvent[] {
    return events.filter((event) => event.revision > revision && event.key >= start && event.key < end);
  }

  #publish(events: readonly StoreEvent[], position: number): void {
    this.#recent.push(events);
    this.#ranges ??= new WatchedRanges(this.#watchers);
    const deliveries = new Map<Watcher, StoreEvent[]>();
    for (const event of events) {
      for (const watcher of this.#ranges.containing(event.key)) {
        if (watcher.state !== "live" || event.revision <= watcher.revision) continue;
        const wanted = deliveries.get(watcher);
        if (wanted) wanted.push(event);
        else deliveries.set(watcher, [event]);
      }
    }
    for (const [watcher, wanted] of deliveries) this.#deliver(watcher, wanted, position);
  }

  #report(): void {
    const position = this.#feed?.position ?? 0;
    for (const watcher of this.#watchers) if (watcher.state === "live" && watcher.progressWanted) this.#reportTo(watcher, position);
  }

  #reportTo(watcher: Watcher, position: number): void {
    watcher.progressWanted = false;
    this.#deliver(watcher, [], position);
  }

  #deliver(watcher: Watcher, events: readonly StoreEvent[], revision: number): void {
    // Ended by a consumer that was called a moment ago, perhaps.
    if (watcher.state === "ended") return;
    try {
      watcher.options.onEvents(events, revision);
    } catch (error) {
      this.#end(watcher, error);
    }
  }

  #end(watcher: Watcher, error: unknown): void {
    if (watcher.state === "ended") return;
    this.#remove(watcher);
    queueMicrotask(() => watcher.options.onError(error));
  }

  #remove(watcher: Watcher): void {
    if (watcher.state === "ended") return;
    watcher.state = "ended";
    this.#stopReplay(watcher);
    this.#watchers.delete(watcher);
    this.#ranges = undefined;
    if (this.#watchers.size > 0) return;
    this.#feed?.stop();
    this.#feed = undefined;
  }

  #stopReplay(watcher: Watcher): void {
    if (!watcher.replay) return;
    watcher.replay.stop();
    watcher.replay = undefined;
    this.#replays--;
  }
}
