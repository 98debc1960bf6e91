// Reads and writes of the embedded stores with 100,000 keys of 1 KB, the size of a small pod. For lmdb every write is
// durable; "64 at once" is what group commit makes of 64 callers that each wait for their own.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, bench, describe } from "vitest";
import { realClock } from "../base/clock.ts";
import { createLmdbStore } from "./lmdb.ts";
import { createMemoryStore } from "./memory.ts";
import type { Operation, Store } from "./store.ts";

const keys = 100_000;
const value = new Uint8Array(1024).fill(120);

const keyOf = (i: number): string => `/registry/pods/namespace-${i % 100}/pod-${i % keys}`;
const putOf = (i: number): Operation => ({ type: "put", key: keyOf(i), value });

async function fill(store: Store): Promise<Store> {
  for (let i = 0; i < keys; i += 500) {
    await store.transact({ conditions: [], operations: Array.from({ length: 500 }, (_, j) => putOf(i + j)) });
  }
  return store;
}

function benchStore(name: string, store: Store): void {
  describe(name, () => {
    let next = 0;
    const write = async (): Promise<void> => {
      await store.transact({ conditions: [], operations: [putOf(next++ * 7919)] });
    };
    bench("1 write", write);
    bench("64 writes at once", async () => {
      await Promise.all(Array.from({ length: 64 }, write));
    });
    bench("1 get", async () => {
      await store.get(keyOf(next++ * 7919));
    });
    bench("range of 1,000 keys", async () => {
      await store.range({ start: "/registry/pods/namespace-42/", end: "/registry/pods/namespace-420" });
    });
    bench("count of 100,000 keys", async () => {
      await store.range({ start: "/registry/pods/", end: "/registry/pods0", limit: 1 });
    });
  });
}

const dir = mkdtempSync(join(tmpdir(), "coracle-bench-"));
const memory = await fill(createMemoryStore());
let lmdb = await fill(await createLmdbStore({ dir, clock: realClock }));

benchStore("memory store", memory);
benchStore("lmdb store", lmdb);

describe("lmdb store, closed and opened again", () => {
  bench(
    "100,000 keys and their history",
    async () => {
      await lmdb.close();
      lmdb = await createLmdbStore({ dir, clock: realClock });
    },
    { iterations: 3, time: 0, warmupIterations: 0, warmupTime: 0 },
  );
});

afterAll(async () => {
  await memory.close();
  await lmdb.close();
  rmSync(dir, { recursive: true });
});
