import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compilePattern, PatternError } from "./pattern.ts";

test.each([
  ["abc", "xabcx", true],
  ["^abc$", "abc", true],
  ["^abc$", "abc\n", false],
  ["a.c", "a\nc", false],
  ["(?s)a.c", "a\nc", true],
  ["(?m)^b$", "a\nb\nc", true],
  ["(?i)äB", "Äb", true],
  ["(?i:a)b", "Ab", true],
  ["(?i:a)b", "AB", false],
  ["a|b|", "", true],
  ["^(?:a|bc)+$", "abcbca", true],
  ["^a{2,3}$", "aaaa", false],
  ["^a{2,}$", "aaaa", true],
  ["^(?:ab){2}$", "abab", true],
  ["a{,2}", "a{,2}", true],
  ["\\d+\\.\\w\\s", "x12._\t", true],
  ["^\\D\\W\\S$", "a-b", true],
  ["[^a-c]", "abc", false],
  ["[]a]", "]", true],
  ["[a\\]b-]", "-", true],
  ["[[:alpha:]_]", "_", true],
  ["[[:^digit:]]", "7", false],
  ["\\p{Greek}", "α", true],
  ["\\PL", "a", false],
  ["[\\p{Lu}0]", "É", true],
  ["[^\\p{Lu}0]", "É", false],
  ["\\x41\\x{1F600}", "A😀", true],
  ["\\101", "A", true],
  ["^.$", "😀", true],
  ["\\bfoo\\b", "a foo b", true],
  ["\\bfoo\\b", "afoo", false],
  ["\\Boo", "foo", true],
  ["\\Aab\\z", "ab", true],
  ["\\Q.*\\E", ".*", true],
  ["(?P<x>a)(?<y>b)", "ab", true],
  ["x*", "", true],
  ["(?U)a+", "aa", true],
])("%s in %j: %s", (pattern, text, matches) => {
  expect(compilePattern(pattern).test(text)).toBe(matches);
});

test.each([
  ["(a", "missing closing ): `(a`"],
  ["a)", "unexpected ): `a)`"],
  ["[a", "missing closing ]: `[a`"],
  ["*a", "missing argument to repetition operator: `*`"],
  ["a**", "invalid nested repetition operator: `**`"],
  ["a{1001}", "invalid repeat count: `{1001}`"],
  ["(?:a{100}){100}", "invalid repeat count: `{100}`"],
  ["a{2,1}", "invalid repeat count: `{2,1}`"],
  ["(?=a)", "invalid or unsupported Perl syntax: `(?=`"],
  ["(?<=a)", "invalid or unsupported Perl syntax: `(?<=`"],
  ["\\8", "invalid escape sequence: `\\8`"],
  ["[b-a]", "invalid character class range: `b-a`"],
  ["\\p{Nothing}", "invalid character class range: `\\p{Nothing}`"],
  ["a\\", "trailing backslash at end of expression: ``"],
])("%s is refused", (pattern, problem) => {
  expect(() => compilePattern(pattern)).toThrowError(new PatternError(problem.replace(/: `.*/s, ""), /`(.*)`/s.exec(problem)?.[1] ?? ""));
});

describe("find()", () => {
  test("gives the leftmost match, and of those the preferred one", () => {
    expect(compilePattern("a+").find("xaaay")).toEqual({ start: 1, end: 4 });
    expect(compilePattern("a+?").find("xaaay")).toEqual({ start: 1, end: 2 });
    expect(compilePattern("ab|abc").find("abc")).toEqual({ start: 0, end: 2 });
    expect(compilePattern("b|a*").find("aab", 1)).toEqual({ start: 1, end: 2 });
    expect(compilePattern("^a").find("aa", 1)).toBeUndefined();
    expect(compilePattern("😀+").find("x😀😀")).toEqual({ start: 1, end: 5 });
  });

  test("agrees with the engine's own expressions on what both know", () => {
    const atom = fc.constantFrom("a", "b", ".", "[ab]", "[^a]", "\\d", "^", "$", "\\b");
    const pattern = fc.letrec<{ node: string }>((tie) => ({
      node: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        atom,
        fc.tuple(tie("node"), tie("node")).map(([a, b]) => a + b),
        fc.tuple(tie("node"), tie("node")).map(([a, b]) => `(?:${a}|${b})`),
        fc.tuple(atom, fc.constantFrom("*", "+", "?", "*?", "+?", "??", "{1,2}")).map(([a, count]) => `(?:${a})${count}`),
      ),
    })).node;
    fc.assert(
      fc.property(pattern, fc.string({ unit: fc.constantFrom("a", "b", "1", " "), maxLength: 8 }), (source, text) => {
        const found = new RegExp(source, "u").exec(text);
        const expected = found ? { start: found.index, end: found.index + found[0].length } : undefined;
        expect(compilePattern(source).find(text)).toEqual(expected);
      }),
      { numRuns: 2000, seed: 7 },
    );
  });
});

test("patterns are remembered as long as they are small together", () => {
  const remembered = compilePattern("^remembered$");
  for (let index = 0; index < 50; index++) compilePattern(`^small${index}$`);
  expect(compilePattern("^remembered$")).toBe(remembered);
  // Each takes the space of thousands: many instructions, or many characters in one.
  for (let index = 0; index < 20; index++) compilePattern(`x${index}(?:abcdefghijklmnopqrst){900}`);
  expect(compilePattern("^remembered$")).not.toBe(remembered);
  const again = compilePattern("^remembered$");
  const characters = Array.from({ length: 20_000 }, (_, index) => String.fromCodePoint(0x4e00 + index)).join("");
  for (let index = 0; index < 20; index++) compilePattern(`y${index}[${characters}]`);
  expect(compilePattern("^remembered$")).not.toBe(again);
});

test("takes time in proportion to the text where backtracking would not end", () => {
  const pattern = compilePattern("^(?:a+)+(?:a|aa)*$");
  expect(pattern.test(`${"a".repeat(50_000)}b`)).toBe(false);
  expect(compilePattern(`${"a?".repeat(50)}${"a".repeat(50)}`).test("a".repeat(50))).toBe(true);
});
