// One watch on a cache: what it wants to see, and its bounded queue of events not yet taken. Taking gives everything
// queued as one batch, so a busy watch costs one wake-up per batch and not per event. A watcher whose queue is full is
// closed (its client watches again from the last revision it saw); it never holds up the cache or other watchers.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { WatchStreamEvent } from "../request.ts";
import type { CacheEvent } from "./cache-event.ts";
import type { ObjectVersion } from "./object-version.ts";

/** Which objects a list or a watch is about. */
export interface CacheScope {
  /** One object, by its key. */
  readonly key?: string | undefined;
  /** "" for all, "namespace/" for a namespace's. */
  readonly prefix: string;
  /** A field that has to have this value: the cache finds such objects and watchers by an index. */
  readonly field?: FieldTerm | undefined;
  /** The selectors as a whole; absent where they select everything. */
  readonly matches?: ((version: ObjectVersion) => boolean) | undefined;
}

export interface FieldTerm {
  /** The identity of this function is the identity of the index. */
  readonly fieldOf: FieldValue;
  readonly value: string;
}

export type FieldValue = (version: ObjectVersion) => string;

export interface WatcherOptions {
  readonly scope: CacheScope;
  /** Events up to this revision are not for this watcher. */
  readonly afterRevision: number;
  /** Events that are there already; not counted against the bound. */
  readonly initial: WatchStreamEvent[];
  /** Makes the bookmark of a revision; absent where the client wants none. */
  readonly bookmark?: ((revision: number) => WatchStreamEvent) | undefined;
  /** Events that may wait. Default 8192. */
  readonly maxPending?: number | undefined;
  readonly onClose: (watcher: CacheWatcher) => void;
}

export class CacheWatcher<T extends KubernetesObject = KubernetesObject> {
  readonly scope: CacheScope;
  readonly bookmark: ((revision: number) => WatchStreamEvent) | undefined;
  readonly #afterRevision: number;
  readonly #maxPending: number;
  readonly #onClose: (watcher: CacheWatcher) => void;
  #pending: WatchStreamEvent[];
  #wake: (() => void) | undefined = undefined;
  #closed = false;
  #closeListener: (() => void) | undefined = undefined;

  constructor(options: WatcherOptions) {
    this.scope = options.scope;
    this.bookmark = options.bookmark;
    this.#afterRevision = options.afterRevision;
    this.#maxPending = (options.maxPending ?? 8192) + options.initial.length;
    this.#onClose = options.onClose;
    this.#pending = options.initial;
  }

  /** The cache offers every event that can concern this watcher, in order. */
  offer(event: CacheEvent<T>): void {
    if (event.revision <= this.#afterRevision) return;
    const { matches } = this.scope;
    const { current, previous } = event as CacheEvent;
    const seen = matches
      ? event.seenBy(current !== undefined && matches(current), previous !== undefined && matches(previous))
      : event.seenBy(true, true);
    if (seen) this.push(seen);
  }

  push(event: WatchStreamEvent): void {
    if (this.#closed) return;
    if (this.#pending.length >= this.#maxPending) {
      this.#pending = [];
      this.close();
      return;
    }
    this.#pending.push(event);
    this.#wake?.();
  }

  /** Ends the watch; what is queued is still taken. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose(this as unknown as CacheWatcher);
    this.#closeListener?.();
    this.#wake?.();
  }

  /** Calls `listener` when the watch is closed, by whomever; at once where it is closed already. One listener. */
  onceClosed(listener: () => void): void {
    if (this.#closed) listener();
    else this.#closeListener = listener;
  }

  /** Batches of events until the watch is closed. One consumer. */
  async *batches(): AsyncGenerator<readonly WatchStreamEvent[], void, void> {
    try {
      for (;;) {
        if (this.#pending.length > 0) {
          const batch = this.#pending;
          this.#pending = [];
          yield batch;
        } else if (this.#closed) return;
        else await this.#awaken();
      }
    } finally {
      this.close();
    }
  }

  #awaken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }
}
