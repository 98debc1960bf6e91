// The process that the crash test kills: 64 writers on an lmdb store. Each writes a pair of keys in one transaction, again
// and again, and reports every acknowledged write on standard output as "writer number revision". History is compacted
// meanwhile, so that the kill meets that too. Usage: crash-writer DIR
import { writeSync } from "node:fs";
import { realClock } from "../../src/base/clock.ts";
import { createLmdbStore } from "../../src/storage/lmdb.ts";
import type { Store } from "../../src/storage/store.ts";

const dir = process.argv[2];
if (!dir) throw new Error("usage: crash-writer DIR");

const keptRevisions = 400;
const store = await createLmdbStore({ dir, clock: realClock });
await Promise.all([...Array.from({ length: 64 }, (_, writer) => write(store, writer)), compact(store)]);

async function write(to: Store, writer: number): Promise<void> {
  const [left, right] = [`/left/${writer}`, `/right/${writer}`];
  const filler = "x".repeat(200 + writer * 30);
  for (;;) {
    const kv = await to.get(left);
    const number = kv ? Number.parseInt(new TextDecoder().decode(kv.value), 10) + 1 : 1;
    const value = new TextEncoder().encode(`${number} ${filler}`);
    const result = await to.transact({
      conditions: [{ key: left, modRevision: kv?.modRevision ?? 0 }],
      operations: [
        { type: "put", key: left, value },
        { type: "put", key: right, value },
      ],
    });
    if (!result.succeeded) throw new Error(`${left} was written by someone else`);
    writeSync(1, `${writer} ${number} ${result.revision}\n`);
  }
}

async function compact(of: Store): Promise<void> {
  for (let last = 0; ; ) {
    await new Promise((resolve) => setImmediate(resolve));
    const revision = (await of.currentRevision()) - keptRevisions;
    if (revision < last + 100) continue;
    last = revision;
    // The process before may have got further.
    await of.compact(revision).catch((error: Error) => {
      if (error.name !== "CompactedError") throw error;
    });
  }
}
