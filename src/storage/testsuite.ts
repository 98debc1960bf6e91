// The conformance suite of the stores: each implementation runs it word for word. What it does not fix, because etcd and
// the contract leave it open: whether a watch after the revision just below the compacted one is refused.
import { describe, expect, test } from "vitest";
import { CompactedError, FutureRevisionError, prefixEnd, StoreClosedError } from "./store.ts";
import {
  bytes,
  put,
  putIf,
  record,
  remove,
  type StoreFixture,
  type SuiteOptions,
  text,
  type WithStore,
  withStore,
} from "./testsuite-kit.ts";
import { testModel } from "./testsuite-model.ts";
import { testWatches } from "./testsuite-watch.ts";

export function testStore(name: string, createFixture: () => Promise<StoreFixture>, options: SuiteOptions): void {
  const given = withStore(createFixture);
  describe(name, () => {
    testTransactions(given);
    testReads(given, options);
    testCompaction(given);
    testExpiry(given);
    testWatches(given, options);
    testConcurrency(given);
    testModel(given);
    testClose(given);
  });
}

function testTransactions(given: WithStore): void {
  describe("transact()", () => {
    test(
      "takes the next revision for each transaction that writes",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        expect(base).toBeGreaterThanOrEqual(1);
        expect(await put(store, `${prefix}a`, "1")).toBe(base + 1);
        expect(await put(store, `${prefix}a`, "1")).toBe(base + 2);
        expect(await remove(store, `${prefix}a`)).toBe(base + 3);
        expect(await store.currentRevision()).toBe(base + 3);
      }),
    );

    test(
      "takes no revision when it writes nothing",
      given(async ({ store, prefix }) => {
        const base = await put(store, `${prefix}a`, "1");
        expect(await store.transact({ conditions: [], operations: [] })).toEqual({ succeeded: true, revision: base, existed: [] });
        const absent = await store.transact({ conditions: [], operations: [{ type: "delete", key: `${prefix}absent` }] });
        expect(absent).toEqual({ succeeded: true, revision: base, existed: [false] });
        expect((await store.transact(putIf(`${prefix}a`, 0, "2"))).succeeded).toBe(false);
        expect(await store.currentRevision()).toBe(base);
      }),
    );

    test(
      "writes several keys at one revision and tells which deletes found theirs",
      given(async ({ store, prefix }) => {
        const base = await put(store, `${prefix}old`, "1");
        const result = await store.transact({
          conditions: [],
          operations: [
            { type: "put", key: `${prefix}a`, value: bytes("a") },
            { type: "delete", key: `${prefix}old` },
            { type: "delete", key: `${prefix}absent` },
            { type: "put", key: `${prefix}b`, value: bytes("b") },
          ],
        });
        expect(result.succeeded && result.existed.filter((_, i) => i === 1 || i === 2)).toEqual([true, false]);
        const { items } = await store.range({ start: prefix, end: prefixEnd(prefix) });
        expect(items.map((kv) => [kv.key.slice(prefix.length), text(kv.value), kv.modRevision - base])).toEqual([
          ["a", "a", 1],
          ["b", "b", 1],
        ]);
      }),
    );

    test(
      "counts versions from the creation of the key, anew after a delete",
      given(async ({ store, prefix }) => {
        const key = `${prefix}a`;
        const created = await put(store, key, "1");
        const updated = await put(store, key, "2");
        expect(await store.get(key)).toMatchObject({ createRevision: created, modRevision: updated, version: 2 });
        await remove(store, key);
        const again = await put(store, key, "3");
        expect(await store.get(key)).toMatchObject({ createRevision: again, modRevision: again, version: 1 });
      }),
    );

    test(
      "does nothing unless all conditions hold, and then tells what their keys hold",
      given(async ({ store, prefix }) => {
        const [a, b, absent] = [`${prefix}a`, `${prefix}b`, `${prefix}absent`];
        const atA = await put(store, a, "1");
        const atB = await put(store, b, "2");
        const operations = [{ type: "put", key: a, value: bytes("new") }] as const;
        const stale = [
          { key: a, modRevision: atA },
          { key: b, modRevision: atA },
          { key: absent, modRevision: 0 },
        ];
        const refused = await store.transact({ conditions: stale, operations });
        if (refused.succeeded) throw new Error("a transaction with a stale condition succeeded");
        expect(refused.revision).toBe(atB);
        expect(refused.current.map((kv) => kv && [kv.key, kv.modRevision, text(kv.value)])).toEqual([
          [a, atA, "1"],
          [b, atB, "2"],
          undefined,
        ]);
        expect(text((await store.get(a))?.value)).toBe("1");
        const fresh = stale.map((condition) => (condition.key === b ? { key: b, modRevision: atB } : condition));
        expect(await store.transact({ conditions: fresh, operations })).toMatchObject({ succeeded: true, revision: atB + 1 });
      }),
    );

    test(
      "treats a deleted key as absent in conditions",
      given(async ({ store, prefix }) => {
        const key = `${prefix}a`;
        const created = await put(store, key, "1");
        const deleted = await remove(store, key);
        expect((await store.transact(putIf(key, created, "2"))).succeeded).toBe(false);
        expect((await store.transact(putIf(key, deleted, "2"))).succeeded).toBe(false);
        expect((await store.transact(putIf(key, 0, "2"))).succeeded).toBe(true);
      }),
    );

    test(
      "refuses two operations on one key",
      given(async ({ store, prefix }) => {
        const key = `${prefix}a`;
        const base = await store.currentRevision();
        const operation = { type: "put", key, value: bytes("1") } as const;
        await expect(store.transact({ conditions: [], operations: [operation, operation] })).rejects.toThrow();
        expect(await store.currentRevision()).toBe(base);
        expect(await store.get(key)).toBeUndefined();
      }),
    );

    test(
      "keeps values of any bytes and size",
      given(async ({ store, prefix }) => {
        const values = [new Uint8Array(0), new Uint8Array([0, 255, 10, 0]), new Uint8Array(300_000).map((_, i) => i % 251)];
        for (const [i, value] of values.entries()) {
          await store.transact({ conditions: [], operations: [{ type: "put", key: `${prefix}${i}`, value }] });
          const kept = (await store.get(`${prefix}${i}`))?.value;
          expect(kept && Buffer.compare(kept, value)).toBe(0);
        }
      }),
    );
  });
}

