// What the embedded stores know of every key in memory: the chain of its versions, newest first, without the values where
// a journal keeps those. The counterpart of etcd's tree index, with one difference: all changes since the last compaction
// also stand in one list by revision, from which watches are replayed, past counts derived, and what a compaction makes
// garbage found without a walk over all keys.
import { SortedMap } from "../base/sorted-map.ts";

export interface Version {
  readonly key: string;
  readonly createRevision: number;
  readonly modRevision: number;
  /** 1 at creation, one more with each write; 0: the key was deleted (a tombstone). */
  readonly version: number;
  /** Milliseconds since the epoch; 0: never. */
  readonly expiresAtMs: number;
  /** What the key held before, also a tombstone; undefined where nothing did, or it has been compacted away. */
  previous: Version | undefined;
  /** Set by the journal: the value, or a hint to it. */
  value: Uint8Array | WeakRef<Uint8Array> | undefined;
  /** Set by the journal: where it is written. */
  position: number;
}

export function isTombstone(version: Version): boolean {
  return version.version === 0;
}

/** What the key held at the revision. */
function versionAt(newest: Version | undefined, revision: number): Version | undefined {
  let version = newest;
  while (version && version.modRevision > revision) version = version.previous;
  return version && !isTombstone(version) ? version : undefined;
}

export class VersionIndex {
  /** Newest versions of the keys that exist. */
  #live: SortedMap<Version>;
  /** Tombstones of the keys that do not, until compacted. */
  #buried: SortedMap<Version>;
  /** All versions after the compacted revision, in order. */
  #log: Version[];
  /** As etcd's, an empty store is at revision 1: clients read 0 as "any". */
  #revision: number;
  #compactedRevision: number;

  private constructor(live: SortedMap<Version>, buried: SortedMap<Version>, log: Version[], compactedRevision: number) {
    this.#live = live;
    this.#buried = buried;
    this.#log = log;
    this.#compactedRevision = compactedRevision;
    this.#revision = Math.max(1, compactedRevision, log.at(-1)?.modRevision ?? 0);
  }

  static empty(): VersionIndex {
    return new VersionIndex(new SortedMap(), new SortedMap(), [], 0);
  }

  /** Rebuilds an index from the versions of a journal, in its order. `garbage`: what compaction had no time to remove. */
  static load(versions: Iterable<Version>, compactedRevision: number): { index: VersionIndex; garbage: Version[] } {
    const newest = new Map<string, Version>();
    const log: Version[] = [];
    const garbage: Version[] = [];
    for (const version of versions) {
      const previous = newest.get(version.key);
      newest.set(version.key, version);
      if (version.modRevision > compactedRevision) {
        version.previous = previous;
        log.push(version);
      } else if (previous) garbage.push(previous);
    }
    const live: [string, Version][] = [];
    const buried: [string, Version][] = [];
    for (const key of [...newest.keys()].sort()) {
      const version = newest.get(key) as Version;
      if (!isTombstone(version)) live.push([key, version]);
      else if (version.modRevision > compactedRevision) buried.push([key, version]);
      else garbage.push(version);
    }
    const index = new VersionIndex(SortedMap.fromSorted(live), SortedMap.fromSorted(buried), log, compactedRevision);
    return { index, garbage };
  }

  get revision(): number {
    return this.#revision;
  }

  get compactedRevision(): number {
    return this.#compactedRevision;
  }

  /** The newest version, be it a tombstone. */
  newest(key: string): Version | undefined {
    return this.#live.get(key) ?? this.#buried.get(key);
  }

  at(key: string, revision: number): Version | undefined {
    return versionAt(this.newest(key), revision);
  }

  /** The versions that the keys in [start, end) had at the revision, at most `limit`, and how many there are in all. */
  range(start: string, end: string, revision: number, limit: number): { versions: Version[]; count: number } {
    const versions: Version[] = [];
    const candidates = revision === this.#revision ? this.#live.between(start, end) : this.#newestBetween(start, end);
    for (const newest of candidates) {
      if (versions.length >= limit) break;
      const version = versionAt(newest, revision);
      if (version) versions.push(version);
    }
    const complete = versions.length < limit;
    return { versions, count: complete ? versions.length : this.#countAt(start, end, revision) };
  }

  /** All live versions, in the order of their keys. */
  live(): Iterable<Version> {
    return this.#live.between("", "\uffff");
  }

  /** Takes up the versions of whole transactions that follow the current revision. */
  publish(versions: readonly Version[]): void {
    for (const version of versions) {
      const from = isTombstone(version) ? this.#live : this.#buried;
      const to = isTombstone(version) ? this.#buried : this.#live;
      if (version.previous) from.delete(version.key);
      to.set(version.key, version);
      this.#log.push(version);
      this.#revision = version.modRevision;
    }
  }

  /** The next changes after the revision: about `limit`, but whole transactions; empty where there are none. */
  changesAfter(revision: number, limit: number): Version[] {
    const first = this.#firstAfter(revision);
    let last = Math.min(first + limit, this.#log.length);
    while (last > first && last < this.#log.length && this.#log[last]?.modRevision === this.#log[last - 1]?.modRevision) last++;
    return this.#log.slice(first, last);
  }

  /** Forgets what cannot be read at `revision` or later, and returns it. */
  compact(revision: number): Version[] {
    const garbage: Version[] = [];
    const kept = this.#firstAfter(revision);
    for (let i = 0; i < kept; i++) {
      const version = this.#log[i] as Version;
      if (version.previous) garbage.push(version.previous);
      version.previous = undefined;
      if (isTombstone(version) && this.#buried.get(version.key) === version) {
        this.#buried.delete(version.key);
        garbage.push(version);
      }
    }
    this.#log = this.#log.slice(kept);
    this.#compactedRevision = revision;
    return garbage;
  }

  /** Index in the log of the first change after the revision. */
  #firstAfter(revision: number): number {
    let low = 0;
    let high = this.#log.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#log[middle] as Version).modRevision <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Today's number of keys, less what has come and gone since. */
  #countAt(start: string, end: string, revision: number): number {
    let count = this.#live.countBetween(start, end);
    for (let i = this.#firstAfter(revision); i < this.#log.length; i++) {
      const { key, version } = this.#log[i] as Version;
      if (version > 1 || key < start || key >= end) continue;
      count += version === 0 ? 1 : -1;
    }
    return count;
  }

  /** Live and buried keys, merged. */
  *#newestBetween(start: string, end: string): Generator<Version, void, undefined> {
    const buried = this.#buried.between(start, end);
    let tombstone = buried.next().value;
    for (const version of this.#live.between(start, end)) {
      while (tombstone && tombstone.key < version.key) {
        yield tombstone;
        tombstone = buried.next().value;
      }
      yield version;
    }
    while (tombstone) {
      yield tombstone;
      tombstone = buried.next().value;
    }
  }
}
