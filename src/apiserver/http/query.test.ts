import { describe, expect, test } from "vitest";
import { parseQuery } from "./query.ts";

describe("parseQuery()", () => {
  const pairs = (text: string): unknown => [...parseQuery(text)];

  test("passes over pairs that Go cannot read, and keeps the others", () => {
    expect(pairs("limit=1;continue=x&watch=true")).toEqual([["watch", "true"]]);
    expect(pairs("continue=%%%&limit=2")).toEqual([["limit", "2"]]);
    expect(pairs("a=%zz")).toEqual([]);
    expect(pairs("a=%2")).toEqual([]);
    expect(pairs("%=1&b=2")).toEqual([["b", "2"]]);
  });

  test("reads escapes, plus signs, and names without a value", () => {
    expect(pairs("labelSelector=a%3Db+c&watch&x=%25&&y=%3B")).toEqual([
      ["labelSelector", "a=b c"],
      ["watch", ""],
      ["x", "%"],
      ["y", ";"],
    ]);
    expect(pairs("")).toEqual([]);
  });

  test("keeps a second question mark in the name", () => {
    expect(pairs("?dryRun=All&a=b")).toEqual([
      ["?dryRun", "All"],
      ["a", "b"],
    ]);
  });
});