function testReads(given: WithStore, { inProcess }: SuiteOptions): void {
  describe("get() and range()", () => {
    test(
      "order keys by their bytes and keep to [start, end)",
      given(async ({ store, prefix }) => {
        for (const key of ["b/1", "a", "b", "b-1", "b/", "c", "B", "b/10", "b/2"]) await put(store, prefix + key, key);
        const read = async (start: string, end: string): Promise<string[]> =>
          (await store.range({ start: prefix + start, end: prefix + end })).items.map((kv) => kv.key.slice(prefix.length));
        expect(await read("b/", prefixEnd("b/"))).toEqual(["b/", "b/1", "b/10", "b/2"]);
        expect(await read("a", "c")).toEqual(["a", "b", "b-1", "b/", "b/1", "b/10", "b/2"]);
        expect(await read("B", "a")).toEqual(["B"]);
        expect(await read("x", "y")).toEqual([]);
        expect((await store.range({ start: prefix, end: prefixEnd(prefix) })).count).toBe(9);
      }),
    );

    test(
      "page through a range as it was, while it changes",
      given(async ({ store, prefix }) => {
        for (let i = 0; i < 10; i++) await put(store, `${prefix}${i}`, "old");
        const end = prefixEnd(prefix);
        const first = await store.range({ start: prefix, end, limit: 4 });
        expect(first).toMatchObject({ count: 10, revision: await store.currentRevision() });
        for (const i of [1, 5, 7]) await put(store, `${prefix}${i}`, "new");
        for (const i of [2, 6]) await remove(store, `${prefix}${i}`);
        await put(store, `${prefix}55`, "new");
        const rest = await store.range({ start: `${first.items.at(-1)?.key}\0`, end, limit: 4, revision: first.revision });
        expect(rest).toMatchObject({ count: 6, revision: first.revision });
        expect([...first.items, ...rest.items].map((kv) => kv.key.slice(prefix.length) + text(kv.value))).toEqual(
          [0, 1, 2, 3, 4, 5, 6, 7].map((i) => `${i}old`),
        );
        const now = await store.range({ start: prefix, end });
        expect(now.items.map((kv) => kv.key.slice(prefix.length))).toEqual(["0", "1", "3", "4", "5", "55", "7", "8", "9"]);
      }),
    );

    test(
      "answer from every revision of a key's life",
      given(async ({ store, prefix }) => {
        const key = `${prefix}a`;
        const base = await store.currentRevision();
        await put(store, key, "1");
        await put(store, `${prefix}other`, "x");
        await put(store, key, "2");
        await remove(store, key);
        await put(store, key, "3");
        const history: (string | undefined)[] = [];
        for (let revision = base + 1; revision <= base + 5; revision++) history.push(text((await store.get(key, { revision }))?.value));
        expect(history).toEqual(["1", "1", "2", undefined, "3"]);
      }),
    );

    test(
      "refuse a revision that has not been reached",
      given(async ({ store, prefix }) => {
        const revision = (await store.currentRevision()) + 1;
        await expect(store.get(`${prefix}a`, { revision })).rejects.toThrow(FutureRevisionError);
        await expect(store.range({ start: prefix, end: prefixEnd(prefix), revision })).rejects.toThrow(FutureRevisionError);
      }),
    );

    if (!inProcess) return;
    test(
      "hand out the very bytes that were written",
      given(async ({ store, prefix }) => {
        const value = bytes("1");
        await store.transact({ conditions: [], operations: [{ type: "put", key: `${prefix}a`, value }] });
        expect((await store.get(`${prefix}a`))?.value).toBe(value);
        expect((await store.range({ start: prefix, end: prefixEnd(prefix) })).items[0]?.value).toBe(value);
      }),
    );
  });
}

