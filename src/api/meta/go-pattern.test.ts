import { describe, expect, it } from "vitest";
import { compileGoPattern } from "./go-pattern.ts";

const matches = (pattern: string, text: string): boolean => compileGoPattern(pattern).test(text);

describe("compileGoPattern()", () => {
  it.each([
    ["^[a-z]+$", "abc", true],
    ["^[a-z]+$", "abc\n", false],
    ["b", "abc", true],
    ["(?i)^AbC$", "aBc", true],
    ["^a(?i:b)c$", "aBc", true],
    ["^a(?i:b)c$", "aBC", false],
    ["^(?P<year>\\d{4})$", "2024", true],
    ["^\\d$", "٣", false],
    ["^\\w+$", "é", false],
    ["^\\pL+$", "é", true],
    ["^\\p{Greek}$", "λ", true],
    ["^\\PL$", "1", true],
    ["^[[:alpha:]_]+$", "a_", true],
    ["^[^[:digit:]]$", "1", false],
    ["^\\Qa.b\\E$", "a.b", true],
    ["^\\Qa.b\\E$", "axb", false],
    ["^.$", "\n", false],
    ["(?s)^.$", "\n", true],
    ["(?m)^b$", "a\nb\nc", true],
    ["^.$", "😀", true],
    ["^a{2,3}$", "aaa", true],
    ["^a{,3}$", "a{,3}", true],
    ["^[&&~~]+$", "&~", true],
    ["\\Aa\\z", "a", true],
    ["^\\x41\\x{1F600}$", "A😀", true],
  ])("%s on %j: %s", (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });

  it.each([
    ["a**", "error parsing regexp: invalid nested repetition operator: `**`"],
    ["*a", "error parsing regexp: missing argument to repetition operator: `*`"],
    ["(a", "error parsing regexp: missing closing ): `(a`"],
    ["a)", "error parsing regexp: unexpected ): `a)`"],
    ["[a", "error parsing regexp: missing closing ]: `[a`"],
    ["[b-a]", "error parsing regexp: invalid character class range: `b-a`"],
    ["a\\", "error parsing regexp: trailing backslash at end of expression: ``"],
    ["\\y", "error parsing regexp: invalid escape sequence: `\\y`"],
    ["a{1001}", "error parsing regexp: invalid repeat count: `{1001}`"],
    ["(?=a)", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"],
  ])("refuses %s", (pattern, message) => {
    expect(() => compileGoPattern(pattern)).toThrow(message);
  });
});
