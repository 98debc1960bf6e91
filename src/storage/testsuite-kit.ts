// What the parts of the stores' conformance suite share: fixtures, short forms of writes, and a recorder of watches. All
// revisions are taken relative to where a store stands, and each test has keys of its own, so that a fixture may hand out
// a store that has been used before (one etcd for the whole run).
import { prefixEnd, type Store, type StoreEvent, type Transaction, type Watch } from "./store.ts";

export interface StoreFixture {
  readonly store: Store;
  /** Moves the store's clock; absent where it runs on the time of another process. */
  readonly advance?: (byMs: number) => Promise<void>;
  dispose(): Promise<void>;
}

export interface SuiteOptions {
  /** The store runs in this process and hands out the very bytes it was given. */
  readonly inProcess: boolean;
}

/** Runs a test with a store and a key prefix of its own. */
export type WithStore = (test: (context: { store: Store; prefix: string; fixture: StoreFixture }) => Promise<void>) => () => Promise<void>;

let prefixes = 0;

export function withStore(createFixture: () => Promise<StoreFixture>): WithStore {
  return (test) => async () => {
    const fixture = await createFixture();
    try {
      await test({ store: fixture.store, prefix: newPrefix(), fixture });
    } finally {
      await fixture.dispose();
    }
  };
}

export function newPrefix(): string {
  return `/suite/${prefixes++}/`;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function bytes(text: string): Uint8Array {
  return encoder.encode(text);
}

export function text(value: Uint8Array | undefined): string | undefined {
  return value && decoder.decode(value);
}

/** Writes without conditions; returns the revision. */
export async function put(store: Store, key: string, value: string, options: { readonly ttlSeconds?: number } = {}): Promise<number> {
  return (await store.transact({ conditions: [], operations: [{ type: "put", key, value: bytes(value), ...options }] })).revision;
}

export async function remove(store: Store, key: string): Promise<number> {
  return (await store.transact({ conditions: [], operations: [{ type: "delete", key }] })).revision;
}

/** A write that happens only if the key still is at this revision. */
export function putIf(key: string, modRevision: number, value: string): Transaction {
  return { conditions: [{ key, modRevision }], operations: [{ type: "put", key, value: bytes(value) }] };
}

export interface Recording extends Watch {
  readonly batches: readonly { readonly events: readonly StoreEvent[]; readonly revision: number }[];
  readonly errors: readonly unknown[];
  /** All events, of all batches. */
  events(): StoreEvent[];
  /** Resolves when the condition holds; it is looked at after each call of the store. */
  until(condition: () => boolean): Promise<void>;
  /** Resolves when everything up to the revision has been delivered. */
  reached(revision: number): Promise<void>;
}

/** Watches all keys of a prefix and keeps what is delivered. */
export function record(store: Store, prefix: string, afterRevision: number, onEvents?: (events: readonly StoreEvent[]) => void): Recording {
  const batches: { events: readonly StoreEvent[]; revision: number }[] = [];
  const errors: unknown[] = [];
  let waiting: { condition: () => boolean; resolve: () => void }[] = [];
  const look = (): void => {
    const done = waiting.filter((w) => w.condition());
    waiting = waiting.filter((w) => !done.includes(w));
    for (const w of done) w.resolve();
  };
  const watch = store.watch({
    start: prefix,
    end: prefixEnd(prefix),
    afterRevision,
    onEvents: (events, revision) => {
      batches.push({ events, revision });
      look();
      onEvents?.(events);
    },
    onError: (error) => {
      errors.push(error);
      look();
    },
  });
  const until = (condition: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      waiting.push({ condition, resolve });
      look();
    });
  return {
    batches,
    errors,
    events: () => batches.flatMap((b) => b.events),
    until,
    reached: (revision) => {
      store.requestProgress();
      return until(() => (batches.at(-1)?.revision ?? 0) >= revision);
    },
    cancel: () => watch.cancel(),
  };
}

/** An event as a line: "put a@5=x was 3=y". Revisions are relative to `base`, keys without the prefix. */
export function line(event: StoreEvent, prefix: string, base = 0): string {
  const value = event.kv ? `=${text(event.kv.value)}` : "";
  const previous = event.previous ? ` was ${event.previous.modRevision - base}=${text(event.previous.value)}` : "";
  return `${event.type} ${event.key.slice(prefix.length)}@${event.revision - base}${value}${previous}`;
}
