// kill -9 at any instant must cost nothing that was acknowledged. A process with 64 concurrent writers on one lmdb store is
// killed again and again, each time after another number of writes; after each kill the store is opened here and looked at.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { realClock } from "../../src/base/clock.ts";
import { createLmdbStore } from "../../src/storage/lmdb.ts";
import { CompactedError, type Store, type StoreEvent } from "../../src/storage/store.ts";
import { record, text } from "../../src/storage/testsuite-kit.ts";

const rounds = 50;
const writers = 64;

/** Of one acknowledged write. */
interface Acknowledged {
  readonly number: number;
  readonly revision: number;
}

let dir: string;
let program: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "coracle-crash-"));
  // Bundled once: fifty processes start in less time than one would take to translate the sources.
  program = join(dir, "crash-writer.mjs");
  const entry = join(import.meta.dirname, "crash-writer.ts");
  const lmdb = import.meta.resolve("lmdb");
  await build({ entryPoints: [entry], outfile: program, bundle: true, platform: "node", format: "esm", external: [lmdb], alias: { lmdb } });
});

afterAll(async () => {
  await rm(dir, { recursive: true });
});

test(`the lmdb store loses nothing and tears nothing in ${rounds} kills amid ${writers} writers`, async () => {
  const storeDir = join(dir, "store");
  const newest = new Map<number, Acknowledged>();
  let total = 0;
  let revisionBefore = 0;
  for (let round = 0; round < rounds; round++) {
    // From the first write of a process to some thousands, scattered.
    const acknowledged = await writeAndKill(storeDir, 1 + ((round * 397) % 1500));
    for (const [writer, last] of acknowledged.newest) newest.set(writer, last);
    total += acknowledged.count;
    const store = await createLmdbStore({ dir: storeDir, clock: realClock });
    try {
      await expectWrites(store, newest);
      const revision = await expectHistory(store);
      expect(revision).toBeGreaterThanOrEqual(Math.max(revisionBefore, ...[...newest.values()].map((a) => a.revision)));
      revisionBefore = revision;
    } finally {
      await store.close();
    }
  }
  expect(newest.size).toBe(writers);
  expect(total).toBeGreaterThan(rounds * 100);
});

/** Runs the program until so many writes have been acknowledged; returns what it reported until it was dead. */
async function writeAndKill(storeDir: string, killAfter: number): Promise<{ newest: Map<number, Acknowledged>; count: number }> {
  const child: ChildProcess = spawn(process.execPath, [program, storeDir], { stdio: ["ignore", "pipe", "pipe"] });
  const newest = new Map<number, Acknowledged>();
  let count = 0;
  let rest = "";
  let complaint = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  child.stdout?.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [writer = 0, number = 0, revision = 0] = line.split(" ").map(Number);
      newest.set(writer, { number, revision });
      count++;
    }
    if (count >= killAfter) child.kill("SIGKILL");
  });
  const signal = await new Promise<NodeJS.Signals | null>((resolve) => child.once("close", (_, by) => resolve(by)));
  if (signal !== "SIGKILL") throw new Error(`the writing process ended by itself: ${complaint}`);
  return { newest, count };
}

/**
 * Every writer's pair is whole, and at its last acknowledged number or the one after, which was under way. What was found is
 * what the next round begins with, and must not be lost either.
 */
async function expectWrites(store: Store, newest: Map<number, Acknowledged>): Promise<void> {
  for (const [writer, last] of newest) {
    const left = await store.get(`/left/${writer}`);
    const right = await store.get(`/right/${writer}`);
    const number = numberIn(left?.value);
    expect(number - last.number).toBeGreaterThanOrEqual(0);
    expect(number - last.number).toBeLessThanOrEqual(1);
    if (number === last.number) expect(left?.modRevision).toBe(last.revision);
    expect(right?.modRevision).toBe(left?.modRevision);
    expect(text(left?.value)).toBe(`${number} ${"x".repeat(200 + writer * 30)}`);
    expect(text(right?.value)).toBe(text(left?.value));
    newest.set(writer, { number, revision: left?.modRevision ?? 0 });
  }
}

/** All revisions that have not been compacted are there, without gap, each with both keys of its pair. */
async function expectHistory(store: Store): Promise<number> {
  const revision = await store.currentRevision();
  const compacted = await store.get("/", { revision: 1 }).then(
    () => 1,
    (error: unknown) => (error instanceof CompactedError ? error.compactedRevision : Promise.reject(error)),
  );
  const recording = record(store, "/", compacted);
  await recording.reached(revision);
  recording.cancel();
  const events = recording.events();
  expect(events).toHaveLength(2 * (revision - compacted));
  for (const [i, event] of events.entries()) {
    expect(event.revision).toBe(compacted + 1 + (i >> 1));
    expectStep(event);
  }
  return revision;
}

/** Each write follows the one before. */
function expectStep({ kv, previous }: StoreEvent): void {
  const number = numberIn(kv?.value);
  expect(kv?.version).toBe(number);
  expect(numberIn(previous?.value)).toBe(number - 1);
}

function numberIn(value: Uint8Array | undefined): number {
  return value ? Number.parseInt(text(value) ?? "", 10) : 0;
}
