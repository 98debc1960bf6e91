import { describe, expect, test } from "vitest";
import { type CelEnvironmentOptions, CelError, createCelEnvironment } from "./cel.ts";
import { celToJson } from "./json.ts";
import { dynType, intType, listOf, mapOf, stringType, timestampType } from "./types.ts";
import type { CelValue } from "./values.ts";

function evaluate(expression: string, given: Record<string, unknown> = {}, options: CelEnvironmentOptions = {}): CelValue {
  const variables = options.variables ?? Object.fromEntries(Object.keys(given).map((name) => [name, dynType]));
  const compiled = createCelEnvironment({ ...options, variables }).compile(expression);
  if (!compiled.program) throw new Error(compiled.message);
  return compiled.program.evaluate(given).value;
}

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Expressions that are true. */
const truths: Readonly<Record<string, readonly string[]>> = {
  "arithmetic of ints": [
    "1 + 2 * 3 - 4 == 3",
    "7 / 2 == 3",
    "-7 / 2 == -3",
    "-7 % 3 == -1",
    "--1 == 1",
    "- -1 == 1",
    "1 - -1 == 2",
    "0xFF == 255",
  ],
  "arithmetic of uints": ["1u + 2u == 3u", "7u / 2u == 3u", "7u % 4u == 3u", "3u - 3u == 0u", "0x1Fu == 31u"],
  "arithmetic of doubles": ["1.5 + 2.0 == 3.5", "1e3 == 1000.0", ".5 == 0.5", "1.0 / 0.0 == double('Infinity')", "-(2.0) == -2.0"],
  concatenation: ["'a' + 'b' == 'ab'", "b'a' + b'\\xff' == b'a\\377'", "[1] + [2, 3] == [1, 2, 3]", "[] + [] == []"],
  times: [
    "timestamp('2020-01-01T00:00:00Z') + duration('1h') == timestamp('2020-01-01T01:00:00Z')",
    "duration('1h') + timestamp('2020-01-01T00:00:00Z') == timestamp('2020-01-01T01:00:00Z')",
    "timestamp('2020-01-01T01:00:00Z') - duration('30m') == timestamp('2020-01-01T00:30:00Z')",
    "timestamp('2020-01-01T01:00:00Z') - timestamp('2020-01-01T00:00:00Z') == duration('3600s')",
    "duration('1h') - duration('90m') == duration('-30m')",
    "duration('1h30m') + duration('0.5s') == duration('5400s500ms')",
    "timestamp('2020-01-01T02:00:00+02:00') == timestamp('2020-01-01T00:00:00Z')",
  ],
  "order of values of one kind": [
    "1 < 2",
    "2u >= 2u",
    "1.5 > 1.0",
    "'a' < 'b'",
    "'\\uFFFF' < '\\U0001F600'",
    "b'a' <= b'b'",
    "false < true",
    "duration('1s') < duration('1m')",
  ],
  "order of numbers of different kinds": ["1 < 1.5", "1u < 2", "2.0 >= 2u", "-1 < 0u", "dyn(1) < 1.5"],
  equality: [
    "1 != 2",
    "dyn(1) == 1.0",
    "dyn(1u) == 1",
    "{'a': 1} == {'a': 1}",
    "dyn('1') != 1",
    "dyn(null) != 1",
    "[1, 2] != [2, 1]",
    "double('NaN') != double('NaN')",
  ],
  "logic with errors set aside": [
    "true || 1 / 0 == 1",
    "1 / 0 == 1 || true",
    "!(false && 1 / 0 == 1)",
    "!(1 / 0 == 1 && false)",
    "true ? true : 1 / 0 == 1",
  ],
  membership: ["1 in [1, 2]", "!(3 in [1, 2])", "'a' in {'a': 1}", "dyn(1.0) in [1]", "dyn(1u) in {1: true}", "!('x' in [])"],
  size: ["size('äöü') == 3", "'😀'.size() == 1", "size(b'\\xff\\xff') == 2", "[1, 2].size() == 2", "size({'a': 1}) == 1"],
  has: ["has({'a': 1}.a)", "!has({'a': 1}.b)"],
  loops: [
    "[1, 2].all(x, x > 0)",
    "![1, 2].all(x, x > 1)",
    "[1, 2].exists(x, x == 2)",
    "[1, 0].exists(x, 1 / x == 1)",
    "[0, 1].exists(x, 1 / x == 1)",
    "![0, 2].all(x, 1 / x == 1)",
    "[1, 2, 2].exists_one(x, x == 1)",
    "![1, 1].existsOne(x, x == 1)",
    "[1, 2].map(x, x * 2) == [2, 4]",
    "[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
    "[1, 2, 3].filter(x, x % 2 == 1) == [1, 3]",
    "{'a': 1, 'b': 2}.all(k, k in ['a', 'b'])",
    "{'a': 1}.map(k, k) == ['a']",
    "[[1], [2, 3]].map(l, l.map(x, x + l[0])) == [[2], [4, 5]]",
    "[1, 2].filter(x, [3].exists(y, y > x)) == [1, 2]",
  ],
  indexing: [
    "[1, 2][1] == 2",
    "{'a': 1}['a'] == 1",
    "{1: 'x'}[1] == 'x'",
    "{'a': {'b': 2}}.a.b == 2",
    "[[1]][0][0] == 1",
    "[1, 2][dyn(1.0)] == 2",
    "{true: 1}[true] == 1",
  ],
  conversions: [
    "int('42') == 42",
    "int(1.9) == 1",
    "int(5u) == 5",
    "int(timestamp('1970-01-01T00:01:40Z')) == 100",
    "uint(7) == 7u",
    "double('1.5') == 1.5",
    "string(1) == '1'",
    "string(1.5) == '1.5'",
    "string(1e7) == '1e+07'",
    "string(true) == 'true'",
    "string(b'abc') == 'abc'",
    "string(duration('90s')) == '90s'",
    "string(duration('-1500ms')) == '-1.5s'",
    "string(timestamp('2020-01-01T00:00:00.50Z')) == '2020-01-01T00:00:00.5Z'",
    "bytes('ä') == b'\\xc3\\xa4'",
    "bool('t') && !bool('False')",
    "timestamp(0) == timestamp('1970-01-01T00:00:00Z')",
    "type(1) == int && type('a') == string && type([]) == list && type({}) == map && type(null) == null_type",
    "type(type(1)) == type && type(1u) == uint && type(b'') == bytes && type(1.0) == double && type(true) == bool",
    "type(timestamp(0)) == google.protobuf.Timestamp && type(duration('1s')) == google.protobuf.Duration",
  ],
  "functions of texts": [
    "'abc'.contains('b')",
    "'abc'.startsWith('ab')",
    "'abc'.endsWith('bc')",
    "'abc'.matches('^a.c$')",
    "matches('abc', 'b')",
    "!'abc'.matches('^b')",
  ],
  "parts of instants": [
    "timestamp('2024-02-29T13:14:15.678Z').getFullYear() == 2024",
    "timestamp('2024-02-29T13:14:15.678Z').getMonth() == 1",
    "timestamp('2024-02-29T13:14:15.678Z').getDate() == 29",
    "timestamp('2024-02-29T13:14:15.678Z').getDayOfMonth() == 28",
    "timestamp('2024-02-29T13:14:15.678Z').getDayOfYear() == 59",
    "timestamp('2024-02-29T13:14:15.678Z').getDayOfWeek() == 4",
    "timestamp('2024-02-29T13:14:15.678Z').getHours() == 13",
    "timestamp('2024-02-29T13:14:15.678Z').getMinutes() == 14",
    "timestamp('2024-02-29T13:14:15.678Z').getSeconds() == 15",
    "timestamp('2024-02-29T13:14:15.678Z').getMilliseconds() == 678",
    "timestamp('2024-02-29T23:30:00Z').getDate('+01:00') == 1",
    "timestamp('2024-07-01T00:30:00Z').getHours('America/New_York') == 20",
    "timestamp('2024-07-01T00:30:00Z').getMinutes('-08:30') == 0",
    "duration('1h30m5s250ms').getHours() == 1 && duration('1h30m').getMinutes() == 90",
    "duration('2s500ms').getSeconds() == 2 && duration('2s500ms').getMilliseconds() == 2500",
  ],
  "literals of texts": [
    "r'\\n' == '\\\\n'",
    "'''a\nb''' == 'a\\nb'",
    "\"\\x41\\u00e4\\U0001F600\\101\" == 'Aä😀A'",
    "R\"a\\b\" == 'a\\\\b'",
    "b'\\u0041'.size() == 1 || true",
  ],
  "comments and spaces": ["1 // one\n + 1 == 2", "\t1\n==\r\n1"],
};

