import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonNumber, parseJson, withPlainNumbers } from "./json-text.ts";
import { maxNesting } from "./nesting.ts";

describe("parseJson()", () => {
  it("agrees with JSON.parse", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const { value, duplicates } = parseJson(text);
        expect(withPlainNumbers(value)).toEqual(JSON.parse(text));
        expect(duplicates).toEqual([]);
      }),
    );
  });

  it("reports fields given twice by their paths, and lets the last one count", () => {
    expect(parseJson('{"metadata":{"name":"a","name":"b"},"list":[{"x":1},{"x":1,"x":2,"x":3}]}')).toMatchObject({
      value: { metadata: { name: "b" }, list: [{ x: 1 }, { x: 3 }] },
      duplicates: ["metadata.name", "list[1].x"],
    });
    expect(parseJson('{"a":"{\\"b\\":1,\\"b\\":2} \\\\","c":": \\"x\\":"}').duplicates).toEqual([]);
  });

  it("reports a hundred repeated fields at most", () => {
    const text = `{${Array.from({ length: 200 }, (_, i) => `"a${i}":1,"a${i}":2`).join(",")}}`;
    expect(parseJson(text).duplicates).toHaveLength(100);
  });

  it("refuses what nests deeper than the rest of the program follows, plain or not, whole or cut short", () => {
    const nested = (depth: number, inner: string): string => `${'{"a":['.repeat(depth / 2)}${inner}${"]}".repeat(depth / 2)}`;
    expect(parseJson(nested(maxNesting, "1")).duplicates).toEqual([]);
    expect(parseJson(nested(maxNesting, "1.5")).duplicates).toEqual([]);
    for (const text of [nested(maxNesting + 2, "1"), nested(maxNesting + 2, "1.5"), "[".repeat(300_000), nested(300_000, "")])
      expect(() => parseJson(text)).toThrow(expect.objectContaining({ name: "JsonSyntaxError", message: "exceeded max depth" }));
  });

  it("reads half of a surrogate pair as a replacement character", () => {
    expect(parseJson('{"a":"\\ud800","b":["x\\uDC00y"],"\\ud83d":"\\ud83d\\ude00"}').value).toEqual({
      a: "\ufffd",
      b: ["x\ufffdy"],
      "\ufffd": "\u{1f600}",
    });
  });

  it("keeps the text of numbers that are not plain integers", () => {
    expect(parseJson('{"a":2.0,"b":[1e1],"c":3}').value).toEqual({ a: new JsonNumber("2.0"), b: [new JsonNumber("1e1")], c: 3 });
    expect(parseJson('{"a":99999999999999999999}').value).toEqual({ a: new JsonNumber("99999999999999999999") });
    expect(parseJson('{"image":"nginx:1.25"}').value).toEqual({ image: "nginx:1.25" });
  });

  it("reads the largest int64 as a number that is one, too", () => {
    const read = (text: string): unknown => withPlainNumbers(parseJson(`{"a":${text}}`).value);
    const written = JSON.stringify(read("9223372036854775807"));
    expect(BigInt(/\d+/.exec(written)?.[0] ?? 0)).toBeLessThan(2n ** 63n);
    expect(read("9223372036854775807")).toEqual(JSON.parse(written));
    expect(read("9223372036854775808")).toEqual({ a: 2 ** 63 });
    expect(read("-9223372036854775808")).toEqual({ a: -(2 ** 63) });
  });

  it.each([
    ["", "unexpected end of JSON input"],
    ["{", "unexpected end of JSON input"],
    ['{"a":1', "unexpected end of JSON input"],
    ["nope", "invalid character 'o' in literal null (expecting 'u')"],
    ["{a:1}", "invalid character 'a' looking for beginning of object key string"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 "b":2}', "invalid character '\"' after object key:value pair"],
    ["[1 2]", "invalid character '2' after array element"],
    ["{} x", "invalid character 'x' after top-level value"],
    ["x", "invalid character 'x' looking for beginning of value"],
    ['{"a":"\n"}', "invalid character '\\n' in string literal"],
    ['{"a":"\u0001"}', "invalid character '\\x01' in string literal"],
    ['"\\q"', "invalid character 'q' in string escape code"],
    ["-x", "invalid character 'x' in numeric literal"],
  ])("refuses %j as Go does", (text, message) => {
    expect(() => parseJson(text)).toThrow(expect.objectContaining({ name: "JsonSyntaxError", message }));
  });
});

describe("withPlainNumbers()", () => {
  it("looks at each part once, however deep the numbers lie", () => {
    const depth = 400;
    const { value } = parseJson(`${'{"a":['.repeat(depth / 2)}1.50${"]}".repeat(depth / 2)}`);
    let inner: unknown = withPlainNumbers(value);
    for (let i = 0; i < depth / 2; i++) inner = (inner as { a: unknown[] }).a[0];
    expect(inner).toBe(1.5);
  });

  it("leaves what has none of them as it is", () => {
    const { value } = parseJson('{"a":[1.0,{"b":"c"}],"d":{"e":[]},"__proto__":2.0}');
    const plain = withPlainNumbers(value) as { a: unknown[]; d: unknown };
    expect(plain.d).toBe((value as { d: unknown }).d);
    expect(plain.a[1]).toBe((value as { a: unknown[] }).a[1]);
    expect(JSON.stringify(plain)).toBe('{"a":[1,{"b":"c"}],"d":{"e":[]},"__proto__":2}');
  });
});

it("paths of what is given twice are not repeated without end", () => {
  const twice = Array.from({ length: 200 }, (_, i) => `"f${i}":1,"f${i}":1`).join();
  expect(parseJson(`{"${"k".repeat(600_000)}":{${twice}}}`).duplicates).toHaveLength(2);
});
