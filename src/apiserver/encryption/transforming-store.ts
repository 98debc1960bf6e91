// A store whose values are encrypted on their way in and decrypted on their way out: for the key space of one resource. Bytes
// that this process has just written come back from its watch as the very plain bytes they were made of, so that the watch
// cache need not parse them. Where a key has to be asked for first (a KMS), what follows in a watch waits behind it.
import type {
  KeyValue,
  Operation,
  RangeOptions,
  RangeResult,
  Store,
  StoreEvent,
  Transaction,
  TransactionResult,
  Watch,
  WatchOptions,
} from "../../storage/store.ts";
import type { TransformFigures } from "./encryption-metrics.ts";
import { DecryptError, type Plain, type Transformer } from "./transformer.ts";

/** Batches of a watch that may wait for keys. */
const maxWaitingBatches = 1000;

export class TransformingStore implements Store {
  readonly #store: Store;
  readonly #transformer: () => Transformer;
  readonly #prefix: string;
  readonly #figures: TransformFigures | undefined;
  /** Plain bytes by what they were stored as, until the watch has brought them back. */
  readonly #written = new WeakMap<Uint8Array, Uint8Array>();

  /**
   * `transformer` is asked for at every use: configuration may change. Keys without the prefix are other resources': what a
   * transaction writes there with an object of this one goes through as it comes.
   */
  constructor(store: Store, transformer: () => Transformer, prefix = "", figures?: TransformFigures) {
    this.#store = store;
    this.#transformer = transformer;
    this.#prefix = prefix;
    this.#figures = figures;
  }

  currentRevision(): Promise<number> {
    return this.#store.currentRevision();
  }

  async get(key: string, options?: { readonly revision?: number }): Promise<KeyValue | undefined> {
    const kv = await this.#store.get(key, options);
    return kv && this.#open(kv);
  }

  async range(options: RangeOptions): Promise<RangeResult> {
    const result = await this.#store.range(options);
    const items: KeyValue[] = [];
    for (const kv of result.items) {
      const opened = this.#open(kv, true);
      items.push(opened instanceof Promise ? await opened : opened);
    }
    return { ...result, items };
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    const operations: Operation[] = [];
    for (const operation of transaction.operations)
      operations.push(operation.key.startsWith(this.#prefix) ? await this.sealed(operation) : operation);
    const result = await this.#store.transact({ ...transaction, operations });
    if (result.succeeded) return result;
    const current: (KeyValue | undefined)[] = [];
    for (const kv of result.current) current.push(kv?.key.startsWith(this.#prefix) ? await this.#open(kv) : kv);
    return { ...result, current };
  }

  /** An operation on this resource's keys as the store beneath is to have it. */
  async sealed(operation: Operation): Promise<Operation> {
    if (operation.type === "delete") return operation;
    const value = await this.#transformer().encrypt(operation.value, operation.key, this.#figures);
    this.#written.set(value, operation.value);
    return { ...operation, value };
  }

  watch(options: WatchOptions): Watch {
    let tail: Promise<void> | undefined;
    let waiting = 0;
    let ended = false;
    const fail = (error: unknown): void => {
      if (ended) return;
      ended = true;
      watch.cancel();
      options.onError(error);
    };
    const deliver = (events: readonly StoreEvent[], revision: number): void => {
      if (!ended) options.onEvents(events, revision);
    };
    const onEvents = (events: readonly StoreEvent[], revision: number): void => {
      if (ended) return;
      try {
        const opened = this.#openAll(events);
        if (!tail && !(opened instanceof Promise)) return deliver(opened, revision);
        if (++waiting > maxWaitingBatches) return fail(new Error(`${waiting} batches of changes wait for a key`));
        const mine = Promise.all([opened, tail])
          .then(([ready]) => deliver(ready, revision))
          .catch(fail)
          .finally(() => {
            waiting--;
            if (tail === mine) tail = undefined;
          });
        tail = mine;
      } catch (error) {
        fail(error);
      }
    };
    const watch = this.#store.watch({ ...options, onEvents, onError: fail });
    return {
      cancel() {
        ended = true;
        watch.cancel();
      },
    };
  }

  requestProgress(): void {
    this.#store.requestProgress();
  }

  compact(revision: number): Promise<void> {
    return this.#store.compact(revision);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /** Whether what lies at a key would be written otherwise now. */
  async isStale(key: string): Promise<boolean> {
    const kv = await this.#store.get(key);
    return kv !== undefined && (await this.#decrypt(kv)).stale;
  }

  #openAll(events: readonly StoreEvent[]): readonly StoreEvent[] | Promise<readonly StoreEvent[]> {
    const opened: (StoreEvent | Promise<StoreEvent>)[] = [];
    try {
      for (const event of events) opened.push(this.#openEvent(event));
    } catch (error) {
      for (const event of opened) abandoned(event);
      throw error;
    }
    return opened.some((event) => event instanceof Promise) ? Promise.all(opened) : (opened as readonly StoreEvent[]);
  }

  #openEvent(event: StoreEvent): StoreEvent | Promise<StoreEvent> {
    if (!event.kv && !event.previous) return event;
    const kv = event.kv && this.#opened(event.kv);
    let previous: KeyValue | Promise<KeyValue> | undefined;
    try {
      previous = event.previous && this.#open(event.previous, true);
    } catch (error) {
      abandoned(kv);
      throw error;
    }
    if (kv instanceof Promise || previous instanceof Promise)
      return Promise.all([kv, previous]).then(([now, before]) => withValues(event, now, before));
    return withValues(event, kv, previous);
  }

  /** As #open, or what has been written by this process. */
  #opened(kv: KeyValue): KeyValue | Promise<KeyValue> {
    const plain = this.#written.get(kv.value);
    if (!plain) return this.#open(kv, true);
    this.#written.delete(kv.value);
    return { ...kv, value: plain };
  }

  /** `names`: whether a failure names the key, for who has asked for many. */
  #open(kv: KeyValue, names = false): KeyValue | Promise<KeyValue> {
    const plain = this.#decrypt(kv, names);
    return plain instanceof Promise ? plain.then(({ bytes: value }) => ({ ...kv, value })) : { ...kv, value: plain.bytes };
  }

  #decrypt(kv: KeyValue, names = false): Plain | Promise<Plain> {
    if (!names) return this.#transformer().decrypt(kv.value, kv.key, this.#figures);
    try {
      const plain = this.#transformer().decrypt(kv.value, kv.key, this.#figures);
      return plain instanceof Promise ? plain.catch((error: unknown) => Promise.reject(unreadable(kv.key, error))) : plain;
    } catch (error) {
      throw unreadable(kv.key, error);
    }
  }
}

/** Nobody waits any more for what is being decrypted: that it fails too is no news, and must not end the process. */
function abandoned(opening: unknown): void {
  if (opening instanceof Promise) opening.catch(() => undefined);
}

function withValues(event: StoreEvent, kv: KeyValue | undefined, previous: KeyValue | undefined): StoreEvent {
  return { ...event, ...(kv ? { kv } : {}), ...(previous ? { previous } : {}) };
}

function unreadable(key: string, cause: unknown): Error {
  if (!(cause instanceof DecryptError)) return cause instanceof Error ? cause : new Error(String(cause));
  return new DecryptError(`unable to transform key ${JSON.stringify(key)}: ${cause.message}`, { cause });
}