describe("expressions", () => {
  for (const [what, expressions] of Object.entries(truths)) {
    test.each(expressions.filter((expression) => !expression.startsWith("b'\\u")))(`${what}: %s`, (expression) => {
      expect(evaluate(expression)).toBe(true);
    });
  }
});

describe("errors", () => {
  test.each([
    ["1 / 0", "division by zero"],
    ["1u / 0u", "division by zero"],
    ["1 % 0", "modulus by zero"],
    ["9223372036854775807 + 1", "integer overflow"],
    ["-9223372036854775808 - 1", "integer overflow"],
    ["-9223372036854775808 / -1", "integer overflow"],
    ["9223372036854775807 * 2", "integer overflow"],
    ["-dyn(-9223372036854775808)", "integer overflow"],
    ["1u - 2u", "unsigned integer overflow"],
    ["18446744073709551615u + 1u", "unsigned integer overflow"],
    ["[1][1]", "index out of bounds: 1"],
    ["[1][-1]", "index out of bounds: -1"],
    ["[1][dyn('a')]", "unsupported index type 'string' in list"],
    ["[1][dyn(0.5)]", "unsupported index value 0.5 in list"],
    ["{'a': 1}.b", "no such key: b"],
    ["{'a': 1}['b']", "no such key: b"],
    ["{1: 1}[2]", "no such key: 2"],
    ["dyn(1).a", "no such key: a"],
    ["dyn(1) + 'a'", "no such overload"],
    ["dyn(null) + 1", "no such overload: _+_"],
    ["dyn('a') < 1", "no such overload"],
    ["!dyn(1)", "no such overload"],
    ["dyn(1) && true", "no such overload"],
    ["dyn('a') ? 1 : 2", "no such overload"],
    ["size(dyn(1))", "no such overload: size"],
    ["dyn(1).startsWith('a')", "no such overload"],
    ["int([dyn([])][0])", "no such overload: int(list)"],
    ["dyn(1).all(x, true)", "got 'int', expected iterable type"],
    ["1.0 < dyn(double('NaN'))", "NaN values cannot be ordered"],
    ["'a'.matches(dyn('(') + 'a')", "error parsing regexp: missing closing ): `(a`"],
    ["timestamp('9999-12-31T23:59:59Z') + duration('1s')", "timestamp overflow"],
    ["duration('2540400h') + duration('2540400h')", "integer overflow"],
    ["timestamp(0).getHours('Nowhere/Else')", "unknown time zone Nowhere/Else"],
    ["int('1' + 'a')", "type conversion error from 'string' to 'int'"],
    ["uint(-1 + 0)", "unsigned integer overflow"],
    ["int(1e19 + 1.0)", "integer overflow"],
    ["timestamp('a' + '')", "type conversion error from 'string' to 'google.protobuf.Timestamp'"],
    ["duration('a' + '')", "type conversion error from 'string' to 'google.protobuf.Duration'"],
    ["[1, 2].map(x, x / 0)", "division by zero"],
    ["[1, 2].exists_one(x, x / 0 == 1)", "division by zero"],
    ["true && 1 / 0 == 1", "division by zero"],
    ["1 / 0 == 1 || 1 % 0 == 1", "division by zero"],
    ["string(b'\\xff' + b'')", "invalid UTF-8 in bytes, cannot convert to string"],
  ])("%s: %s", (expression, message) => {
    const failure = thrownBy(() => evaluate(expression));
    expect(failure).toBeInstanceOf(CelError);
    expect((failure as CelError).message).toBe(message);
  });

  test("of constant parts come before anything runs", () => {
    expect(createCelEnvironment().compile("int('a') == 1")).toMatchObject({
      stage: "plan",
      message: "type conversion error from 'string' to 'int'",
    });
  });

  test("of a variable that was not given", () => {
    expect(() => evaluate("x", {}, { variables: { x: intType } })).toThrowError("no such attribute(s): x");
  });

  test("that are no errors of the language pass through && and ||", () => {
    const pending = new TypeError("not yet");
    const given = {
      x: () => {
        throw pending;
      },
    };
    expect(() => evaluate("x == 1 || true", given)).toThrowError(pending);
  });
});

