// Evaluates transactions one after another on top of what is committed, without touching it: the versions that a group
// commit will write. When the write fails the stage is dropped, and nothing has happened.
import type { Operation, Transaction } from "./store.ts";
import { isTombstone, type Version, type VersionIndex } from "./version-index.ts";

export type StagedResult =
  | { readonly succeeded: true; readonly revision: number; readonly existed: readonly boolean[] }
  | { readonly succeeded: false; readonly revision: number; readonly current: readonly (Version | undefined)[] };

export class Stage {
  /** What is to be written, in order. */
  readonly versions: Version[] = [];
  readonly #index: VersionIndex;
  readonly #nowMs: number;
  readonly #newest = new Map<string, Version>();
  #revision: number;
  /** The last key that was looked up, and what was found. */
  #askedKey: string | undefined = undefined;
  #asked: Version | undefined = undefined;

  constructor(index: VersionIndex, nowMs: number) {
    this.#index = index;
    this.#nowMs = nowMs;
    this.#revision = index.revision;
  }

  apply({ conditions, operations }: Transaction): StagedResult {
    for (const { key, modRevision } of conditions) {
      if ((this.#live(key)?.modRevision ?? 0) !== modRevision)
        return { succeeded: false, revision: this.#revision, current: conditions.map((c) => this.#live(c.key)) };
    }
    const before = this.versions.length;
    const existed: boolean[] = [];
    for (const operation of operations) {
      const previous = this.#newestOf(operation.key);
      const exists = previous !== undefined && !isTombstone(previous);
      existed.push(exists);
      if (operation.type === "put" || exists) this.#write(operation, previous);
    }
    // A transaction that changed nothing takes no revision.
    if (this.versions.length > before) this.#revision++;
    return { succeeded: true, revision: this.#revision, existed };
  }

  #write(operation: Operation, previous: Version | undefined): void {
    const modRevision = this.#revision + 1;
    const continues = previous !== undefined && !isTombstone(previous);
    const put = operation.type === "put";
    const version: Version = {
      key: operation.key,
      createRevision: continues ? previous.createRevision : modRevision,
      modRevision,
      version: !put ? 0 : continues ? previous.version + 1 : 1,
      expiresAtMs: put && operation.ttlSeconds !== undefined ? this.#nowMs + operation.ttlSeconds * 1000 : 0,
      previous,
      value: put ? operation.value : undefined,
      position: 0,
    };
    this.versions.push(version);
    this.#newest.set(operation.key, version);
    this.#askedKey = undefined;
  }

  #newestOf(key: string): Version | undefined {
    // A transaction names its key twice: in its condition and in its operation.
    if (key !== this.#askedKey) {
      this.#askedKey = key;
      this.#asked = this.#newest.get(key) ?? this.#index.newest(key);
    }
    return this.#asked;
  }

  #live(key: string): Version | undefined {
    const version = this.#newestOf(key);
    return version && !isTombstone(version) ? version : undefined;
  }
}
