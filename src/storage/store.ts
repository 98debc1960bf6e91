// The contract of the stores: etcd's data model and nothing more. One revision counter for the whole store; every
// transaction that writes takes the next revision; keys can be read at any revision that has not been compacted;
// watches deliver every change after a revision, in order, each once. Implementations: memory (tests), lmdb (embedded,
// durable), etcd (several API servers). All pass testsuite.ts.
//
// Keys are UTF-8 strings in byte order. Values are opaque bytes, immutable once handed over; a store that runs in the
// process hands out the very Uint8Array it was given, so that a caller can attach what it knows of it (see the API
// server's watch cache).

export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision of the transaction that created the key. */
  readonly createRevision: number;
  /** Revision of the transaction that last wrote it. */
  readonly modRevision: number;
  /** 1 at creation, one more with each write. */
  readonly version: number;
}

export interface RangeOptions {
  /** First key, inclusive. */
  readonly start: string;
  /** First key that is not part of the range. Use `prefixEnd(prefix)` for a prefix. */
  readonly end: string;
  /** Default: the current revision. */
  readonly revision?: number;
  /** At most so many; default all. */
  readonly limit?: number;
}

export interface RangeResult {
  readonly items: readonly KeyValue[];
  /** The revision that was read. */
  readonly revision: number;
  /** Keys in the whole range, whatever the limit. */
  readonly count: number;
}

export type Operation =
  | {
      readonly type: "put";
      readonly key: string;
      readonly value: Uint8Array;
      /** The key disappears so many seconds after this write, unless written again. */
      readonly ttlSeconds?: number;
    }
  | { readonly type: "delete"; readonly key: string };

/** Holds when the key's modRevision equals this; 0 means that the key does not exist. */
export interface Condition {
  readonly key: string;
  readonly modRevision: number;
}

export interface Transaction {
  /** All must hold, or nothing is done. */
  readonly conditions: readonly Condition[];
  readonly operations: readonly Operation[];
}

export type TransactionResult =
  | {
      readonly succeeded: true;
      readonly revision: number /** Whether each delete found its key, by operation. */;
      readonly existed: readonly boolean[];
    }
  | {
      readonly succeeded: false;
      readonly revision: number;
      /** What the keys of the conditions hold now, in their order. */
      readonly current: readonly (KeyValue | undefined)[];
    };

export interface StoreEvent {
  readonly type: "put" | "delete";
  readonly key: string;
  /** Of the change. All events of one transaction share it and arrive in one batch. */
  readonly revision: number;
  /** What was written; absent for deletes. */
  readonly kv?: KeyValue;
  /** What the key held before; absent where it held nothing. */
  readonly previous?: KeyValue;
}

export interface WatchOptions {
  readonly start: string;
  readonly end: string;
  /** Deliver changes with a revision greater than this. */
  readonly afterRevision: number;
  /** Whether events tell what the key held before: what mirrors the keys knows it, and saves the store the reading. Default true. */
  readonly previous?: boolean;
  /**
   * Called with the changes of one or more whole transactions in order, never re-entrantly. `revision`: everything up to
   * it that concerns the range has been delivered. An empty batch is a progress notification.
   */
  readonly onEvents: (events: readonly StoreEvent[], revision: number) => void;
  /** The watch has ended and delivers nothing more: CompactedError, or the connection was lost for good. */
  readonly onError: (error: unknown) => void;
}

export interface Watch {
  /** Nothing is delivered after this returns. */
  cancel(): void;
}

export interface Store {
  /** The newest revision that is committed. */
  currentRevision(): Promise<number>;
  get(key: string, options?: { readonly revision?: number }): Promise<KeyValue | undefined>;
  /** Throws CompactedError, or FutureRevisionError. */
  range(options: RangeOptions): Promise<RangeResult>;
  /** Resolves when the writes are durable. */
  transact(transaction: Transaction): Promise<TransactionResult>;
  watch(options: WatchOptions): Watch;
  /** Asks every watch to report progress (an empty batch) up to at least the current revision. */
  requestProgress(): void;
  /**
   * Revisions below `revision` can no longer be read or watched from. Throws CompactedError where that is so already, and
   * FutureRevisionError.
   */
  compact(revision: number): Promise<void>;
  /** Waits for pending writes, ends watches (StoreClosedError), releases files. */
  close(): Promise<void>;
}

/** The revision asked for has been compacted away. */
export class CompactedError extends Error {
  /** The oldest revision that can still be read. */
  readonly compactedRevision: number;
  constructor(compactedRevision: number) {
    super(`the requested revision has been compacted; the oldest available is ${compactedRevision}`);
    this.name = "CompactedError";
    this.compactedRevision = compactedRevision;
  }
}

/** The revision asked for has not been reached. */
export class FutureRevisionError extends Error {
  readonly currentRevision: number;
  constructor(currentRevision: number) {
    super(`the requested revision is greater than the current revision ${currentRevision}`);
    this.name = "FutureRevisionError";
    this.currentRevision = currentRevision;
  }
}

/** The store has been closed. */
export class StoreClosedError extends Error {
  constructor() {
    super("the store is closed");
    this.name = "StoreClosedError";
  }
}

/** There is no room for the write, which has not happened. Deletes, compaction, or a larger disk make room again. */
export class StoreFullError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StoreFullError";
  }
}

/** The store takes no write as large as this one, which has not happened. */
export class WriteTooLargeError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "WriteTooLargeError";
  }
}

/** The end of the range of all keys with this prefix. */
export function prefixEnd(prefix: string): string {
  // Keys are ASCII paths; the last character is never U+FFFF, so the next code unit is the end of the prefix.
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}
