// The store on etcd 3.4 and later, for several API servers and many machines: the contract of store.ts is etcd's own, so
// this maps calls to calls. What lies between is in the files beside it: members that fail (cluster.ts), watches that go on
// (feed.ts, watches.ts), leases (leases.ts).
import type { Clock } from "../../base/clock.ts";
import { type Logger, silentLogger } from "../../base/log.ts";
import type { Input } from "../../rpc/protocol.ts";
import {
  type KeyValue,
  type Operation,
  prefixEnd,
  type RangeOptions,
  type RangeResult,
  type Store,
  StoreClosedError,
  type Transaction,
  type TransactionResult,
  type Watch,
  type WatchOptions,
} from "../store.ts";
import { assertKeysDiffer } from "../transaction.ts";
import { Cluster } from "./cluster.ts";
import type { EtcdTls } from "./endpoint.ts";
import { isLeaseLost, toStoreError } from "./errors.ts";
import { toKeyValue } from "./key-value.ts";
import { Leases } from "./leases.ts";
import type { RangeRequest, RangeResponse, RequestOp, TxnResponse } from "./protocol.ts";
import { progressIsReliable } from "./server-version.ts";
import { SharedWatches } from "./watches.ts";

export interface EtcdStoreDependencies {
  readonly clock: Clock;
  readonly log?: Logger;
}

export interface EtcdStoreOptions {
  /** "https://10.0.0.1:2379"; more than one where the cluster has several members. */
  readonly servers: readonly string[];
  readonly tls?: EtcdTls;
  /** Watches see keys below this only. Default "/registry/". */
  readonly prefix?: string;
}

/** Ranges without a limit are read in pieces of so many keys. */
const pageSize = 10_000;
const statusTimeoutMs = 2000;
/** Below the prefix; nobody reads it. */
const progressKey = "coracle/watch-progress";

export class EtcdStore implements Store {
  readonly #cluster: Cluster;
  readonly #leases: Leases;
  readonly #withPrevious: SharedWatches;
  readonly #withoutPrevious: SharedWatches;
  readonly #prefix: string;
  readonly #log: Logger;
  readonly #pending = new Set<Promise<unknown>>();
  #reliable: Promise<boolean> | undefined;
  #asking: Promise<number> | undefined;
  #askingNext: Promise<number> | undefined;
  #progressing = false;
  #progressAgain = false;
  #newest = 0;
  #closing: Promise<void> | undefined;

