import fc from "fast-check";
import { expect, it } from "vitest";
import { fnv64Hex } from "./fnv64.ts";

it("gives the published hashes", () => {
  expect(["", "a", "foobar"].map(fnv64Hex)).toEqual(["cbf29ce484222325", "af63dc4c8601ec8c", "85944171f73967e8"]);
});

it("is what numbers of any size reckon", () => {
  const reckoned = (text: string): bigint =>
    Buffer.from(text).reduce((hash, byte) => BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n), 0xcbf29ce484222325n);
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => fnv64Hex(text) === reckoned(text).toString(16).padStart(16, "0")));
});
