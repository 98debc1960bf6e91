import { describe, expect, it } from "vitest";
import { StatusError } from "../meta/status-error.ts";
import { applyJsonPatch, checkJsonPatch, type JsonPatchOperation, unknownJsonPatchFields } from "./json-patch.ts";

const document = Object.freeze({ a: Object.freeze({ x: "1", y: "2" }), list: Object.freeze([1, 2, 3]) });
const patched = (...patch: JsonPatchOperation[]): unknown => applyJsonPatch(document, patch);

function cause(...patch: JsonPatchOperation[]): string {
  try {
    patched(...patch);
  } catch (error) {
    if (error instanceof StatusError && error.code === 422 && error.cause instanceof Error) return error.cause.message;
    throw error;
  }
  throw new Error("the patch was accepted");
}

describe("applyJsonPatch()", () => {
  it("adds, replaces and removes", () => {
    expect(
      patched({ op: "add", path: "/a/z", value: "3" }, { op: "replace", path: "/a/x", value: "9" }, { op: "remove", path: "/a/y" }),
    ).toEqual({ a: { x: "9", z: "3" }, list: [1, 2, 3] });
  });

  it("inserts into lists, appends with - and counts negative indices from the end", () => {
    expect(patched({ op: "add", path: "/list/1", value: 9 })).toMatchObject({ list: [1, 9, 2, 3] });
    expect(patched({ op: "add", path: "/list/-", value: 9 })).toMatchObject({ list: [1, 2, 3, 9] });
    expect(patched({ op: "add", path: "/list/3", value: 9 })).toMatchObject({ list: [1, 2, 3, 9] });
    expect(patched({ op: "remove", path: "/list/-1" })).toMatchObject({ list: [1, 2] });
    expect(patched({ op: "replace", path: "/list/0", value: null })).toMatchObject({ list: [null, 2, 3] });
  });

  it("moves and copies", () => {
    expect(patched({ op: "move", from: "/a/x", path: "/b" })).toEqual({ a: { y: "2" }, b: "1", list: [1, 2, 3] });
    expect(
      patched(
        { op: "copy", from: "/a", path: "/b" },
        { op: "replace", path: "/a/x", value: "7" },
        { op: "replace", path: "/b/y", value: "8" },
      ),
    ).toMatchObject({ a: { x: "7", y: "2" }, b: { x: "1", y: "8" } });
    expect(
      patched({ op: "add", path: "/a/n", value: 1 }, { op: "copy", from: "/a", path: "/b" }, { op: "remove", path: "/b/n" }),
    ).toMatchObject({ a: { n: 1 }, b: { x: "1" } });
  });

  it("understands ~0 and ~1 and replaces absent keys", () => {
    expect(patched({ op: "add", path: "/a/m~1n~0o", value: 1 })).toMatchObject({ a: { "m/n~o": 1 } });
    expect(patched({ op: "replace", path: "/new", value: 1 })).toMatchObject({ new: 1 });
    expect(patched({ op: "replace", path: "", value: { b: 1 } })).toEqual({ b: 1 });
  });

  it("tests values whatever the order of keys", () => {
    expect(patched({ op: "test", path: "/a", value: { y: "2", x: "1" } })).toEqual(document);
    expect(patched({ op: "test", path: "/none", value: null })).toEqual(document);
    expect(cause({ op: "test", path: "/a/x", value: "2" })).toBe("testing value /a/x failed: test failed");
  });

  it("refuses what does not apply with a 422 that tells nothing, and changes nothing", () => {
    expect(() => patched({ op: "remove", path: "/none" })).toThrow("the server rejected our request due to an error in our request");
    expect(cause({ op: "remove", path: "/a/none" })).toContain("Unable to remove nonexistent key: none");
    expect(cause({ op: "add", path: "/none/x", value: 1 })).toContain("doc is missing path");
    expect(cause({ op: "add", path: "/list/5", value: 1 })).toBe(
      "error in add for path: '/list/5': Unable to access invalid index: 5: invalid index referenced",
    );
    expect(cause({ op: "add", path: "/list/x", value: 1 })).toContain("value was not a proper array index: 'x'");
    expect(cause({ op: "replace", path: "/list/-", value: 1 })).toBe(
      "replace operation does not apply: doc is missing key: /list/-: missing value",
    );
    expect(cause({ op: "move", from: "/none/x", path: "/a" })).toContain("doc is missing from path: /none/x");
    expect(cause({ op: "add", path: "/a/x/y", value: 1 })).toContain("doc is missing path");
    expect(cause({ op: "add", path: "/toString/x", value: 1 })).toContain("doc is missing path");
    expect(cause({ op: "frobnicate", path: "/a" })).toBe("Unexpected kind: frobnicate");
    expect(cause({ op: "add", value: 1 })).toContain("failed to decode path");
  });

  it("refuses copies that grow without end, and results that nest too deep", () => {
    const doubling = Array.from({ length: 40 }, (_, i) => ({ op: "copy", from: "/a", path: `/a/k${i}` }));
    expect(cause(...doubling)).toMatch(
      /^Unable to complete the copy, the accumulated size increase of copy is \d+, exceeding the limit 3145728$/,
    );
    const deeper = Array.from({ length: 600 }, () => ({ op: "copy", from: "/a", path: "/a/k" }));
    expect(cause(...deeper)).toMatch(/nests too deep$/);
    const longer = Array.from({ length: 600 }, (_, i) => ({ op: "add", path: "/a".repeat(i + 1), value: {} }));
    expect(cause(...longer)).toBe("the result nests too deep");
    expect(patched(...longer.slice(0, 400))).toHaveProperty("a.a.a");
  });

  it("says what is wrong with operations that nobody has checked", () => {
    const why = (operation: unknown): unknown => {
      try {
        return applyJsonPatch({ a: "b" }, [operation] as never);
      } catch (error) {
        return ((error as Error).cause as Error).message;
      }
    };
    expect([null, {}, { op: 5, path: "/a" }].map(why)).toEqual(Array(3).fill("Unexpected kind: unknown"));
    expect(why({ op: "frob", path: "/a" })).toBe("Unexpected kind: frob");
    expect(why({ op: "move", path: "/c" })).toBe("move operation failed to decode from: operation, missing from field: missing value");
    expect(why({ op: "copy", from: 3, path: "/c" })).toBe(
      "copy operation failed to decode from: json: cannot unmarshal number into Go value of type string",
    );
  });

  it("treats __proto__ as an ordinary key", () => {
    const result = patched({ op: "add", path: "/a/__proto__", value: { polluted: true } }) as { a: object };
    expect(Object.hasOwn(result.a, "__proto__")).toBe(true);
    expect(Object.getPrototypeOf(result.a)).toBe(Object.prototype);
  });
});

describe("checkJsonPatch()", () => {
  it("refuses what is no list of operations, and too many of them", () => {
    expect(() => checkJsonPatch({})).toThrow("json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp");
    expect(() => checkJsonPatch(["x"])).toThrow("json: cannot unmarshal string into Go value of type handlers.jsonPatchOp");
    const many = Array.from({ length: 10_001 }, () => ({ op: "test", path: "" }));
    expect(() => checkJsonPatch(many)).toThrow(
      "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001",
    );
    expect(checkJsonPatch(many.slice(1))).toHaveLength(10_000);
  });

  it("is accompanied by a report of unknown fields", () => {
    const patch = checkJsonPatch([{ op: "add", path: "/a", value: 1, foo: 2 }]);
    expect(unknownJsonPatchFields(patch)).toEqual(["[0].foo"]);
  });
});
