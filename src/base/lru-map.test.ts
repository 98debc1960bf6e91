import { expect, test } from "vitest";
import { LruMap } from "./lru-map.ts";

test("forgets the least recently used entries beyond its number", () => {
  const map = new LruMap<string, number>(2);
  map.set("a", 1);
  map.set("b", 2);
  map.get("a");
  map.set("c", 3);
  expect([map.get("a"), map.get("b"), map.get("c"), map.size]).toEqual([1, undefined, 3, 2]);
});

test("forgets the least recently used entries beyond its weight, though never the newest", () => {
  const map = new LruMap<string, string>(100, { maxWeight: 10, weigh: (key, value) => key.length + value.length });
  map.set("a", "1234");
  map.set("b", "1234");
  expect(map.get("a")).toBe("1234");
  map.set("c", "1");
  expect([map.get("a"), map.get("b"), map.get("c")]).toEqual(["1234", undefined, "1"]);
  map.set("c", "12345678901234567890");
  expect([map.size, map.get("c")]).toEqual([1, "12345678901234567890"]);
  map.delete("c");
  map.set("a", "1234");
  map.set("b", "1234");
  expect(map.size).toBe(2);
});
