// The conformance suite's property test: random histories of transactions and compactions are played to a store and to a
// model so naive that it is evidently right (a full copy of all keys for each revision), and every answer is compared.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CompactedError, prefixEnd, type Store, type StoreEvent, type Transaction } from "./store.ts";
import { bytes, line, newPrefix, record, text, type WithStore } from "./testsuite-kit.ts";

interface Entry {
  readonly value: string;
  readonly created: number;
  readonly modified: number;
  readonly version: number;
}

type State = ReadonlyMap<string, Entry>;

/** Revisions are relative to where the store began; index 0 is that. */
class Model {
  readonly states: State[] = [new Map()];
  /** What happened at each revision, as the lines of testsuite-kit.ts. */
  readonly changes: string[][] = [[]];
  compacted = 0;

  get revision(): number {
    return this.states.length - 1;
  }

  state(revision = this.revision): State {
    return this.states[revision] ?? new Map();
  }

  /** Returns the keys' entries where a condition fails. */
  apply(conditions: readonly { key: string; modified: number }[], writes: readonly Write[]): (Entry | undefined)[] | undefined {
    const now = this.state();
    if (conditions.some((c) => (now.get(c.key)?.modified ?? 0) !== c.modified)) return conditions.map((c) => now.get(c.key));
    const next = new Map(now);
    const lines: string[] = [];
    const at = this.revision + 1;
    for (const { key, value } of writes) {
      const old = now.get(key);
      const was = old ? ` was ${old.modified}=${old.value}` : "";
      if (value !== undefined) {
        next.set(key, { value, created: old?.created ?? at, modified: at, version: (old?.version ?? 0) + 1 });
        lines.push(`put ${key}@${at}=${value}${was}`);
      } else if (next.delete(key)) lines.push(`delete ${key}@${at}${was}`);
    }
    if (lines.length > 0) {
      this.states.push(next);
      this.changes.push(lines);
    }
    return undefined;
  }
}

interface Write {
  readonly key: string;
  /** Undefined: a delete. */
  readonly value: string | undefined;
}

type Step =
  | { readonly do: "write"; readonly writes: readonly Write[]; readonly conditions: readonly string[]; readonly stale: boolean }
  | { readonly do: "compact" | "watch" | "read"; readonly back: number; readonly limit: number; readonly from: string };

const key = fc.constantFrom("a", "b", "b/c", "d", "e");
const write = fc.record({ key, value: fc.option(fc.constantFrom("x", "y", "z"), { nil: undefined, freq: 2 }) });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      writes: fc.uniqueArray(write, { maxLength: 3, selector: (w) => w.key }),
      conditions: fc.uniqueArray(key, { maxLength: 2 }),
      stale: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("read" as const, "read" as const, "watch" as const, "compact" as const),
      back: fc.nat(12),
      limit: fc.integer({ min: 1, max: 6 }),
      from: fc.constantFrom("", "b", "d"),
    }),
  },
);

export function testModel(given: WithStore): void {
  describe("any history", () => {
    test(
      "reads, conditions and watches agree with a naive model",
      given(async ({ store }) => {
        const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => play(store, steps));
        await fc.assert(property, { numRuns: 60 });
      }),
    );
  });
}

interface Played {
  readonly store: Store;
  readonly model: Model;
  readonly prefix: string;
  readonly base: number;
  readonly watches: { readonly after: number; readonly recording: ReturnType<typeof record> }[];
}

async function play(store: Store, steps: readonly Step[]): Promise<void> {
  const context: Played = { store, model: new Model(), prefix: newPrefix(), base: await store.currentRevision(), watches: [] };
  const { model, base, prefix, watches } = context;
  for (const s of steps) {
    if (s.do === "write") await playWrite(context, s);
    else if (s.do === "read") await playRead(context, s);
    else if (s.do === "compact") await playCompact(context, Math.max(0, model.revision - s.back));
    else {
      const after = Math.max(model.compacted, model.revision - s.back);
      watches.push({ after, recording: record(store, prefix, base + after) });
      // Begun before the next compaction may take its past away.
      await watches.at(-1)?.recording.reached(base + model.revision);
    }
  }
  expect(await store.currentRevision()).toBe(base + model.revision);
  for (const { after, recording } of watches) {
    await recording.reached(base + model.revision);
    expect(recording.errors).toEqual([]);
    // At the compacted revision itself a `previous` may be gone; after it none is.
    const delivered = recording.events().map((event: StoreEvent) => line(event, prefix, base));
    expect(delivered).toEqual(model.changes.slice(after + 1).flat());
    recording.cancel();
  }
}

async function playWrite({ store, model, prefix, base }: Played, s: Extract<Step, { do: "write" }>): Promise<void> {
  const conditions = s.conditions.map((k) => ({ key: k, modified: (model.state().get(k)?.modified ?? 0) + (s.stale ? 1 : 0) }));
  const transaction: Transaction = {
    conditions: conditions.map((c) => ({ key: prefix + c.key, modRevision: c.modified && base + c.modified })),
    operations: s.writes.map((w) =>
      w.value === undefined
        ? { type: "delete" as const, key: prefix + w.key }
        : { type: "put" as const, key: prefix + w.key, value: bytes(w.value) },
    ),
  };
  const before = model.state();
  const current = model.apply(conditions, s.writes);
  const result = await store.transact(transaction);
  expect(result.succeeded).toBe(current === undefined);
  expect(result.revision).toBe(base + model.revision);
  if (!result.succeeded) expect(result.current.map((kv) => kv && entryOf(kv, base))).toEqual(current);
  else for (const [i, w] of s.writes.entries()) if (w.value === undefined) expect(result.existed[i]).toBe(before.has(w.key));
}

async function playRead({ store, model, prefix, base }: Played, s: Extract<Step, { do: "read" }> | Step): Promise<void> {
  if (s.do === "write") return;
  const revision = Math.max(0, model.revision - s.back);
  const options = { start: prefix + s.from, end: prefixEnd(prefix), limit: s.limit, revision: base + revision };
  if (revision < model.compacted) {
    await expect(store.range(options)).rejects.toThrow(CompactedError);
    return;
  }
  const expected = [...model.state(revision)].filter(([k]) => k >= s.from).sort(([a], [b]) => (a < b ? -1 : 1));
  const result = await store.range(options);
  expect(result.items.map((kv) => [kv.key.slice(prefix.length), entryOf(kv, base)])).toEqual(expected.slice(0, s.limit));
  expect([result.count, result.revision]).toEqual([expected.length, base + revision]);
  for (const k of ["a", "b/c"]) {
    const kv = await store.get(prefix + k, { revision: base + revision });
    expect(kv && entryOf(kv, base)).toEqual(model.state(revision).get(k));
  }
}

async function playCompact({ store, model, base }: Played, revision: number): Promise<void> {
  if (revision <= model.compacted) return;
  await store.compact(base + revision);
  model.compacted = revision;
}

function entryOf(kv: { value: Uint8Array; createRevision: number; modRevision: number; version: number }, base: number): Entry {
  return { value: text(kv.value) ?? "", created: kv.createRevision - base, modified: kv.modRevision - base, version: kv.version };
}
