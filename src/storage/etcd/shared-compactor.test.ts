import { expect, test } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { createMemoryStore } from "../memory.ts";
import { CompactedError } from "../store.ts";
import { put } from "../testsuite-kit.ts";
import { startSharedCompactor } from "./shared-compactor.ts";

test("startSharedCompactor() compacts once a round, to where the store was a round before, however many there are", async () => {
  const clock = new VirtualClock();
  const store = createMemoryStore({ clock });
  const compacted: number[] = [];
  const watched = Object.assign(Object.create(store), {
    transact: store.transact.bind(store),
    compact: (revision: number) => {
      compacted.push(revision);
      return store.compact(revision);
    },
  });
  const compactors = [0, 1].map(() => startSharedCompactor({ store: watched, clock, log: silentLogger }, { intervalMs: 1000 }));
  const first = await put(store, "/a", "1");
  await clock.advance(1000);
  const atRound = await store.currentRevision();
  await put(store, "/a", "2");
  await clock.advance(1000);
  expect(compacted).toEqual([atRound]);
  await expect(store.get("/a", { revision: first })).rejects.toThrow(CompactedError);
  expect(await store.get("/a", { revision: atRound })).toBeDefined();
  for (const compactor of compactors) await compactor.stop();
  await store.close();
});

test("startSharedCompactor() never compacts with an interval of 0", async () => {
  const clock = new VirtualClock();
  const store = createMemoryStore({ clock });
  const base = await put(store, "/a", "1");
  const compactor = startSharedCompactor({ store, clock, log: silentLogger }, { intervalMs: 0 });
  await clock.advance(10_000_000);
  expect(await store.currentRevision()).toBe(base);
  await compactor.stop();
  await store.close();
});
