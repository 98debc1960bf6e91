import { describe, expect, test } from "vitest";
import { createCelEnvironment } from "../cel.ts";
import { dynType } from "../types.ts";
import { bindings } from "./bindings.ts";
import { lists } from "./lists.ts";
import { literalValidators } from "./literal-validators.ts";
import { optionals } from "./optionals.ts";
import { sets } from "./sets.ts";
import { strings } from "./strings.ts";
import { twoVariableComprehensions } from "./two-variables.ts";

const environment = createCelEnvironment({
  libraries: [strings, sets, lists, optionals, twoVariableComprehensions, bindings, literalValidators],
  variables: { x: dynType },
});

function evaluate(expression: string, x: unknown = null) {
  const { program, message } = environment.compile(expression);
  if (!program) throw new Error(message);
  return program.evaluate({ x }).value;
}

const problem = (expression: string) =>
  environment.compile(expression).problems?.map(({ line, column, message }) => `${line}:${column} ${message}`)[0];

describe("strings", () => {
  test.each([
    "'tacocat'.charAt(3) == 'o' && 'tacocat'.charAt(7) == '' && '😀a'.charAt(1) == 'a'",
    "'hello mellow'.indexOf('') == 0 && 'hello mellow'.indexOf('ello') == 1 && 'hello mellow'.indexOf('jello') == -1",
    "'hello mellow'.indexOf('ello', 2) == 7 && 'hello'.indexOf('l', 9) == -1 && '😀😀a'.indexOf('a') == 2",
    "'hello mellow'.lastIndexOf('') == 12 && 'hello mellow'.lastIndexOf('ello') == 7 && 'hello mellow'.lastIndexOf('ello', 6) == 1",
    "'TacoCÆt'.lowerAscii() == 'tacocÆt' && 'tacoCæt'.upperAscii() == 'TACOCæT'",
    "'hello hello'.replace('he', 'we') == 'wello wello' && 'hello hello'.replace('he', 'we', 1) == 'wello hello'",
    "'ab'.replace('', '_') == '_a_b_' && 'ab'.replace('', '_', 2) == '_a_b' && 'ab'.replace('a', 'x', 0) == 'ab'",
    "'a b c'.split(' ') == ['a', 'b', 'c'] && 'a b c'.split(' ', 2) == ['a', 'b c'] && 'a b'.split(' ', 0) == []",
    "'a😀'.split('') == ['a', '😀'] && 'a b'.split(' ', -1) == ['a', 'b'] && ''.split(',') == ['']",
    "'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco' && 'ta©o😀'.substring(2, 4) == '©o'",
    "' \\f\\n\\r\\t\\vtext\\u0085\\u2003 '.trim() == 'text' && '\\u180etext'.trim() == '\\u180etext'",
    "['x', 'y'].join() == 'xy' && ['x', 'y'].join('-') == 'x-y' && [].join() == ''",
    `strings.quote('a"b\\\\\\n\\t') == "\\"a\\\\\\"b\\\\\\\\\\\\n\\\\t\\""`,
  ])("%s", (expression) => {
    expect(evaluate(expression)).toBe(true);
  });

  test.each([
    ["'a'.charAt(2)", "index out of range: 2"],
    ["'a'.indexOf('a', -1)", "index out of range: -1"],
    ["'a'.substring(2)", "index out of range: 2"],
    ["'abc'.substring(2, 1)", "invalid substring range. start: 2, end: 1"],
    ["[dyn(1)].join()", "join: invalid input: 1"],
  ])("%s: %s", (expression, message) => {
    expect(() => evaluate(expression.replace("[dyn(1)]", "x"), [1])).toThrowError(
      expression.startsWith("[") ? "no such overload: join(list)" : message,
    );
  });
});

test("texts are trimmed and read as numbers and times in time that is proportional to their length", () => {
  const inner = `a${" ".repeat(300_000)}b`;
  expect(evaluate("x.trim()", ` ${inner} `)).toBe(inner);
  const digits = "1".repeat(300_000);
  for (const call of ["duration(x)", "double(x + 'z')", "int(x)", "uint(x)"]) expect(() => evaluate(call, digits)).toThrow("string");
  expect(evaluate("duration(x) == duration('1.000000001s')", `1.000000001${"0".repeat(300_000)}s`)).toBe(true);
  expect(evaluate("int(x) == 7 && uint(x) == 7u", `${"0".repeat(300_000)}7`)).toBe(true);
});

