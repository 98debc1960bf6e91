// What would take long, or much memory, at hardly any cost: it ends, or is refused, before it is done.
import { describe, expect, test } from "vitest";
import { createCelEnvironment } from "../cel.ts";
import { bindings } from "../extensions/bindings.ts";
import { lists } from "../extensions/lists.ts";
import { sets } from "../extensions/sets.ts";
import { strings } from "../extensions/strings.ts";
import { bytesType, dynType, stringType } from "../types.ts";

const environment = createCelEnvironment({
  libraries: [strings, sets, lists, bindings],
  variables: { text: stringType, raw: bytesType, any: dynType },
});

function evaluate(expression: string, given: Readonly<Record<string, unknown>> = {}, costLimit = 10_000_000) {
  const { program, message } = environment.compile(expression);
  if (!program) throw new Error(message);
  return program.evaluate({ text: "", any: null, ...given }, { costLimit });
}

const overBudget = "operation cancelled: actual cost limit exceeded";

/** `v0` doubled so many times, within `then`, as v{times}. */
function doubled(first: string, times: number, then: string): string {
  const lines = Array.from({ length: times }, (_, i) => `cel.bind(v${i + 1}, v${i} + v${i}, `);
  return `cel.bind(v0, ${first}, ${lines.join("")}${then.replaceAll("$", `v${times}`)}${")".repeat(times + 1)}`;
}

describe("texts of users", () => {
  // With work that grows with the square of the text each of these took minutes.
  const many = 400_000;
  test.each([
    ["spaces within are no trouble for trim()", "text.trim().size() > 2", `a${" ".repeat(many)}b`, true],
    ["no number, though it has only digits but one", "text.matches('^1') && double(text) > 0.0", `${"1".repeat(many)}x`, "double"],
    ["no span of time without its unit", "duration(text) > duration('1s')", "1".repeat(many), "google.protobuf.Duration"],
    ["no span of time with as many digits", "duration(text) > duration('1s')", `${"1".repeat(many)}h`, "google.protobuf.Duration"],
    ["a span of time with a long fraction", "duration(text) < duration('2s')", `1.${"1".repeat(many)}s`, true],
    ["no int of as many digits", "int(text) > 0", "1".repeat(many), "int"],
    ["no uint of as many digits", "uint(text) > 0u", "1".repeat(many), "uint"],
    ["an int with zeros before it", "int(text) == -12", `-${"0".repeat(many)}12`, true],
    ["a uint with zeros before it", "uint(text) == 12u", `${"0".repeat(many)}12`, true],
  ])("%s", (_, expression, text, expected) => {
    const begun = performance.now();
    if (expected === true) expect(evaluate(expression, { text }).value).toBe(true);
    else expect(() => evaluate(expression, { text })).toThrowError(`type conversion error from 'string' to '${expected}'`);
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  test("charAt() looks no further than the character", () => {
    const text = "x".repeat(2_000_000);
    expect(evaluate("lists.range(100000).all(i, text.charAt(i % 10) == 'x')", { text }).value).toBe(true);
  });

  test("matches() as a function is charged as the method is", () => {
    const text = "a".repeat(1000);
    const cost = (expression: string): number => evaluate(expression, { text }).cost;
    expect(cost("matches(text, '^a+$')")).toBe(cost("text.matches('^a+$')"));
  });
});

describe("lists that are doubled again and again", () => {
  test.each([
    "99 in $",
    "$ == $ + []",
    "$.slice(0, 1).size() == 1",
    "$.reverse().size() > 0",
    "$.size() > 0",
    "$.map(e, e).size() > 0",
    "[$].flatten().size() > 0",
    "sets.contains($, [7])",
    "$.distinct().size() > 0",
  ])("%s is refused", (then) => {
    expect(() => evaluate(doubled("[1, 2, 3]", 40, then))).toThrowError(overBudget);
  });

  test("are charged before they are looked through", () => {
    // Six million items.
    const begun = performance.now();
    expect(() => evaluate(doubled("[1, 2, 3]", 21, "9 in $"), {}, 1_000_000)).toThrowError(overBudget);
    expect(() => evaluate(doubled("[1, 2, 3]", 21, "$.reverse() == []"), {}, 1_000_000)).toThrowError(overBudget);
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  test("a slice is made of what it takes", () => {
    expect(evaluate(doubled("[1, 2, 3]", 21, "lists.range(1000).all(i, $.slice(i, i + 1).size() == 1)")).value).toBe(true);
  });
});

describe("results that are much larger than their texts", () => {
  const text = "x".repeat(100_000);
  test.each([
    ["replace()", "lists.range(1000).all(i, 'aaaaaaaaaa'.replace('a', text) != '')"],
    [
      "format()",
      "lists.range(1000).all(i, '%s%s%s%s%s%s%s%s%s%s'.format([text, text, text, text, text, text, text, text, text, text]) != '')",
    ],
    ["flatten()", `cel.bind(r, lists.range(100000), lists.range(1000).all(i, [${"r, ".repeat(20)}r].flatten().size() > 0))`],
    ["join() of nothing", `cel.bind(r, lists.range(1000000).map(i, ''), r.join(text) != '')`],
    ["texts of unknown type", doubled("any", 30, "string($) != ''")],
  ])("%s are charged", (_, expression) => {
    expect(() => evaluate(expression, { text, any: text }, 3_000_000)).toThrowError(overBudget);
  });

  test("small ones cost what upstream charges", () => {
    expect(evaluate("text.replace('x', 'yyy').size() > 0", { text: "x".repeat(1000) }).cost).toBe(203);
    expect(evaluate("[[1, 2, 3], [4]].flatten().size() == 4").cost).toBe(15);
  });

  test("bytes are put together in place", () => {
    const raw = Buffer.from("x".repeat(300_000)).toString("base64");
    expect(evaluate(doubled("raw", 5, "size($) == 9600000"), { raw }).value).toBe(true);
    expect(() => evaluate(doubled("raw", 12, "size($) > 0"), { raw })).toThrowError(overBudget);
  });
});

describe("names that every JavaScript object has", () => {
  test.each(["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"])("%s is a key like others", (key) => {
    expect(evaluate(`'${key}' in any || any.exists(k, k == '${key}')`, { any: {} }).value).toBe(false);
    const own = JSON.parse(`{"${key}": 1}`) as unknown;
    expect(evaluate(`'${key}' in any && any['${key}'] == 1 && any.exists(k, k == '${key}')`, { any: own }).value).toBe(true);
    expect(evaluate(`cel.bind(m, {'${key}': 2}, m['${key}'] == 2 && size(m) == 1)`).value).toBe(true);
    expect(() => evaluate(`any['${key}'] == 1`, { any: {} })).toThrowError("no such key");
    if (!key.startsWith("__")) expect(evaluate(`has(any.${key})`, { any: {} }).value).toBe(false);
    if (!key.startsWith("__")) expect(evaluate(`has(any.${key})`, { any: own }).value).toBe(true);
  });
});
