// The conformance suite's part on watches: what is delivered, in which order and batches, from the past and live.
import { describe, expect, test } from "vitest";
import { CompactedError, prefixEnd, type StoreEvent } from "./store.ts";
import { bytes, line, put, record, remove, type SuiteOptions, type WithStore } from "./testsuite-kit.ts";

export function testWatches(given: WithStore, { inProcess }: SuiteOptions): void {
  describe("watch()", () => {
    test(
      "delivers changes as they happen, with what was there before",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        const recording = record(store, prefix, base);
        await put(store, `${prefix}a`, "1");
        await put(store, `${prefix}a`, "2");
        await remove(store, `${prefix}a`);
        await put(store, `${prefix}a`, "3");
        await recording.reached(base + 4);
        expect(recording.events().map((event) => line(event, prefix, base))).toEqual([
          "put a@1=1",
          "put a@2=2 was 1=1",
          "delete a@3 was 2=2",
          "put a@4=3",
        ]);
      }),
    );

    test(
      "replays the past, then goes on live without gap or repetition",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        for (let i = 1; i <= 30; i++) await put(store, `${prefix}${i % 7}`, String(i));
        const writing = (async () => {
          for (let i = 31; i <= 120; i++) await put(store, `${prefix}${i % 7}`, String(i));
        })();
        const recordings = [base, base + 1, base + 29, base + 30].map((after) => ({ after, recording: record(store, prefix, after) }));
        await writing;
        for (const { after, recording } of recordings) {
          await recording.reached(base + 120);
          const expected = Array.from({ length: base + 120 - after }, (_, i) => after + i + 1);
          expect(recording.events().map((event) => event.revision)).toEqual(expected);
          for (const event of recording.events()) {
            expect(event.previous?.modRevision).toBe(event.revision - base > 7 ? event.revision - 7 : undefined);
          }
        }
      }),
    );

    test(
      "leaves out what the keys held before where that is not wanted",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        await put(store, `${prefix}a`, "1");
        await put(store, `${prefix}a`, "2");
        const events = await new Promise<readonly StoreEvent[]>((resolve, reject) => {
          const range = { start: prefix, end: prefixEnd(prefix), afterRevision: base + 1 };
          const watch = store.watch({
            ...range,
            previous: false,
            onEvents: (found) => {
              watch.cancel();
              resolve(found);
            },
            onError: reject,
          });
        });
        expect(events.map((event) => line(event, prefix, base))).toEqual(["put a@2=2"]);
      }),
    );

    test(
      "replays thousands of changes while others are written",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        await Promise.all(Array.from({ length: 3500 }, (_, i) => put(store, `${prefix}${i % 100}`, "x")));
        const recording = record(store, prefix, base);
        await Promise.all(Array.from({ length: 500 }, (_, i) => put(store, `${prefix}${i % 100}`, "y")));
        await recording.reached(base + 4000);
        expect(recording.events().map((event) => event.revision)).toEqual(Array.from({ length: 4000 }, (_, i) => base + i + 1));
      }),
    );

    test(
      "delivers a transaction in one batch, in the order of its operations, and batches in order",
      given(async ({ store, prefix }) => {
        const base = await put(store, `${prefix}z`, "0");
        const live = record(store, prefix, base);
        const transactions = Array.from({ length: 40 }, (_, i) =>
          store.transact({
            conditions: [],
            operations: ["z", "a", "m"].map((key) => ({ type: "put", key: prefix + key, value: bytes(String(i)) }) as const),
          }),
        );
        await Promise.all(transactions);
        const replayed = record(store, prefix, base);
        for (const recording of [live, replayed]) {
          await recording.reached(base + 40);
          expect(recording.events()).toHaveLength(120);
          const seen = new Set<number>();
          let last = base;
          for (const { events, revision } of recording.batches) {
            const revisions = new Set(events.map((event) => event.revision));
            for (const r of revisions) expect(seen.has(r)).toBe(false);
            for (const r of revisions) seen.add(r);
            for (const event of events) expect(event.revision).toBeGreaterThanOrEqual(last);
            last = events.at(-1)?.revision ?? last;
            expect(revision).toBeGreaterThanOrEqual(last);
          }
        }
      }),
    );

    test(
      "keeps to its range",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        const recording = record(store, `${prefix}b/`, base);
        for (const key of ["a", "b", "b/", "b/x", "b0", "c"]) await put(store, prefix + key, "1");
        await recording.reached(base + 6);
        expect(recording.events().map((event) => event.key.slice(prefix.length))).toEqual(["b/", "b/x"]);
      }),
    );

    test(
      "delivers nothing after cancel()",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        const recording = record(store, prefix, base);
        const witness = record(store, prefix, base);
        await put(store, `${prefix}a`, "1");
        await recording.reached(base + 1);
        const before = recording.batches.length;
        recording.cancel();
        recording.cancel();
        await put(store, `${prefix}a`, "2");
        await witness.reached(base + 2);
        expect(recording.batches).toHaveLength(before);
        expect(recording.errors).toEqual([]);
      }),
    );

    test(
      "reports progress past changes outside its range",
      given(async ({ store, prefix }) => {
        const recording = record(store, `${prefix}mine/`, await store.currentRevision());
        const revision = await put(store, `${prefix}other`, "1");
        await recording.reached(revision);
        expect(recording.batches.every((batch) => batch.events.length === 0)).toBe(true);
      }),
    );

    test(
      "waits for a revision that has not been reached",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        const recording = record(store, prefix, base + 2);
        for (const value of ["1", "2", "3", "4"]) await put(store, `${prefix}a`, value);
        await recording.until(() => recording.events().length >= 2);
        expect(recording.events().map((event) => event.revision)).toEqual([base + 3, base + 4]);
      }),
    );

    test(
      "ends with CompactedError when its past has been compacted",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        for (const value of ["1", "2", "3", "4"]) await put(store, `${prefix}a`, value);
        await store.compact(base + 3);
        const old = record(store, prefix, base);
        await old.until(() => old.errors.length > 0);
        expect(old.errors[0]).toBeInstanceOf(CompactedError);
        expect(old.batches).toEqual([]);
        const possible = record(store, prefix, base + 3);
        await possible.reached(base + 4);
        expect(possible.events().map((event) => line(event, prefix, base))).toEqual(["put a@4=4 was 3=3"]);
      }),
    );

    test(
      "goes on live through a compaction",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        const recording = record(store, prefix, base);
        await put(store, `${prefix}a`, "1");
        await recording.reached(base + 1);
        await store.compact(base + 1);
        await put(store, `${prefix}a`, "2");
        await recording.reached(base + 2);
        expect(recording.events().map((event) => line(event, prefix, base))).toEqual(["put a@1=1", "put a@2=2 was 1=1"]);
      }),
    );

    test(
      "lets a consumer write, watch and cancel from within, and is not called again before it returns",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        let depth = 0;
        let inner: ReturnType<typeof record> | undefined;
        const outer = record(store, prefix, base, (events) => {
          expect(++depth).toBe(1);
          store.requestProgress();
          inner ??= record(store, prefix, base);
          if (events.some((event) => event.revision === base + 1)) void put(store, `${prefix}b`, "2");
          depth--;
        });
        await put(store, `${prefix}a`, "1");
        await outer.until(() => outer.events().length >= 2);
        await inner?.until(() => (inner?.events().length ?? 0) >= 2);
        outer.cancel();
        expect(outer.events().map((event) => line(event, prefix, base))).toEqual(["put a@1=1", "put b@2=2"]);
        expect(inner?.events()).toEqual(outer.events());
      }),
    );

    test(
      "ends a watch whose consumer throws, and only that",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        const failure = new Error("consumer failed");
        const errors: unknown[] = [];
        let calls = 0;
        const other = record(store, prefix, base);
        store.watch({
          start: prefix,
          end: prefixEnd(prefix),
          afterRevision: base,
          onEvents: () => {
            calls++;
            throw failure;
          },
          onError: (error) => errors.push(error),
        });
        await put(store, `${prefix}a`, "1");
        await put(store, `${prefix}a`, "2");
        await other.reached(base + 2);
        expect(other.events()).toHaveLength(2);
        await expect.poll(() => errors).toEqual([failure]);
        expect(calls).toBe(1);
      }),
    );

    if (!inProcess) return;
    test(
      "hands out the very bytes that were written, before the writer is answered",
      given(async ({ store, prefix }) => {
        const base = await store.currentRevision();
        const recording = record(store, prefix, base);
        await recording.reached(base);
        const values = [bytes("1"), bytes("2")];
        for (const value of values) {
          await store.transact({ conditions: [], operations: [{ type: "put", key: `${prefix}a`, value }] });
          expect(recording.events().at(-1)?.kv?.value).toBe(value);
        }
        expect(recording.events().at(-1)?.previous?.value).toBe(values[0]);
      }),
    );
  });
}