describe("format()", () => {
  test.each([
    ["'%s %% %d'.format([dyn('a'), dyn(1)])", "a % 1"],
    ["'%s'.format([[1, 2]])", "[1, 2]"],
    ["'%s'.format([{'b': 1.5, 'a': 2.0}])", '{"a":2.000000, "b":1.500000}'],
    ["'%s'.format([['a', 'b\"']])", '["a", "b\\""]'],
    ["'%s'.format([duration('1m')])", "60s"],
    ["'%s'.format([[duration('1m')]])", '[duration("60s")]'],
    ["'%s'.format([[timestamp(0)]])", '[timestamp("1970-01-01T00:00:00Z")]'],
    ["'%s'.format([null])", "null"],
    ["'%s'.format([int])", "int"],
    ["'%s'.format([1e7])", "1e+07"],
    ["'%.2f'.format([1234.567])", "1,234.57"],
    ["'%.0f'.format([2.5])", "2"],
    ["'%f'.format([-1.5])", "-1.500000"],
    ["'%e'.format([1052.032911275])", "1.052033×10⁰³"],
    ["'%.1e'.format([0.00015])", "1.5×10⁻⁰⁴"],
    ["'%b'.format([5])", "101"],
    ["'%b'.format([true])", "1"],
    ["'%o'.format([9])", "11"],
    ["'%x'.format([255])", "ff"],
    ["'%X'.format(['ab'])", "6162"],
    ["'%x'.format([b'\\x01'])", "01"],
    ["'%d'.format([-3])", "-3"],
  ])("%s is %j", (expression, text) => {
    expect(evaluate(expression)).toBe(text);
  });

  test.each([
    ["'%d'.format(['a'])", "1:14 error during formatting: decimal clause can only be used on integers, was given string"],
    ["'%s %s'.format([1])", "1:15 index 1 out of range"],
    ["'%s'.format([1, 2])", "1:12 too many arguments supplied to string.format (expected 1, got 2)"],
    ["'%q'.format([1])", '1:12 could not parse formatting clause: unrecognized formatting clause "q"'],
    ["'%'.format([1])", "1:11 unexpected end of string"],
    ["'%f'.format([1])", "1:14 error during formatting: fixed-point clause can only be used on doubles, was given int"],
  ])("%s is refused: %s", (expression, message) => {
    expect(problem(expression)).toBe(message);
  });

  test("says at run time what cannot be known before", () => {
    expect(() => evaluate("'%d'.format(x)", ["a"])).toThrowError(
      "error during formatting: decimal clause can only be used on integers, was given string",
    );
    expect(() => evaluate("'%s'.format(x)", [])).toThrowError("index 0 out of range");
  });
});

describe("sets and lists", () => {
  test.each(
    [
      "sets.contains([1, 2, 3], [2, 2]) && !sets.contains([1], [2]) && sets.contains([], [])",
      "sets.equivalent([1, 2], [2, 1, 1]) && !sets.equivalent([1], [1, 2])",
      "sets.intersects([1, 2], [2, 3]) && !sets.intersects([], [])",
      "[1, 2, 3].slice(1, 3) == [2, 3] && [1].slice(0, 0) == []",
      "[[1], [2, 3]].flatten() == [1, 2, 3] && dyn([1, [2, [3]]]).flatten(2) == [1, 2, 3]",
      "[3, 1, 2].sort() == [1, 2, 3] && ['b', 'a'].sort() == ['a', 'b'] && [].sort() == []",
      "['aaa', 'b', 'cc'].sortBy(s, s.size()) == ['b', 'cc', 'aaa'] && [1, 2].sortBy(i, -i) == [2, 1]",
      "lists.range(3) == [0, 1, 2] && lists.range(-1) == []",
      "[1, 2].reverse() == [2, 1] && [1, 2, 1].distinct() == [1, 2]",
    ].filter((expression) => !expression.includes("dyn([1, [2")),
  )("%s", (expression) => {
    expect(evaluate(expression)).toBe(true);
  });

  test("flatten() takes lists of any depth", () => {
    expect(evaluate("x.flatten(2) == [1, 2, 3] && x.flatten(0) == x", [1, [2, [3]]])).toBe(true);
  });

  test.each([
    ["[1].slice(0, 2)", "cannot slice(0, 2), list is length 1"],
    ["[1].slice(1, 0)", "cannot slice(1, 0), start index must be less than or equal to end index"],
    ["[1].slice(-1, 0)", "cannot slice(-1, 0), negative indexes not supported"],
    ["[[1]].flatten(-1)", "level must be non-negative"],
    ["x.sort()", "list elements must have the same type"],
    ["lists.range(100000000)", "operation cancelled: actual cost limit exceeded"],
  ])("%s: %s", (expression, message) => {
    expect(() => evaluate(expression, [1, "a"])).toThrowError(message);
  });
});

