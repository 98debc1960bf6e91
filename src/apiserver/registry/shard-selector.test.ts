import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { isInShard, parseShardSelector, shardSelectorText } from "./shard-selector.ts";

const zero = "0x0000000000000000";
const half = "0x8000000000000000";
const end = "0x10000000000000000";
const range = (from: string, to: string, field = "object.metadata.uid"): string => `shardRange(${field}, '${from}', '${to}')`;

describe("parseShardSelector()", () => {
  it("reads ranges of one field, and tells them as they were written", () => {
    const text = `${range(zero, "0x00000000000000ff")} || ${range(half, end)}`;
    expect(shardSelectorText(parseShardSelector(` ${text} `))).toBe(text);
    expect(shardSelectorText(parseShardSelector(`shardRange(object.metadata.namespace,"${zero}","${half}")`))).toBe(
      range(zero, half, "object.metadata.namespace"),
    );
  });

  it.each([
    [" ", "empty shard selector is not allowed; omit the parameter for unfiltered lists"],
    ["true", "unexpected expression kind 5; expected shardRange() call or || operator"],
    [`${range(zero, half)} && ${range(half, end)}`, 'unsupported function "_&&_"; only shardRange() and || are allowed'],
    ["shardRange(object.metadata.uid, '0x0')", "shardRange() requires exactly 3 arguments, got 2"],
    [
      range(zero, half, "object.metadata.name"),
      'unsupported field path "object.metadata.name"; supported: object.metadata.uid, object.metadata.namespace',
    ],
    [range(zero, half, "'uid'"), "shardRange() first argument: expected field path (e.g. object.metadata.uid), got expression kind 5"],
    ["shardRange(object.metadata.uid, 0, 1)", "hexStart must be a string literal, got int64"],
    [range("00", half), `hexStart must have '0x' prefix, got "00"`],
    [range(zero, "0x"), "hexEnd: hex value is required after '0x'"],
    [range(zero, "0x123456789012345678"), 'hexEnd: hex value too long (18 chars, max 17): "123456789012345678"'],
    [range(zero, "0x80000000000000AB"), 'hexEnd: invalid hex character "A" in "0x80000000000000AB"'],
    [range(zero, "0x20000000000000000"), `hexEnd: 17-digit hex value must be '0x10000000000000000' (2^64), got "0x20000000000000000"`],
    [range("0xff", half), 'hexStart must be a 0x-prefixed 16-digit hex value, got "0xff" (did you mean "0x00000000000000ff"?)'],
    [range(half, half), `shard range start ${half} must be less than end ${half}`],
    [
      `${range(zero, half)} || ${range(half, end, "object.metadata.namespace")}`,
      'all shard ranges must use the same field, got "object.metadata.uid" and "object.metadata.namespace"',
    ],
  ])("refuses %s", (text, problem) => {
    expect(() => parseShardSelector(text)).toThrow(expect.objectContaining({ code: 500, message: `invalid shard selector: ${problem}` }));
  });

  it("says where an expression is none", () => {
    expect(() => parseShardSelector("shardRange(")).toThrow("invalid shard selector: CEL parse error: Syntax error:");
  });
});

describe("isInShard()", () => {
  it("finds each value in one of the shards that cover all hashes", () => {
    const bounds = [zero, "0x5555555555555555", "0xaaaaaaaaaaaaaaaa", end];
    const shards = bounds.slice(1).map((to, i) => parseShardSelector(range(bounds[i] ?? "", to)));
    const counts = [0, 0, 0];
    for (let i = 0; i < 300; i++) {
      const uid = createHash("sha1").update(String(i)).digest("hex");
      const inside = shards.flatMap((shard, s) => (isInShard(shard, uid) ? [s] : []));
      expect(inside).toHaveLength(1);
      for (const shard of inside) counts[shard] = (counts[shard] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(50);
  });

  it("has a range begin with its first hash and end before its last", () => {
    const hash = "0xaf63dc4c8601ec8c"; // of "a"
    expect(isInShard(parseShardSelector(range(hash, "0xaf63dc4c8601ec8d")), "a")).toBe(true);
    expect(isInShard(parseShardSelector(range(zero, hash)), "a")).toBe(false);
  });
});
