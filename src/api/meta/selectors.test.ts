import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  escapeFieldValue,
  labelMatcher,
  labelsMatcher,
  parseFieldSelector,
  parseLabelSelector,
  SelectorError,
  selects,
} from "./selectors.ts";

describe("parseLabelSelector()", () => {
  it.each([
    ["", ""],
    ["a", "a"],
    ["!a", "!a"],
    [" x = a , b==c", "b==c,x=a"],
    ["x in (b,a)", "x in (a,b)"],
    ["x notin (a)", "x notin (a)"],
    ["x in ()", "x in ()"],
    ["x in (,a)", "x in (,a)"],
    ["x=", "x="],
    ["x!=a,y", "x!=a,y"],
    ["x>1,x<5", "x>1,x<5"],
    ["in in (in)", "in in (in)"],
    ["example.com/a=b", "example.com/a=b"],
    ["\0", ""],
    ["a=\0b", "a="],
    ["a\0", "a"],
    ["a\0=b\0", "a=b"],
  ])("writes %j as %j", (text, canonical) => {
    expect(String(parseLabelSelector(text))).toBe(canonical);
  });

  it.each([
    ["a=b=c", "found '=', expected: ',' or 'end of string'"],
    ["a,", "found '', expected: identifier after ','"],
    ["=", "found '=', expected: !, identifier, or 'end of string'"],
    ["!", "unable to parse requirement: found '', expected: identifier"],
    ["a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    ["a\0b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    ["a in b", "unable to parse requirement: found 'b' expected: '('"],
    ["a in (b", "unable to parse requirement: found '', expected: ',' or ')'"],
    ["a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"],
    ["a=(b", "unable to parse requirement: found '(', expected: identifier"],
    ["a>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"],
    [
      "a=-b",
      "unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ],
    [
      "-a",
      "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    ],
    [
      "\x7f",
      "unable to parse requirement: <nil>: Invalid value: \"\\x7f\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    ],
  ])("refuses %j", (text, message) => {
    expect(() => parseLabelSelector(text)).toThrow(new SelectorError(message));
  });

  it("matches labels", () => {
    const matches = (selector: string, labels: Record<string, string>): boolean => parseLabelSelector(selector).matches(labels);
    expect(matches("a=1,b in (x,y)", { a: "1", b: "y" })).toBe(true);
    expect(matches("a=1,b in (x,y)", { a: "1", b: "z" })).toBe(false);
    expect(matches("a!=1", {})).toBe(true);
    expect(matches("a notin (1,2)", { a: "2" })).toBe(false);
    expect(matches("!a", { a: "" })).toBe(false);
    expect(matches("a=", { a: "" })).toBe(true);
    expect(matches("a=", {})).toBe(false);
    expect(matches("n>5", { n: "10" })).toBe(true);
    expect(matches("n<5", { n: "ten" })).toBe(false);
    expect(matches("toString", {})).toBe(false);
    expect(parseLabelSelector("").matches(undefined)).toBe(true);
  });

  it("tells which value a label must have", () => {
    expect(parseLabelSelector("a in (x)").exactValue("a")).toBe("x");
    expect(parseLabelSelector("a in (x,y)").exactValue("a")).toBeUndefined();
    expect(parseLabelSelector("a!=x").exactValue("a")).toBeUndefined();
  });

  it("reads its canonical text as the same selector", () => {
    const word = fc.stringMatching(/^[a-z][a-z0-9]{0,4}$/);
    const list = fc.uniqueArray(word, { minLength: 1, maxLength: 3 }).map((l) => `(${l.join(",")})`);
    const term = fc.oneof(
      word,
      word.map((w) => `!${w}`),
      fc.tuple(word, fc.constantFrom("=", "==", "!="), word).map((t) => t.join(" ")),
      fc.tuple(word, fc.constantFrom("in", "notin"), list).map((t) => t.join(" ")),
    );
    fc.assert(
      fc.property(fc.array(term), (terms) => {
        const selector = parseLabelSelector(terms.join(" , "));
        expect(parseLabelSelector(String(selector)).requirements).toEqual(selector.requirements);
      }),
    );
  });
});

describe("labelMatcher()", () => {
  it("combines labels and expressions", () => {
    const selector = { matchLabels: { app: "web" }, matchExpressions: [{ key: "tier", operator: "NotIn", values: ["db"] }] };
    expect(String(labelMatcher(selector))).toBe("app=web,tier notin (db)");
    expect(selects(selector, { app: "web" })).toBe(true);
    expect(selects(selector, { app: "web", tier: "db" })).toBe(false);
    expect(labelMatcher(selector)).toBe(labelMatcher(selector));
  });

  it("matches nothing without a selector and everything with an empty one", () => {
    expect(selects(undefined, { a: "b" })).toBe(false);
    expect(selects({}, undefined)).toBe(true);
    expect(labelMatcher(undefined).nothing).toBe(true);
  });

  it("refuses unknown operators and malformed labels", () => {
    expect(() => labelMatcher({ matchExpressions: [{ key: "a", operator: "Like" }] })).toThrow(
      '"Like" is not a valid label selector operator',
    );
    expect(() => labelMatcher({ matchLabels: { "a b": "c" } })).toThrow(/^key: Invalid value: "a b": name part must consist/);
    expect(() => labelMatcher({ matchExpressions: [{ key: "a", operator: "In" }] })).toThrow(/values set can't be empty/);
  });

  it("is made from a map of labels", () => {
    expect(String(labelsMatcher({ b: "2", a: "1" }))).toBe("a=1,b=2");
  });
});

describe("parseFieldSelector()", () => {
  const pod: Record<string, string> = { "metadata.name": "a", "spec.nodeName": "x,y=z\\" };

  it("matches fields, an absent one being empty", () => {
    expect(parseFieldSelector("metadata.name=a,spec.nodeName!=b").matches((f) => pod[f])).toBe(true);
    expect(parseFieldSelector("metadata.name==b").matches((f) => pod[f])).toBe(false);
    expect(parseFieldSelector("status.phase=").matches((f) => pod[f])).toBe(true);
  });

  it("sorts its terms and writes == as =", () => {
    expect(String(parseFieldSelector("b==2,,a!=1"))).toBe("a!=1,b=2");
    expect(parseFieldSelector("a!=1,b=2").exactValue("b")).toBe("2");
  });

  it("leaves out a term that says neither a field nor a value", () => {
    for (const text of ["=", "==", "!="]) expect(parseFieldSelector(text).everything).toBe(true);
    expect(String(parseFieldSelector("=,a=1,=b"))).toBe("=b,a=1");
  });

  it("understands escapes", () => {
    expect(parseFieldSelector("spec.nodeName=x\\,y\\=z\\\\").matches((f) => pod[f])).toBe(true);
    fc.assert(
      fc.property(fc.string(), (value) => {
        expect(parseFieldSelector(`f=${escapeFieldValue(value)}`).exactValue("f")).toBe(value);
      }),
    );
  });

  it.each([
    ["abc", "invalid selector: 'abc'; can't understand 'abc'"],
    ["a=b=c", "invalid field selector: unescaped character in value: 61"],
    ["a=b\\c", "invalid field selector: invalid escape sequence: \\c"],
    ["a=b\\", "invalid field selector: invalid escape sequence: \\"],
  ])("refuses %j", (text, message) => {
    expect(() => parseFieldSelector(text)).toThrow(new SelectorError(message));
  });
});