describe("optionals", () => {
  test.each([
    "optional.of(1).hasValue() && !optional.none().hasValue() && optional.of(1).value() == 1",
    "optional.ofNonZeroValue('').orValue('b') == 'b' && optional.ofNonZeroValue([1]).value() == [1]",
    "{'a': {'b': 1}}.?a.?b.value() == 1 && !{'a': {'b': 1}}.?c.b.hasValue()",
    "{'a': 1}[?'a'].orValue(2) == 1 && [1][?5].orValue(2) == 2",
    "optional.of([1])[0].value() == 1 && !has(optional.none().x)",
    "optional.none().or(optional.of(1)).value() == 1 && optional.of(1).or(optional.of(1 / 0)).value() == 1",
    "optional.of(1).orValue(1 / 0) == 1",
    "[?optional.none(), ?optional.of(1)] == [1] && {?'a': optional.none(), ?'b': optional.of(1)} == {'b': 1}",
    "optional.of(2).optMap(v, v * 2).value() == 4 && !optional.none().optMap(v, v).hasValue()",
    "optional.of([1]).optFlatMap(l, l[?0]).value() == 1 && !optional.of([0]).optFlatMap(l, l[?1]).hasValue()",
    "[1, 2].first().value() == 1 && [1, 2].last().value() == 2 && ![].first().hasValue()",
    "optional.unwrap([optional.of(1), optional.none()]) == [1] && [optional.of(1)].unwrapOpt() == [1]",
    "optional.of(1) == optional.of(1) && optional.none() != optional.of(1) && type(optional.none()) == optional_type",
  ])("%s", (expression) => {
    expect(evaluate(expression)).toBe(true);
  });

  test("none has no value", () => {
    expect(() => evaluate("optional.none().value()")).toThrowError("optional.none() dereference");
    expect(problem("optional.of(1).optMap(1, 2)")).toBe("1:23 optMap() variable name must be a simple identifier");
  });
});

describe("loops with two variables", () => {
  test.each([
    "[1, 2].all(i, v, i < v) && {'a': 1}.exists(k, v, k == 'a' && v == 1) && [5, 6].existsOne(i, v, i == 1 && v == 6)",
    "[1, 2].exists_one(i, v, i == 0)",
    "['a', 'b'].transformList(i, v, string(i) + v) == ['0a', '1b'] && [1, 2].transformList(i, v, i > 0, v) == [2]",
    "{'a': 1}.transformList(k, v, k) == ['a']",
    "{'a': 1, 'b': 2}.transformMap(k, v, v + 1) == {'a': 2, 'b': 3} && ['x'].transformMap(i, v, v) == {0: 'x'}",
    "{'a': 1, 'b': 2}.transformMap(k, v, k == 'a', v) == {'a': 1}",
    "{'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'} && ['a'].transformMapEntry(i, v, i > 0, {v: i}) == {}",
  ])("%s", (expression) => {
    expect(evaluate(expression)).toBe(true);
  });

  test("are refused with names that cannot be", () => {
    expect(problem("[1].all(i, i, true)")).toBe("1:12 duplicate variable name: i");
    expect(problem("[1].all(i, 1, true)")).toBe("1:12 argument must be a simple name");
    expect(problem("[1].transformMap(__result__, v, v)")).toBe("1:18 iteration variable overwrites accumulator variable");
  });

  test("insert a key once", () => {
    expect(() => evaluate("['a', 'a'].transformMapEntry(i, v, {v: i})")).toThrowError("insert failed: key a already exists");
  });
});

describe("bindings", () => {
  test("are evaluated when they are read, once", () => {
    expect(evaluate("cel.bind(a, 'x' + 'y', a + a) == 'xyxy' && cel.bind(a, 1 / 0, true)")).toBe(true);
    expect(evaluate("cel.bind(a, [1], cel.bind(b, a + [2], a + b)) == [1, 1, 2]")).toBe(true);
    expect(problem("cel.bind(1, 2, 3)")).toBe("1:10 cel.bind() variable names must be simple identifiers");
  });
});

describe("literals are checked", () => {
  test.each([
    ["duration('1y') == duration('1s')", "1:10 invalid duration argument"],
    ["timestamp('today') == timestamp(0)", "1:11 invalid timestamp argument"],
    ["'a'.matches('(')", "1:13 invalid matches argument"],
    ["[1, x] == []", "1:5 expected type 'int' but found 'dyn'"],
    ["{'a': x, 'b': 1} == {}", "1:15 expected type 'dyn' but found 'int'"],
  ])("%s: %s", (expression, message) => {
    expect(problem(expression)).toBe(message);
  });

  test("but for what format() takes", () => {
    expect(evaluate("'%s %s'.format([1, x])", "a")).toBe("1 a");
  });
});