function testCompaction(given: WithStore): void {
  describe("compact()", () => {
    test(
      "keeps what can be read at the revision and later, and nothing before",
      given(async ({ store, prefix }) => {
        const [a, b] = [`${prefix}a`, `${prefix}b`];
        await put(store, a, "a1");
        await put(store, b, "b1");
        const before = await put(store, a, "a2");
        const revision = await remove(store, b);
        await put(store, a, "a3");
        await store.compact(revision);
        expect(text((await store.get(a, { revision }))?.value)).toBe("a2");
        expect(await store.get(b, { revision })).toBeUndefined();
        expect(text((await store.get(a))?.value)).toBe("a3");
        const refusal = await store.get(a, { revision: before }).catch((error: unknown) => error);
        expect(refusal).toBeInstanceOf(CompactedError);
        await expect(store.range({ start: prefix, end: prefixEnd(prefix), revision: before })).rejects.toThrow(CompactedError);
        expect(await store.range({ start: prefix, end: prefixEnd(prefix), revision })).toMatchObject({ count: 1, revision });
      }),
    );

    test(
      "is refused below what is compacted and above what is reached, and takes no revision",
      given(async ({ store, prefix }) => {
        await put(store, `${prefix}a`, "1");
        const revision = await put(store, `${prefix}a`, "2");
        await store.compact(revision);
        await expect(store.compact(revision)).rejects.toThrow(CompactedError);
        await expect(store.compact(revision - 1)).rejects.toThrow(CompactedError);
        await expect(store.compact(revision + 1)).rejects.toThrow(FutureRevisionError);
        expect(await store.currentRevision()).toBe(revision);
      }),
    );

    test(
      "forgets deleted keys, which can be created again",
      given(async ({ store, prefix }) => {
        const key = `${prefix}a`;
        await put(store, key, "1");
        await store.compact(await remove(store, key));
        expect(await store.get(key)).toBeUndefined();
        const again = await put(store, key, "2");
        expect(await store.get(key)).toMatchObject({ createRevision: again, version: 1 });
        await store.compact(again);
        expect(text((await store.get(key))?.value)).toBe("2");
      }),
    );
  });
}

