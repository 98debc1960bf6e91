import { describe, expect, test } from "vitest";
import { createCelEnvironment } from "../cel.ts";
import { optionals } from "../extensions/optionals.ts";
import { CelRecord } from "../record.ts";
import { boolType, type CelType, celObjectType, dynType, formatCelType, intType, listOf, mapOf, stringType } from "../types.ts";

const inner = celObjectType("Spec.inner", () => new Map([["count", { type: intType }]]));
const spec: CelType = celObjectType(
  "Spec",
  () =>
    new Map<string, { readonly type: CelType }>([
      ["name", { type: stringType }],
      ["inner", { type: inner }],
      ["tags", { type: listOf(stringType) }],
      ["self", { type: spec }],
    ]),
);
const environment = createCelEnvironment({
  libraries: [optionals],
  variables: { self: spec, labels: mapOf(stringType, stringType), any: dynType, flag: boolType },
  types: (name) => (name === "Spec" ? spec : name === "Spec.inner" ? inner : undefined),
});
const problems = (expression: string) =>
  environment.compile(expression).problems?.map(({ line, column, message }) => `${line}:${column} ${message}`);
const typeOf = (expression: string) => {
  const { program, message } = environment.compile(expression);
  return program ? formatCelType(program.resultType) : message;
};

test.each([
  ["self.name", "string"],
  ["self.self.self.inner.count + 1", "int"],
  ["self.tags.map(t, t.size())", "list(int)"],
  ["labels['a']", "string"],
  ["any.a.b", "dyn"],
  ["[]", "list(dyn)"],
  ["[1, any]", "list(dyn)"],
  ["{'a': [1]}", "map(string, list(int))"],
  ["self.?name", "optional_type(string)"],
  ["self.?inner.count", "optional_type(int)"],
  ["labels[?'a'].orValue('b')", "string"],
  ["optional.none().orValue(1)", "int"],
  ["[optional.of(1), optional.none()]", "list(optional_type(int))"],
  ["type(self.name)", "type(string)"],
  ["int", "type(int)"],
  ["flag ? 1 : any", "dyn"],
  ["Spec{name: 'a', inner: Spec.inner{count: 1}}", "Spec"],
  ["Spec{?name: labels[?'a']}", "Spec"],
  ["self == null", "bool"],
])("the type of %s is %s", (expression, type) => {
  expect(typeOf(expression)).toBe(type);
});

describe("problems", () => {
  test.each([
    ["nothing.x", "1:1 undeclared reference to 'nothing' (in container '')"],
    ["nothing(1)", "1:8 undeclared reference to 'nothing' (in container '')"],
    ["self.name.nothing()", "1:18 undeclared reference to 'nothing' (in container '')"],
    ["self.nothing", "1:5 undefined field 'nothing'"],
    ["self.inner.nothing.more", "1:11 undefined field 'nothing'"],
    ["has(self.nothing)", "1:4 undefined field 'nothing'"],
    ["self.name.x", "1:10 type 'string' does not support field selection"],
    ["'a' + 1", "1:5 found no matching overload for '_+_' applied to '(string, int)'"],
    ["1 == 'a'", "1:3 found no matching overload for '_==_' applied to '(int, string)'"],
    ["self.name.startsWith(1)", "1:21 found no matching overload for 'startsWith' applied to 'string.(int)'"],
    ["size(1, 2)", "1:5 found no matching overload for 'size' applied to '(int, int)'"],
    ["[1, 'a']", "1:5 expected type 'int' but found 'string'"],
    ["{'a': 1, 'b': 'c'}", "1:15 expected type 'int' but found 'string'"],
    ["{'a': 1, 2: 1}", "1:10 expected type 'string' but found 'int'"],
    ["1 && flag", "1:1 expected type 'bool' but found 'int'"],
    ["flag ? 1 : 'a'", "1:6 found no matching overload for '_?_:_' applied to '(bool, int, string)'"],
    ["self.all(x, true)", "1:1 expression of type 'Spec' cannot be range of a comprehension (must be list, map, or dynamic)"],
    ["[1].all(x, x)", "1:12 expected type 'bool' but found 'int'"],
    ["'a' == null", "1:5 found no matching overload for '_==_' applied to '(string, null)'"],
    ["Nothing{}", "1:8 undeclared reference to 'Nothing' (in container '')"],
    ["Spec{nothing: 1}", "1:13 undefined field 'nothing'"],
    ["Spec{name: 1}", "1:10 expected type of field 'name' is 'string' but provided type is 'int'"],
    ["Spec{?name: 'a'}", "1:13 expected type 'optional_type(string)' but found 'string'"],
    ["[?1]", "1:3 expected type 'optional_type(int)' but found 'int'"],
    ["int{}", "1:4 'int' is not a message type"],
    ["flag{}", "1:5 'bool' is not a type"],
    ["!1", "1:1 found no matching overload for '!_' applied to '(int)'"],
    ["-'a'", "1:1 found no matching overload for '-_' applied to '(string)'"],
    ["self[0]", "1:5 found no matching overload for '_[_]' applied to '(Spec, int)'"],
  ])("%s: %s", (expression, problem) => {
    expect(problems(expression)?.[0]).toBe(problem);
  });

  test("are all reported, in the order of their places, each once", () => {
    expect(problems("x + y.z + self.a && z")).toEqual([
      "1:1 undeclared reference to 'x' (in container '')",
      "1:5 undeclared reference to 'y' (in container '')",
      "1:15 undefined field 'a'",
      "1:21 undeclared reference to 'z' (in container '')",
    ]);
  });
});

test("messages are made by their type, or as records", () => {
  const made = environment.compile("Spec{name: 'a', ?tags: optional.none()}").program?.evaluate({}).value;
  expect(made).toBeInstanceOf(CelRecord);
  expect((made as CelRecord).toJson()).toEqual({ name: "a" });
  expect(environment.compile("Spec{name: 'a'}.name == 'a' && !has(Spec{}.name)").program?.evaluate({}).value).toBe(true);
});
