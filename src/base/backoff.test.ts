import { describe, expect, it } from "vitest";
import { Backoff, backoffDelay, KeyedBackoff } from "./backoff.ts";
import { deepFreeze } from "./deep-freeze.ts";
import { LruMap } from "./lru-map.ts";

describe("backoffDelay()", () => {
  it("doubles up to a limit, even after very many failures", () => {
    const options = { baseMs: 5, maxMs: 1_000_000 };
    expect([0, 1, 2, 10, 18, 5000].map((n) => backoffDelay(n, options))).toEqual([5, 10, 20, 5120, 1_000_000, 1_000_000]);
  });

  it("is stretched by jitter", () => {
    expect(backoffDelay(0, { baseMs: 100, maxMs: 1000, jitter: 0.5 }, 0.5)).toBe(125);
  });
});

describe("Backoff and KeyedBackoff", () => {
  it("count failures until they are told to forget", () => {
    const one = new Backoff({ baseMs: 1, maxMs: 100, factor: 3 });
    expect([one.next(), one.next(), one.next()]).toEqual([1, 3, 9]);
    one.reset();
    expect(one.next()).toBe(1);
    const keyed = new KeyedBackoff<string>({ baseMs: 1, maxMs: 100 });
    expect([keyed.next("a"), keyed.next("a"), keyed.next("b"), keyed.failures("a")]).toEqual([1, 2, 1, 2]);
    keyed.forget("a");
    expect(keyed.failures("a")).toBe(0);
  });
});

describe("LruMap", () => {
  it("forgets what was used longest ago", () => {
    const map = new LruMap<string, number>(2);
    map.set("a", 1);
    map.set("b", 2);
    expect(map.get("a")).toBe(1);
    map.set("c", 3);
    expect([map.get("a"), map.get("b"), map.get("c"), map.size]).toEqual([1, undefined, 3, 2]);
  });
});

describe("deepFreeze()", () => {
  it("freezes to the leaves", () => {
    const value = deepFreeze({ a: [{ b: 1 }] });
    expect(() => {
      (value.a[0] as { b: number }).b = 2;
    }).toThrow(TypeError);
  });
});
