// The embedded store: etcd's semantics over a journal. One commit runs at a time; the transactions that arrive meanwhile
// share the next one (group commit). They are evaluated in the order of their arrival when it begins, so nothing is ever
// built on a write that may fail; readers, watches and callers see them when they are durable, in that order: first the
// index, then the watches, then the callers, who are answered while the next commit is being written.
import type { Clock } from "../base/clock.ts";
import { Expiry } from "./expiry.ts";
import type { Journal } from "./journal.ts";
import { Stage } from "./stage.ts";
import {
  CompactedError,
  FutureRevisionError,
  type KeyValue,
  type RangeOptions,
  type RangeResult,
  type Store,
  StoreClosedError,
  type Transaction,
  type TransactionResult,
  type Watch,
  type WatchOptions,
} from "./store.ts";
import { assertKeysDiffer } from "./transaction.ts";
import type { Version, VersionIndex } from "./version-index.ts";
import { WatchHub } from "./watch-hub.ts";

/** Transactions in one commit at most. */
const maxBatch = 1024;
/** A commit takes no further transactions after so many bytes of values. */
const maxBatchBytes = 8 * 1024 * 1024;
/** Transactions that may wait; further ones are refused. */
const maxQueue = 65_536;

interface Pending {
  readonly transaction: Transaction;
  readonly resolve: (result: TransactionResult) => void;
  readonly reject: (error: unknown) => void;
}

/** A batch that the journal is writing, or has nothing to write of. */
interface Commit {
  readonly batch: readonly Pending[];
  readonly versions: readonly Version[];
  readonly answers: readonly (() => void)[];
  readonly appended: Promise<void> | undefined;
}

export interface MvccStoreDependencies {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly index: VersionIndex;
}

export class MvccStore implements Store {
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #index: VersionIndex;
  readonly #watches: WatchHub;
  readonly #expiry: Expiry;
  readonly #queue: Pending[] = [];
  #commits: Promise<void> | undefined;
  #compactions: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor({ clock, journal, index }: MvccStoreDependencies) {
    this.#clock = clock;
    this.#journal = journal;
    this.#index = index;
    this.#watches = new WatchHub({ index, toKeyValue: (version) => this.#toKeyValue(version) });
    this.#expiry = new Expiry({ clock, expire: (version) => this.#expire(version) });
    for (const version of index.live()) this.#expiry.track(version);
  }

  async currentRevision(): Promise<number> {
    this.#assertOpen();
    return this.#index.revision;
  }

  async get(key: string, options: { readonly revision?: number } = {}): Promise<KeyValue | undefined> {
    const version = this.#index.at(key, this.#readable(options.revision));
    return version && this.#toKeyValue(version);
  }

  async range(options: RangeOptions): Promise<RangeResult> {
    const revision = this.#readable(options.revision);
    const { versions, count } = this.#index.range(options.start, options.end, revision, options.limit ?? Number.POSITIVE_INFINITY);
    return { items: versions.map((version) => this.#toKeyValue(version)), revision, count };
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    this.#assertOpen();
    assertKeysDiffer(transaction);
    return this.#enqueue(transaction);
  }

  watch(options: WatchOptions): Watch {
    if (!this.#closing) return this.#watches.watch(options);
    queueMicrotask(() => options.onError(new StoreClosedError()));
    return { cancel: () => undefined };
  }

  requestProgress(): void {
    this.#watches.requestProgress();
  }

  compact(revision: number): Promise<void> {
    const compaction = this.#compactions.then(() => this.#compact(revision));
    this.#compactions = compaction.catch(() => undefined);
    return compaction;
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#expiry.stop();
      await this.#compactions;
      await this.#commits;
      this.#watches.close(new StoreClosedError());
      await this.#journal.close();
    })();
    return this.#closing;
  }

  #assertOpen(): void {
    if (this.#closing) throw new StoreClosedError();
  }

  #readable(revision = this.#index.revision): number {
    this.#assertOpen();
    if (revision > this.#index.revision) throw new FutureRevisionError(this.#index.revision);
    if (revision < Math.max(1, this.#index.compactedRevision)) throw new CompactedError(this.#index.compactedRevision);
    return revision;
  }

  #enqueue(transaction: Transaction): Promise<TransactionResult> {
    this.#journal.refuseWhileLate();
    if (this.#queue.length >= maxQueue) throw new Error(`the store refuses a write: ${maxQueue} others are waiting`);
    return new Promise((resolve, reject) => {
      this.#queue.push({ transaction, resolve, reject });
      this.#commits ??= this.#commitAll();
    });
  }

  async #commitAll(): Promise<void> {
    await this.#journal.gather();
    let answers: readonly (() => void)[] = [];
    while (this.#queue.length > 0) {
      const commit = this.#begin(this.#takeBatch());
      // While the journal writes, the callers of the commit before are answered.
      for (const answer of answers) answer();
      answers = await this.#end(commit);
      if (this.#queue.length > 0) continue;
      for (const answer of answers) answer();
      answers = [];
      // Who is answered may write again at once.
      await this.#journal.gather();
    }
    this.#commits = undefined;
  }

  #takeBatch(): Pending[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < maxBatch && bytes < maxBatchBytes) {
      for (const operation of this.#queue[count]?.transaction.operations ?? [])
        if (operation.type === "put") bytes += operation.value.length;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  /** Evaluates the transactions of a batch and hands what they write to the journal. */
  #begin(batch: readonly Pending[]): Commit {
    const stage = new Stage(this.#index, this.#clock.now());
    const answers: (() => void)[] = [];
    for (const pending of batch) {
      try {
        const result = this.#stage(stage, pending.transaction);
        answers.push(() => pending.resolve(result));
      } catch (error) {
        pending.reject(error);
      }
    }
    const versions = stage.versions;
    return { batch, versions, answers, appended: versions.length > 0 ? this.#journal.append(versions) : undefined };
  }

  /** Makes visible what has been written; resolves with what tells the callers so. */
  async #end({ batch, versions, answers, appended }: Commit): Promise<readonly (() => void)[]> {
    if (!appended) return answers;
    try {
      await appended;
    } catch (error) {
      for (const pending of batch) pending.reject(error);
      return [];
    }
    this.#index.publish(versions);
    for (const version of versions) this.#expiry.track(version);
    this.#watches.publish(versions);
    return answers;
  }

  #stage(stage: Stage, transaction: Transaction): TransactionResult {
    if (transaction.operations.some((operation) => operation.type === "put")) this.#journal.checkRoom();
    const result = stage.apply(transaction);
    if (result.succeeded) return result;
    return { ...result, current: result.current.map((version) => version && this.#toKeyValue(version)) };
  }

  async #compact(revision: number): Promise<void> {
    this.#assertOpen();
    if (revision > this.#index.revision) throw new FutureRevisionError(this.#index.revision);
    if (revision <= this.#index.compactedRevision) throw new CompactedError(this.#index.compactedRevision);
    await this.#journal.setCompacted(revision);
    await this.#journal.discard(this.#index.compact(revision));
  }

  async #expire({ key, modRevision }: Version): Promise<void> {
    // Where the key has been written meanwhile the condition fails, and rightly nothing happens.
    await this.transact({ conditions: [{ key, modRevision }], operations: [{ type: "delete", key }] });
  }

  #toKeyValue(version: Version): KeyValue {
    return {
      key: version.key,
      value: this.#journal.read(version),
      createRevision: version.createRevision,
      modRevision: version.modRevision,
      version: version.version,
    };
  }
}
