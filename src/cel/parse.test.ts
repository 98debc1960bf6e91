import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CelError, createCelEnvironment } from "./cel.ts";
import { optionals } from "./extensions/optionals.ts";
import { dynType } from "./types.ts";

const environment = createCelEnvironment({ libraries: [optionals], variables: { a: dynType, b: dynType } });
/** The first line of each problem, without its source. */
const problems = (expression: string) =>
  environment.compile(expression).problems?.map(({ line, column, message }) => `${line}:${column} ${message}`);

const first = "'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER";
const mismatched = (token: string) => `Syntax error: mismatched input '${token}' expecting {${first}}`;

describe("syntax errors", () => {
  test.each([
    ["", `1:0 ${mismatched("<EOF>")}`],
    ["  ", `1:3 ${mismatched("<EOF>")}`],
    ["1 +", `1:4 ${mismatched("<EOF>")}`],
    ["a ==\n", `2:1 ${mismatched("<EOF>")}`],
    ["a && && b", `1:6 Syntax error: extraneous input '&&' expecting {${first}}`],
    ["a.", "1:3 Syntax error: no viable alternative at input '.'"],
    ["a.1", "1:2 Syntax error: extraneous input '.1' expecting <EOF>"],
    ["a.true", "1:3 Syntax error: mismatched input 'true' expecting IDENTIFIER"],
    ["a.in", "1:3 Syntax error: no viable alternative at input '.in'"],
    ["a.?", "1:4 Syntax error: mismatched input '<EOF>' expecting {IDENTIFIER, ESC_IDENTIFIER}"],
    ["a b", "1:3 Syntax error: extraneous input 'b' expecting <EOF>"],
    ["a b a", "1:3 Syntax error: mismatched input 'b' expecting <EOF>"],
    ["(a", "1:3 Syntax error: missing ')' at '<EOF>'"],
    ["a)", "1:2 Syntax error: extraneous input ')' expecting <EOF>"],
    ["a[1", "1:4 Syntax error: missing ']' at '<EOF>'"],
    ["size(a", "1:7 Syntax error: missing ')' at '<EOF>'"],
    [
      "size(",
      `1:6 Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', ')', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}`,
    ],
    ["[1, 2", "1:6 Syntax error: mismatched input '<EOF>' expecting {']', ','}"],
    ["{'a': 1", "1:8 Syntax error: mismatched input '<EOF>' expecting {'}', ','}"],
    ["{'a' 1}", "1:6 Syntax error: missing ':' at '1'"],
    ["a ? b", "1:6 Syntax error: mismatched input '<EOF>' expecting ':'"],
    ["T{x: 1", "1:7 Syntax error: mismatched input '<EOF>' expecting {'}', ','}"],
    ["-", "1:2 Syntax error: no viable alternative at input '-'"],
    ["a = b", "1:3 Syntax error: token recognition error at: '= '"],
    ["'abc", "1:1 Syntax error: token recognition error at: ''abc'"],
    ["'a\\q'", "1:1 Syntax error: token recognition error at: ''a\\q'"],
    ["#", "1:1 Syntax error: token recognition error at: '#'"],
    ["'a\nb'", "1:1 Syntax error: token recognition error at: ''a\n'"],
    ["'a\tb", "1:1 Syntax error: token recognition error at: ''a\tb'"],
  ])("%j: %s", (expression, problem) => {
    expect(problems(expression)?.[0]).toBe(problem);
  });

  test("go on after the first one", () => {
    expect(problems("a. ==")).toEqual(["1:4 Syntax error: no viable alternative at input '. =='", `1:6 ${mismatched("<EOF>")}`]);
    expect(problems("--")).toEqual(["1:3 Syntax error: no viable alternative at input '-'", `1:3 ${mismatched("<EOF>")}`]);
    expect(problems("*@a | b")?.map((problem) => problem.slice(0, 50))).toEqual([
      "1:1 Syntax error: extraneous input '*' expecting {",
      "1:2 Syntax error: token recognition error at: '@'",
      "1:5 Syntax error: token recognition error at: '| '",
      "1:7 Syntax error: extraneous input 'b' expecting <",
    ]);
  });

  test("are shown with the line they are in and a caret below", () => {
    expect(environment.compile("a +\n\tb c").message).toBe(
      "ERROR: <input>:2:4: Syntax error: extraneous input 'c' expecting <EOF>\n |  b c\n | ...^",
    );
    expect(environment.compile("'ä' + 😀").message).toContain("\n | 'ä' + 😀\n | .．....＾");
  });
});

