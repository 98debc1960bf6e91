import { describe, expect, it } from "vitest";
import { equalAsTyped, semanticallyEqual } from "./equality.ts";

describe("semanticallyEqual()", () => {
  it("takes absent, undefined, null and empty for the same", () => {
    expect(semanticallyEqual({ a: 1 }, { a: 1, b: undefined, c: null, d: [], e: {} })).toBe(true);
    expect(semanticallyEqual({ a: 1, b: [] }, { a: 1 })).toBe(true);
    expect(semanticallyEqual(undefined, {})).toBe(true);
  });

  it("does not take zero, false or an empty text for absent", () => {
    for (const value of [0, false, ""]) expect(semanticallyEqual({ a: value }, {})).toBe(false);
  });

  it("compares lists in order and objects by field", () => {
    expect(semanticallyEqual([1, 2], [2, 1])).toBe(false);
    expect(semanticallyEqual([1], [1, 2])).toBe(false);
    expect(semanticallyEqual({ a: { b: [{ c: 1 }] } }, { a: { b: [{ c: 1 }] } })).toBe(true);
    expect(semanticallyEqual({ a: { b: [{ c: 1 }] } }, { a: { b: [{ c: 2 }] } })).toBe(false);
    expect(semanticallyEqual({ 0: "a" }, ["a"])).toBe(false);
  });
});

describe("equalAsTyped()", () => {
  it("takes empty lists for absent, and empty objects for what they are", () => {
    expect(equalAsTyped({ a: 1, b: [] }, { a: 1, c: undefined })).toBe(true);
    expect(equalAsTyped({ a: {} }, {})).toBe(false);
    expect(equalAsTyped({ a: { b: {} } }, { a: { b: {} } })).toBe(true);
    expect(equalAsTyped({ a: [{}] }, { a: [{ b: {} }] })).toBe(false);
  });
});