  constructor({ clock, log = silentLogger }: EtcdStoreDependencies, { servers, tls = {}, prefix = "/registry/" }: EtcdStoreOptions) {
    this.#cluster = new Cluster(clock, { servers, tls });
    this.#leases = new Leases(clock, this.#cluster);
    this.#prefix = prefix;
    this.#log = log;
    const range = { start: prefix, end: prefixEnd(prefix) };
    const canAskProgress = (): Promise<boolean> => this.#canAskProgress();
    const writeProgress = (revision: number): Promise<void> => this.#writeProgress(revision);
    const parts = { cluster: this.#cluster, clock, log, ...range, canAskProgress, writeProgress };
    this.#withPrevious = new SharedWatches(parts, true);
    this.#withoutPrevious = new SharedWatches(parts, false);
  }

  /** One question at a time: those who ask meanwhile share the next one, which sees what was written before any of them. */
  currentRevision(): Promise<number> {
    if (this.#closing) return Promise.reject(new StoreClosedError());
    const running = this.#asking;
    if (!running) return (this.#asking = this.#askRevision());
    this.#askingNext ??= running
      .catch(() => undefined)
      .then(() => {
        this.#askingNext = undefined;
        return (this.#asking = this.#askRevision());
      });
    return this.#askingNext;
  }

  async get(key: string, { revision = 0 }: { readonly revision?: number } = {}): Promise<KeyValue | undefined> {
    const [kv] = (await this.#read({ key, revision })).kvs;
    return kv && toKeyValue(kv);
  }

  async range({ start, end, revision = 0, limit }: RangeOptions): Promise<RangeResult> {
    const first = await this.#read({ key: start, rangeEnd: end, revision, limit: limit ?? pageSize });
    const at = revision || (first.header?.revision ?? 0);
    const items = first.kvs.map(toKeyValue);
    while (limit === undefined && items.length < first.count) {
      const page = await this.#read({ key: `${items.at(-1)?.key}\0`, rangeEnd: end, revision: at, limit: pageSize });
      if (page.kvs.length === 0) break;
      for (const kv of page.kvs) items.push(toKeyValue(kv));
    }
    return { items, revision: at, count: first.count };
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    if (this.#closing) throw new StoreClosedError();
    assertKeysDiffer(transaction);
    const running = this.#transact(transaction);
    this.#pending.add(running);
    try {
      return await running;
    } finally {
      this.#pending.delete(running);
    }
  }

  watch(options: WatchOptions): Watch {
    if (!this.#closing) return (options.previous === false ? this.#withoutPrevious : this.#withPrevious).watch(options);
    queueMicrotask(() => options.onError(new StoreClosedError()));
    return { cancel: () => undefined };
  }

  requestProgress(): void {
    this.#progressAgain = true;
    if (!this.#progressing) void this.#reportProgress();
  }

  async compact(revision: number): Promise<void> {
    if (this.#closing) throw new StoreClosedError();
    try {
      await this.#cluster.write("Compact", { revision });
    } catch (error) {
      throw toStoreError(error, revision);
    }
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.allSettled(this.#pending);
      for (const watches of this.#allWatches) watches.close(new StoreClosedError());
      this.#cluster.close();
    })();
    return this.#closing;
  }

  get #allWatches(): readonly SharedWatches[] {
    return [this.#withPrevious, this.#withoutPrevious];
  }

  async #read(request: Input<RangeRequest>): Promise<RangeResponse> {
    if (this.#closing) throw new StoreClosedError();
    try {
      const response = await this.#cluster.read("Range", request);
      this.#newest = Math.max(this.#newest, response.header?.revision ?? 0);
      return response;
    } catch (error) {
      throw toStoreError(error, request.revision ?? 0);
    }
  }

  async #askRevision(): Promise<number> {
    try {
      return (await this.#read({ key: `${this.#prefix}health`, countOnly: true })).header?.revision ?? 0;
    } finally {
      this.#asking = undefined;
    }
  }

  async #transact(transaction: Transaction, mayRepeat = true): Promise<TransactionResult> {
    const ttl = transaction.operations.reduce((most, op) => Math.max(most, (op.type === "put" && op.ttlSeconds) || 0), 0);
    const lease = ttl > 0 ? await this.#leases.leaseFor(ttl) : 0n;
    const { conditions, operations } = transaction;
    try {
      const response = await this.#cluster.write("Txn", {
        compare: conditions.map(({ key, modRevision }) => ({ target: "MOD", key, modRevision })),
        success: operations.map((operation) => toRequestOp(operation, lease)),
        failure: conditions.map(({ key }) => ({ requestRange: { key } })),
      });
      this.#newest = Math.max(this.#newest, response.header?.revision ?? 0);
      return toResult(response);
    } catch (error) {
      if (!mayRepeat || !isLeaseLost(error)) throw toStoreError(error, 0);
      this.#leases.forget(lease);
      return this.#transact(transaction, false);
    }
  }

  /** What is known of is reported at once, what another writer has just written after asking for it. */
  async #reportProgress(): Promise<void> {
    this.#progressing = true;
    // Not at once: the caller may be a consumer that is just being called, and may ask again each time.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#progressAgain && !this.#closing) {
      this.#progressAgain = false;
      const known = this.#newest;
      for (const watches of this.#allWatches) watches.expect(known);
      try {
        const current = await this.currentRevision();
        if (current > known) for (const watches of this.#allWatches) watches.expect(current);
      } catch (error) {
        if (!this.#closing) this.#log.warn("Asking etcd for its revision failed", { error });
      }
    }
    this.#progressing = false;
  }

  #canAskProgress(): Promise<boolean> {
    this.#reliable ??= Promise.all(this.#cluster.all.map((endpoint) => endpoint.call("Status", {}, statusTimeoutMs)))
      .then((members) => members.every(({ version }) => progressIsReliable(version)))
      .catch((error: unknown) => {
        // A member that is away is asked again another time; until then the way that works with every version is taken.
        this.#reliable = undefined;
        this.#log.info("Not every etcd server tells its version", { error }, 2);
        return false;
      });
    return this.#reliable;
  }

  async #writeProgress(revision: number): Promise<void> {
    const own = { key: this.#prefix, rangeEnd: prefixEnd(this.#prefix), limit: 1 };
    if ((await this.#read({ ...own, minModRevision: revision })).kvs.length > 0) return;
    const operation = { type: "put", key: `${this.#prefix}${progressKey}`, value: new Uint8Array(0) } as const;
    await this.transact({ conditions: [], operations: [operation] });
  }
}

function toRequestOp(operation: Operation, lease: bigint): Input<RequestOp> {
  const { key } = operation;
  if (operation.type === "delete") return { requestDeleteRange: { key } };
  return { requestPut: { key, value: operation.value, lease: operation.ttlSeconds === undefined ? 0n : lease } };
}

function toResult({ header, succeeded, responses }: TxnResponse): TransactionResult {
  const revision = header?.revision ?? 0;
  if (succeeded) return { succeeded, revision, existed: responses.map((r) => (r.responseDeleteRange?.deleted ?? 0) > 0) };
  const current = responses.map(({ responseRange }) => {
    const kv = responseRange?.kvs[0];
    return kv && toKeyValue(kv);
  });
  return { succeeded: false, revision, current };
}
