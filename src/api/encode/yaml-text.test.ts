import { describe, expect, it } from "vitest";
import { parseYaml, parseYamlDocuments, resolvePlain } from "./yaml-text.ts";

describe("resolvePlain()", () => {
  it.each([
    ["yes", true],
    ["Off", false],
    ["y", true],
    ["~", null],
    ["", null],
    ["0644", 420],
    ["0o17", 15],
    ["0x1F", 31],
    ["0b101", 5],
    ["08", 8],
    ["1_000", 1000],
    ["-5", -5],
    ["1.5", 1.5],
    ["1e3", 1000],
    [".5", 0.5],
    ["1:30", "1:30"],
    ["1.2.3", "1.2.3"],
    ["2026-11-22", "2026-11-22"],
    ["busybox:1", "busybox:1"],
    ["-", "-"],
  ])("reads %j as %j", (text, value) => {
    expect(resolvePlain(text)).toBe(value);
  });
});

it("reads the largest int64 as JSON does", () => {
  expect(resolvePlain("9223372036854775807")).toBe(2 ** 63 - 1024);
  expect(resolvePlain("9223372036854775808")).toBe(2 ** 63);
});

describe("parseYaml()", () => {
  it("makes plain JSON, with keys as texts", () => {
    expect(parseYaml('a: {b: [1, "1", yes, null]}\n1: x\ntrue: y\nt: |\n  text\n')).toEqual({
      value: { a: { b: [1, "1", true, null] }, "1": "x", true: true, t: "text\n" },
      duplicates: [],
    });
  });

  it("follows aliases and merge keys", () => {
    expect(parseYaml("base: &b {p: 1, q: 2}\nc:\n  <<: *b\n  q: 3\nd: *b\n").value).toEqual({
      base: { p: 1, q: 2 },
      c: { p: 1, q: 3 },
      d: { p: 1, q: 2 },
    });
  });

  it("reports keys given twice with their line", () => {
    expect(parseYaml("metadata:\n  name: b\ndata:\n  k: v\n  k: w\n")).toEqual({
      value: { metadata: { name: "b" }, data: { k: "w" } },
      duplicates: ['line 5: key "k" already set in map'],
    });
  });

  it("honours tags and quotes", () => {
    expect(parseYaml("a: !!str 1\nb: '1'\nc: !!int '3'\nd: !!binary aGk=\n").value).toEqual({ a: "1", b: "1", c: 3, d: "hi" });
  });

  it("refuses broken texts and exploding aliases", () => {
    expect(() => parseYaml("a: [")).toThrow("yaml: line 1: did not find expected node content");
    expect(() => parseYaml("{")).toThrow("yaml: line 1: did not find expected node content");
    expect(() => parseYaml("{a")).toThrow("yaml: line 1: did not find expected ',' or '}'");
    expect(() => parseYaml("a: \u0001")).toThrow("yaml: control characters are not allowed");
    expect(parseYaml('{"a":1} x').value).toEqual({ a: 1 });
    expect(() => parseYaml("a: 1\nb: [c, d\n")).toThrow("yaml: line 2: did not find expected ',' or ']'");
    expect(() => parseYaml("a: b: c")).toThrow("yaml: mapping values are not allowed in this context");
    expect(() => parseYaml("a: 1\nb: c: d")).toThrow("yaml: line 2: mapping values are not allowed in this context");
    expect(() => parseYaml("a:\n\t- b")).toThrow("yaml: line 2: found character that cannot start any token");
    const bomb = Array.from(
      { length: 9 },
      (_, i) =>
        `a${i}: &a${i} [${Array(9)
          .fill(i === 0 ? "x" : `*a${i - 1}`)
          .join(",")}]`,
    ).join("\n");
    expect(() => parseYaml(bomb)).toThrow("excessive aliasing");
  });

  it("refuses few characters that ask for many: aliases of long texts, of themselves, of each other", () => {
    const long = `a: &a ${"x".repeat(100_000)}\nb: [${Array(100).fill("*a").join(",")}]`;
    expect(() => parseYaml(long)).toThrow("yaml: document contains excessive aliasing");
    expect(() => parseYaml("a: &a [*a]")).toThrow("yaml: anchor 'a' value contains itself");
    expect(() => parseYaml("a: &a\n  <<: *a\n  b: 1")).toThrow("yaml: anchor 'a' value contains itself");
    const nested = (inner: string): string => `${"[".repeat(300)}${inner}${"]".repeat(300)}`;
    expect(() => parseYaml(`a: &a ${nested("")}\nb: ${nested("*a")}`)).toThrow("yaml: exceeded max depth of 500");
  });

  it.each([
    ["brackets", "[".repeat(100_000)],
    ["braces", "{a: ".repeat(100_000)],
    ["pairs in brackets", `${"[a: ".repeat(400)}1${"]".repeat(400)}`],
    ["dashes", `${"- ".repeat(100_000)}x`],
    ["question marks", `${"? ".repeat(100_000)}x`],
    ["indentation", Array.from({ length: 1000 }, (_, i) => `${" ".repeat(i)}a:`).join("\n")],
  ])("refuses what nests too deep: %s", (_, text) => {
    expect(() => parseYaml(text)).toThrow(expect.objectContaining({ name: "YamlSyntaxError", message: "yaml: exceeded max depth of 500" }));
  });

  it("reads deep values, and texts that only look like them", () => {
    expect(parseYaml(`a: ${"[".repeat(400)}${"]".repeat(400)}`).value).toHaveProperty("a");
    expect(parseYaml(Array.from({ length: 400 }, (_, i) => `${" ".repeat(i)}a:`).join("\n")).value).toHaveProperty("a.a.a");
    const lines = `  ${"[{".repeat(2000)}\n  ${" ".repeat(2000)}- x\n  "${"- ".repeat(1000)}\n`;
    expect(parseYaml(`a: |\n${lines}b: 1\n`).value).toMatchObject({ b: 1 });
  });

  it("takes the first of several documents, or all", () => {
    const text = "---\na: 1\n---\n---\nb: 2\n";
    expect(parseYaml(text).value).toEqual({ a: 1 });
    expect(parseYamlDocuments(text).map((d) => d.value)).toEqual([{ a: 1 }, { b: 2 }]);
    expect(parseYaml("").value).toBeNull();
  });

  it("does not look at what comes after the first document", () => {
    expect(parseYaml("a: 1\n---\n{").value).toEqual({ a: 1 });
    expect(parseYaml('{"a":1}\n{"b":2}').value).toEqual({ a: 1 });
    expect(parseYaml('{"a":1} x').value).toEqual({ a: 1 });
    expect(parseYaml("---\n---\na: 1\n").value).toBeNull();
  });
});

describe("texts with many values", () => {
  it("are read where they are JSON and nothing more", () => {
    const fields = Object.fromEntries(Array.from({ length: 150_000 }, (_, i) => [`k${i}`, i]));
    expect(Object.keys(parseYaml(JSON.stringify(fields)).value as object)).toHaveLength(150_000);
    expect(parseYaml('{"a":1.50,"b":"<\u00e9","c":[true,null,1e3]}')).toEqual({
      value: { a: 1.5, b: "<é", c: [true, null, 1000] },
      duplicates: [],
    });
  });

  it("are YAML where JSON and YAML differ", () => {
    expect(parseYaml('{"a":1,"a":2}').duplicates).toEqual(['line 1: key "a" already set in map']);
    expect(parseYaml('{"<<":{"a":1},"b":"\\ud83d\\ude00"}').value).toEqual(parseYaml('{"<<": {"a": 1}, b: "\\ud83d\\ude00"}').value);
    expect(parseYaml("{a: 1}").value).toEqual({ a: 1 });
  });

  it("are refused before nodes are made of them", () => {
    expect(() => parseYaml(`a: [${"{},".repeat(250_000)}]`)).toThrow("yaml: document has more than 200000 values");
  });
});