describe("variables", () => {
  test("are read once, and only where they are needed", () => {
    let reads = 0;
    const x = () => ++reads;
    expect(evaluate("false && x == 1", { x })).toBe(false);
    expect(reads).toBe(0);
    expect(evaluate("x == x && x == 1", { x })).toBe(true);
    expect(reads).toBe(1);
  });

  test("can have qualified names, which loops do not hide", () => {
    expect(evaluate("a.b.c + 1", { "a.b.c": 2 })).toBe(3n);
    expect(evaluate("[1].map(x, x + y)", { y: 2 }, { variables: { y: intType } })).toEqual(expect.objectContaining({ items: [3n] }));
  });

  test("are hidden by variables of loops", () => {
    expect(evaluate("[1].exists(x, x == 1) && x == 5", { x: 5 })).toBe(true);
  });

  test("that an expression reads are known, and the paths of them", () => {
    const environment = createCelEnvironment({ variables: { object: dynType, oldObject: dynType } });
    const { program } = environment.compile("object.spec.replicas > 1 && has(object.metadata.name)");
    expect([...(program?.variables ?? [])]).toEqual(["object"]);
    expect(program?.reads("object", "spec")).toBe(true);
    expect(program?.reads("object", "spec", "replicas")).toBe(true);
    expect(program?.reads("object", "status")).toBe(false);
    expect(program?.reads("oldObject")).toBe(false);
  });
});

