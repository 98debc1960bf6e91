// The store of tests and throw-away clusters: everything in memory, nothing after the process.
import { type Clock, realClock } from "../base/clock.ts";
import type { Journal } from "./journal.ts";
import { MvccStore } from "./mvcc-store.ts";
import type { Store } from "./store.ts";
import { VersionIndex } from "./version-index.ts";

export interface MemoryStoreOptions {
  /** Lets keys expire. Default: real time. */
  readonly clock?: Clock;
}

export function createMemoryStore({ clock = realClock }: MemoryStoreOptions = {}): Store {
  return new MvccStore({ clock, journal: memoryJournal, index: VersionIndex.empty() });
}

/** Keeps each value where the index keeps the rest, and holds no state of its own. */
const memoryJournal: Journal = {
  append: () => Promise.resolve(),
  read: (version) => {
    if (version.value instanceof Uint8Array) return version.value;
    throw new Error(`reading ${version.key} at revision ${version.modRevision}: a tombstone has no value`);
  },
  setCompacted: () => Promise.resolve(),
  discard: () => Promise.resolve(),
  checkRoom: () => undefined,
  refuseWhileLate: () => undefined,
  gather: () => Promise.resolve(),
  close: () => Promise.resolve(),
};
