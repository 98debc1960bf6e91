import { describe, expect, it } from "vitest";
import { applyMergePatch, checkMergePatch } from "./merge-patch.ts";

describe("applyMergePatch()", () => {
  // The examples of RFC 7386, appendix A, that start from an object.
  it.each([
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
    [{}, { a: [{ b: null }, null] }, { a: [{}, null] }],
  ])("%j with %j is %j", (document, patch, expected) => {
    expect(applyMergePatch(document, patch)).toEqual(expected);
  });

  it("returns the same object when nothing changes, and shares what is untouched", () => {
    const document = { a: { b: "c" }, d: { e: 1 } };
    expect(applyMergePatch(document, { a: { b: "c" }, x: null })).toBe(document);
    const changed = applyMergePatch(document, { a: { b: "x" } });
    expect(changed.d).toBe(document.d);
    expect(document.a.b).toBe("c");
  });
});

describe("checkMergePatch()", () => {
  it("refuses everything but objects", () => {
    expect(() => checkMergePatch([])).toThrow(
      "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
    );
    expect(() => checkMergePatch("x")).toThrow(
      "error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}",
    );
    expect(() => checkMergePatch(null)).toThrow("Invalid JSON Patch");
  });
});