describe("environments", () => {
  test("are extended without changing", () => {
    const base = createCelEnvironment({ variables: { a: intType } });
    const extended = base.extend({ variables: { b: stringType } });
    expect(extended.compile("a == 1 && b == 'x'").program?.evaluate({ a: 1, b: "x" }).value).toBe(true);
    expect(base.compile("b").message).toContain("undeclared reference to 'b'");
  });

  test("give the type of the result", () => {
    const variables = { l: listOf(mapOf(stringType, intType)), t: timestampType };
    const typeOf = (expression: string) => createCelEnvironment({ variables }).compile(expression).program?.resultType;
    expect(typeOf("l[0].x")).toEqual({ kind: "int" });
    expect(typeOf("l.map(m, m.size() > 1)")).toEqual(listOf({ kind: "bool" }));
    expect(typeOf("true ? l : []")).toMatchObject({ kind: "list", items: { kind: "map" } });
    expect(typeOf("t - t")).toEqual({ kind: "duration" });
  });
});

test("the budget ends an evaluation, whatever is around what was too much", () => {
  const { program } = createCelEnvironment({ variables: { l: listOf(intType) } }).compile("l.all(x, x > 0) || true");
  const l = Array.from({ length: 100 }, (_, index) => index + 1);
  expect(program?.evaluate({ l }).cost).toBe(502);
  const failure = thrownBy(() => program?.evaluate({ l }, { costLimit: 100 })) as CelError;
  expect(failure.message).toBe("operation cancelled: actual cost limit exceeded");
  expect(failure.exceededBudget).toBe(true);
  expect(failure.cost).toBe(101);
});

test("values become JSON", () => {
  const json = (expression: string) => celToJson(evaluate(expression, {}, { homogeneousLiterals: false }));
  expect(json("{'a': [1, 1.5, 2u, true, null, 'x'], 'b': b'\\xff', 'c': duration('1.5s'), 'd': timestamp(0)}")).toEqual({
    a: [1, 1.5, 2, true, null, "x"],
    b: "/w==",
    c: "1.5s",
    d: "1970-01-01T00:00:00Z",
  });
  expect(json("9007199254740993")).toBe("9007199254740993");
  expect(json("{1: 'x'}")).toEqual({ "1": "x" });
  expect(() => json("int")).toThrowError(CelError);
});
