import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { base64Problem, normalizeBase64 } from "./base64.ts";

describe("normalizeBase64()", () => {
  it("accepts what an encoder writes, with or without line breaks", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const text = Buffer.from(bytes).toString("base64");
        expect(normalizeBase64(text)).toBe(text);
        expect(normalizeBase64(text.replace(/.{5}/g, "$&\r\n"))).toBe(text);
      }),
    );
  });

  it("clears unused bits", () => {
    expect(normalizeBase64("YR==")).toBe("YQ==");
    expect(normalizeBase64("YWJ=")).toBe("YWI=");
  });

  it.each([
    ["abc", "illegal base64 data at input byte 0"],
    ["YWJjd", "illegal base64 data at input byte 4"],
    ["a b=", "illegal base64 data at input byte 1"],
    ["=", "illegal base64 data at input byte 0"],
    ["YW-_", "illegal base64 data at input byte 2"],
  ])("refuses %j with Go's words", (text, problem) => {
    expect(normalizeBase64(text)).toBeUndefined();
    expect(base64Problem(text)).toBe(problem);
  });
});