function testExpiry(given: WithStore): void {
  describe("ttlSeconds", () => {
    test(
      "deletes the key when its time has passed, with a revision of its own, unless written again",
      given(async ({ store, prefix, fixture }) => {
        const base = await store.currentRevision();
        const recording = record(store, prefix, base);
        await put(store, `${prefix}gone`, "1", { ttlSeconds: 2 });
        await put(store, `${prefix}renewed`, "1", { ttlSeconds: 2 });
        await put(store, `${prefix}kept`, "1", { ttlSeconds: 2 });
        await put(store, `${prefix}renewed`, "2", { ttlSeconds: 3600 });
        await put(store, `${prefix}kept`, "2");
        await fixture.advance?.(1000);
        expect(await store.get(`${prefix}gone`)).toBeDefined();
        await fixture.advance?.(2000);
        await recording.until(() => recording.events().some((event) => event.type === "delete"));
        const deleted = recording.events().find((event) => event.type === "delete");
        expect(deleted).toMatchObject({ key: `${prefix}gone`, revision: base + 6, previous: { modRevision: base + 1 } });
        const { items } = await store.range({ start: prefix, end: prefixEnd(prefix) });
        expect(items.map((kv) => kv.key.slice(prefix.length))).toEqual(["kept", "renewed"]);
      }),
    );
  });
}

function testConcurrency(given: WithStore): void {
  describe("many writers at once", () => {
    test(
      "lose no increment under compare-and-swap",
      given(async ({ store, prefix }) => {
        const key = `${prefix}counter`;
        const base = await store.currentRevision();
        const recording = record(store, prefix, base);
        const increment = async (): Promise<void> => {
          for (;;) {
            const kv = await store.get(key);
            const result = await store.transact(putIf(key, kv?.modRevision ?? 0, String(Number(text(kv?.value) ?? 0) + 1)));
            if (result.succeeded) return;
          }
        };
        const writers = Array.from({ length: 16 }, async () => {
          for (let i = 0; i < 5; i++) await increment();
        });
        await Promise.all(writers);
        expect(await store.get(key)).toMatchObject({ version: 80, modRevision: base + 80 });
        await recording.reached(base + 80);
        expect(recording.events().map((event) => text(event.kv?.value))).toEqual(Array.from({ length: 80 }, (_, i) => String(i + 1)));
      }),
    );

    test(
      "each get a revision of their own, and watches see all of them in order",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        const recording = record(store, prefix, base);
        const revisions = await Promise.all(Array.from({ length: 500 }, (_, i) => put(store, `${prefix}${i % 50}`, String(i))));
        expect([...revisions].sort((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, i) => base + i + 1));
        await recording.reached(base + 500);
        expect(recording.events().map((event) => event.revision)).toEqual(Array.from({ length: 500 }, (_, i) => base + i + 1));
      }),
    );

    test(
      "read their own writes, and no one reads backwards",
      given(async ({ store, prefix }) => {
        let newest = 0;
        const writer = async (id: number): Promise<void> => {
          for (let i = 0; i < 20; i++) {
            const revision = await put(store, `${prefix}${id}`, String(i));
            expect((await store.get(`${prefix}${id}`))?.modRevision).toBe(revision);
            const current = await store.currentRevision();
            expect(current).toBeGreaterThanOrEqual(Math.max(revision, newest));
            newest = Math.max(newest, current);
          }
        };
        await Promise.all(Array.from({ length: 8 }, (_, id) => writer(id)));
      }),
    );
  });
}

function testClose(given: WithStore): void {
  describe("close()", () => {
    test(
      "waits for pending writes, ends watches, and refuses what comes later",
      given(async ({ store, prefix }) => {
        const recording = record(store, prefix, await store.currentRevision());
        const pending = Array.from({ length: 20 }, (_, i) => put(store, `${prefix}${i}`, "1"));
        await Promise.resolve();
        await store.close();
        expect(new Set(await Promise.all(pending)).size).toBe(20);
        await recording.until(() => recording.errors.length > 0);
        expect(recording.errors).toEqual([new StoreClosedError()]);
        await expect(put(store, `${prefix}late`, "1")).rejects.toThrow(StoreClosedError);
        await expect(store.get(`${prefix}0`)).rejects.toThrow(StoreClosedError);
      }),
    );
  });
}
