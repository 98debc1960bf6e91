import { describe, expect, it } from "vitest";
import { parseQuery } from "./parse-query.ts";

describe("parseQuery()", () => {
  it.each([
    ["limit=5&watch=1", "limit=5&watch=1"],
    ["labelSelector=a%3Db", "labelSelector=a%3Db"],
    ["limit=%", ""],
    ["limit=%zz&watch=1", "watch=1"],
    ["limit=1;watch=1&a=b", "a=b"],
    ["a=%4", ""],
  ])("reads %s without the pairs that Go passes over", (text, expected) => {
    expect(parseQuery(text).toString()).toBe(expected);
  });
});
