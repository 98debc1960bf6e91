import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VirtualClock } from "../base/clock.ts";
import { createLogger, silentLogger } from "../base/log.ts";
import { startCompactor } from "./compactor.ts";
import { createMemoryStore } from "./memory.ts";
import { CompactedError, type Store } from "./store.ts";
import { put } from "./testsuite-kit.ts";

describe("startCompactor()", () => {
  let clock: VirtualClock;
  let store: Store;
  beforeEach(() => {
    clock = new VirtualClock();
    store = createMemoryStore({ clock });
  });
  afterEach(() => store.close());

  const oldest = async (): Promise<number> =>
    store.get("/a", { revision: 1 }).then(
      () => 1,
      (error: unknown) => (error instanceof CompactedError ? error.compactedRevision : Promise.reject(error)),
    );

  test("keeps what was current an interval ago", async () => {
    const compactor = startCompactor({ store, clock, log: silentLogger }, { intervalMs: 300_000 });
    const first = await put(store, "/a", "1");
    await clock.advance(300_000);
    expect(await oldest()).toBe(1);
    const second = await put(store, "/a", "2");
    await clock.advance(300_000);
    expect(await oldest()).toBe(first);
    await put(store, "/a", "3");
    await clock.advance(300_000);
    expect(await oldest()).toBe(second);
    await compactor.stop();
  });

  test("keeps at most so many revisions", async () => {
    const compactor = startCompactor({ store, clock, log: silentLogger }, { maxRevisions: 10, checkMs: 1000 });
    let last = 0;
    for (let i = 0; i < 30; i++) last = await put(store, "/a", String(i));
    await clock.advance(1000);
    expect(await oldest()).toBe(last - 10);
    await compactor.stop();
  });

  test("goes on when someone else has compacted further", async () => {
    const lines: string[] = [];
    const log = createLogger("compactor", { write: (line) => lines.push(line) });
    const compactor = startCompactor({ store, clock, log }, { maxRevisions: 10, checkMs: 1000 });
    let last = 0;
    for (let i = 0; i < 30; i++) last = await put(store, "/a", String(i));
    await store.compact(last);
    await clock.advance(1000);
    for (let i = 0; i < 30; i++) last = await put(store, "/a", String(i));
    await clock.advance(1000);
    expect(await oldest()).toBe(last - 10);
    expect(lines).toEqual([]);
    await compactor.stop();
  });

  test("logs a failure and tries again in the next round", async () => {
    const lines: string[] = [];
    const log = createLogger("compactor", { write: (line) => lines.push(line) });
    let failures = 1;
    const failing = Object.create(store, {
      currentRevision: { value: () => store.currentRevision() },
      compact: { value: (revision: number) => (failures-- > 0 ? Promise.reject(new Error("disk full")) : store.compact(revision)) },
    }) as Store;
    const compactor = startCompactor({ store: failing, clock, log }, { maxRevisions: 1, checkMs: 1000 });
    for (let i = 0; i < 5; i++) await put(store, "/a", String(i));
    await clock.advance(1000);
    expect(lines.join()).toContain("disk full");
    expect(await oldest()).toBe(1);
    await clock.advance(1000);
    expect(await oldest()).toBe((await store.currentRevision()) - 1);
    await compactor.stop();
  });

  test("does nothing after stop()", async () => {
    const compactor = startCompactor({ store, clock, log: silentLogger }, { maxRevisions: 1, checkMs: 1000 });
    await compactor.stop();
    for (let i = 0; i < 5; i++) await put(store, "/a", String(i));
    await clock.advance(3_600_000);
    expect(await oldest()).toBe(1);
  });
});
