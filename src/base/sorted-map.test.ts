import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SortedMap } from "./sorted-map.ts";

describe("SortedMap", () => {
  test("agrees with a sorted array through random insertions, deletions and range reads", () => {
    const key = fc.integer({ min: 0, max: 3000 }).map((n) => `k${n}`);
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.boolean()), { minLength: 2000, maxLength: 4000 }), key, key, (steps, start, end) => {
        const map = new SortedMap<string>();
        const model = new Map<string, string>();
        for (const [i, [k, remove]] of steps.entries()) {
          if (remove && i % 3 === 0) expect(map.delete(k)).toBe(model.delete(k));
          else {
            map.set(k, `${k}=${i}`);
            model.set(k, `${k}=${i}`);
          }
        }
        const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
        const inRange = sorted.filter(([k]) => k >= start && k < end).map(([, v]) => v);
        expect(map.size).toBe(model.size);
        expect([...map.between(start, end)]).toEqual(inRange);
        expect(map.countBetween(start, end)).toBe(inRange.length);
        expect(map.first()).toBe(sorted[0]?.[1]);
        for (const [k, v] of sorted) expect(map.get(k)).toBe(v);
        expect(map.get("absent")).toBeUndefined();
        const rebuilt = SortedMap.fromSorted(sorted);
        expect([...rebuilt.between("", "z")]).toEqual(sorted.map(([, v]) => v));
      }),
      { numRuns: 20 },
    );
  });

  test("an empty map has nothing to give", () => {
    const map = new SortedMap<number>();
    expect([map.get("a"), map.delete("a"), map.first(), map.size, map.countBetween("", "z")]).toEqual([undefined, false, undefined, 0, 0]);
    expect([...map.between("", "z")]).toEqual([]);
  });
});