describe("what the grammar allows and the language does not", () => {
  test.each([
    ["if", "1:1 reserved identifier: if"],
    ["a + namespace", "1:5 reserved identifier: namespace"],
    ["for(a)", "1:1 reserved identifier: for"],
    ["9223372036854775808", "1:1 invalid int literal"],
    ["18446744073709551616u", "1:1 invalid uint literal"],
    ["1e999", "1:1 invalid double literal"],
    ["'\\ud800'", "1:1 invalid unicode code point"],
    ["a.`b-c`", "1:3 unsupported syntax: '`'"],
    ["has(a)", "1:5 invalid argument to has() macro"],
    ["[1].all(1, true)", "1:9 argument must be a simple name"],
    ["[1].map(a.b, 1)", "1:10 argument is not an identifier"],
    ["[1].filter(__result__, true)", "1:12 iteration variable overwrites accumulator variable"],
  ])("%j: %s", (expression, problem) => {
    expect(problems(expression)).toEqual([problem]);
  });

  test("reserved names can be fields", () => {
    expect(environment.compile("a.namespace.if").problems).toBeUndefined();
  });

  test("the syntax of optionals, without them", () => {
    const plain = createCelEnvironment({ variables: { a: dynType } });
    for (const [expression, message] of [
      ["a.?b", "unsupported syntax '.?'"],
      ["a[?1]", "unsupported syntax '[?'"],
      ["[?a]", "unsupported syntax '?'"],
      ["{?1: a}", "unsupported syntax '?'"],
    ] as const)
      expect(plain.compile(expression).problems?.[0]?.message).toBe(message);
  });
});

describe("limits", () => {
  test("of nesting", () => {
    const nested = (depth: number) => `${"[".repeat(depth)}1${"]".repeat(depth)}`;
    expect(environment.compile(nested(249)).problems).toBeUndefined();
    expect(environment.compile(nested(250)).message).toBe("ERROR: <input>:-1:0: expression recursion limit exceeded: 250");
  });

  test("of nesting after a syntax error", () => {
    expect(environment.compile(`) ${"(".repeat(50_000)}`).problems?.[0]?.message).toBe("expression recursion limit exceeded: 250");
  });

  test("of chains", () => {
    const chain = (length: number) => Array.from({ length: length + 1 }, () => "1").join(" + ");
    expect(environment.compile(chain(250)).problems).toBeUndefined();
    expect(environment.compile(chain(251)).message).toBe("ERROR: <input>:-1:0: max recursion depth exceeded");
    expect(environment.compile(`a${".b".repeat(251)}`).message).toBe("ERROR: <input>:-1:0: max recursion depth exceeded");
  });

  test("of chains of && and ||, which become balanced trees", () => {
    expect(environment.compile(Array.from({ length: 2000 }, () => "true").join(" && ")).problems).toBeUndefined();
  });

  test("of the size", () => {
    expect(environment.compile(`'${"\\n".repeat(49_000)}' == ''`).problems).toBeUndefined();
    expect(environment.compile(`'${"x".repeat(100_000)}'`).message).toBe(
      "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100002, limit 100000",
    );
  });

  test("of problems that are explained", () => {
    expect(environment.compile("( ".repeat(300)).problems?.length).toBeLessThan(60);
  });
});

test("every text is an expression or has a problem, and evaluation ends with a value or an error of the language", () => {
  const token = fc.constantFrom(
    ..."a b 1 2u 1.5 'x' b'y' true null in if ( ) [ ] { } . , - ! ? : + * / % == != < >= && || has all map size int .? [? {? `q` @ | = 'u".split(
      " ",
    ),
    "a.all(x, x",
    "{'k': 1",
    "T{f: ",
    "// c",
    "\n",
  );
  fc.assert(
    fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
      const text = tokens.join(" ");
      const { program, message, problems: found } = environment.compile(text);
      if (!program) {
        expect(found).not.toHaveLength(0);
        expect(message).not.toBe("");
        return;
      }
      try {
        program.evaluate({ a: [1, "x", { k: 1 }], b: 2 });
        expect(program.cost.min).toBeLessThanOrEqual(program.cost.max);
      } catch (error) {
        expect(error).toBeInstanceOf(CelError);
      }
    }),
    { numRuns: 5000, seed: 11 },
  );
});
