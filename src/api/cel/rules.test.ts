import { describe, expect, it } from "vitest";
import { compileSchema } from "../structural/compile-schema.ts";
import type { CustomResourceDefinition, JSONSchemaProps, ValidationRule } from "../types/apiextensions-v1.ts";
import { validateDefinition } from "../validation/custom-resource-definition.ts";
import { escapeField } from "./escape-field.ts";
import { analyzeRules } from "./rule-compiler.ts";
import { schemaType } from "./schema-type.ts";
import { compileSchemaRules } from "./validate-rules.ts";

const object = (properties: Readonly<Record<string, JSONSchemaProps>>, ...rules: readonly ValidationRule[]): JSONSchemaProps => ({
  type: "object",
  properties,
  ...(rules.length > 0 ? { "x-kubernetes-validations": rules } : {}),
});
const text: JSONSchemaProps = { type: "string" };
const integer: JSONSchemaProps = { type: "integer" };
const compile = (schema: JSONSchemaProps) => compileSchema(schema, { compileRules: compileSchemaRules });

const created = (schema: JSONSchemaProps, value: object): string[] =>
  compile(schema)
    .validate({ metadata: { name: "x" }, ...value })
    .map(({ message }) => message);

const updated = (schema: JSONSchemaProps, value: object, old: object): string[] =>
  compile(schema)
    .validateUpdate({ metadata: { name: "x" }, ...value }, { metadata: { name: "x" }, ...old })
    .map(({ message }) => message);

describe("rules of custom resources", () => {
  it("refuse what they say, with their message, reason and place", () => {
    const spec = object(
      { n: integer, s: text },
      { rule: "self.n < 5" },
      { rule: "self.s != 'no'", message: "must be yes", reason: "FieldValueForbidden", fieldPath: ".s" },
      { rule: "self.s.size() < 4", messageExpression: "'longer than ' + string(self.n)" },
    );
    expect(created(object({ spec }), { spec: { n: 1, s: "yes" } })).toEqual([]);
    expect(created(object({ spec }), { spec: { n: 7, s: "no" } })).toEqual([
      "spec: Invalid value: failed rule: self.n < 5",
      "spec.s: Forbidden: must be yes",
    ]);
    expect(created(object({ spec }), { spec: { n: 1, s: "maybe" } })).toEqual(["spec: Invalid value: longer than 1"]);
  });

  it("see the name of the whole object, and items and entries one by one", () => {
    const positive = { ...integer, "x-kubernetes-validations": [{ rule: "self > 0", message: "must be positive" }] };
    const short = { ...text, "x-kubernetes-validations": [{ rule: "self.size() < 3" }] };
    const lists = object({ l: { type: "array", items: positive }, m: { type: "object", additionalProperties: short } });
    const schema = object({ spec: lists }, { rule: "self.metadata.name.startsWith('w')", message: "w first" });
    expect(created(schema, { spec: { l: [1, -1], m: { a: "long" } } })).toEqual([
      "<nil>: Invalid value: w first",
      "spec.l[1]: Invalid value: -1: must be positive",
      'spec.m[a]: Invalid value: "long": failed rule: self.size() < 3',
    ]);
  });

  it("tell what they could not be evaluated for", () => {
    const spec = object({ l: { type: "array", items: text }, a: text }, { rule: "self.l[0] == 'a'" }, { rule: "self.a == 'a'" });
    expect(created(object({ spec }), { spec: { l: [] } })).toEqual([
      "spec: Invalid value: \"object\": index out of bounds: 0 evaluating rule: self.l[0] == 'a'",
      "spec: Invalid value: \"object\": no such key: a evaluating rule: self.a == 'a'",
    ]);
  });

  it("compare with the old value where there is one", () => {
    const immutable = { ...text, "x-kubernetes-validations": [{ rule: "self == oldSelf", message: "is immutable" }] };
    const grows = {
      ...integer,
      "x-kubernetes-validations": [
        { rule: "oldSelf.hasValue() ? self > oldSelf.value() : self == 1", optionalOldSelf: true, message: "1 and up" },
      ],
    };
    const item = object({ k: text, v: { ...integer, "x-kubernetes-validations": [{ rule: "self >= oldSelf", message: "shrinks" }] } });
    const map: JSONSchemaProps = {
      type: "array",
      items: item,
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["k"],
    };
    const schema = object({ spec: object({ a: immutable, n: grows, m: map }) });
    expect(created(schema, { spec: { a: "1", m: [{ k: "a", v: 2 }] } })).toEqual([]);
    expect(updated(schema, { spec: { a: "2" } }, { spec: { a: "1" } })).toEqual(['spec.a: Invalid value: "2": is immutable']);
    expect(updated(schema, { spec: { a: "2" } }, { spec: {} })).toEqual([]);
    const old = {
      spec: {
        m: [
          { k: "a", v: 2 },
          { k: "b", v: 1 },
        ],
      },
    };
    expect(
      updated(
        schema,
        {
          spec: {
            m: [
              { k: "b", v: 1 },
              { k: "a", v: 1 },
            ],
          },
        },
        old,
      ),
    ).toEqual(["spec.m[1].v: Invalid value: 1: shrinks"]);
    expect(created(schema, { spec: { n: 2 } })).toEqual(["spec.n: Invalid value: 2: 1 and up"]);
    expect(updated(schema, { spec: { n: 2 } }, { spec: { n: 1 } })).toEqual([]);
  });

  it("let stay what did not change", () => {
    const schema = object({ spec: object({ a: { ...text, "x-kubernetes-validations": [{ rule: "self != 'bad'" }] }, b: text }) });
    expect(updated(schema, { spec: { a: "bad", b: "2" } }, { spec: { a: "bad", b: "1" } })).toEqual([]);
    expect(updated(schema, { spec: { a: "bad" } }, { spec: { a: "good" } })).toHaveLength(1);
    const warnings: string[] = [];
    const old = { metadata: { name: "x" }, spec: { a: "bad", b: "1" } };
    compile(schema).validateUpdate({ ...old, spec: { a: "bad", b: "2" } }, old, ({ message }) => warnings.push(message));
    expect(warnings).toEqual(["spec.a: Invalid value: \"bad\": failed rule: self != 'bad'"]);
  });

  it("of allOf are about the same value", () => {
    const spec = { ...object({ n: integer }), allOf: [{ "x-kubernetes-validations": [{ rule: "self.n < 5" }] }] };
    expect(created(object({ spec }), { spec: { n: 6 } })).toEqual(["spec: Invalid value: failed rule: self.n < 5"]);
  });

  it("know sets, map lists, formats, escaped names and what is a number or a text", () => {
    const set = { type: "array", items: text, "x-kubernetes-list-type": "set" };
    const spec = object(
      { set, port: { "x-kubernetes-int-or-string": true }, at: { ...text, format: "date-time" }, namespace: text, "a-b": text },
      { rule: "self.set == ['b', 'a']" },
      { rule: "type(self.port) == int && self.port == 80" },
      { rule: "self.at < timestamp('2030-01-01T00:00:00Z')" },
      { rule: "self.__namespace__ == 'n' && self.a__dash__b == 'x'" },
      { rule: "(self.set + ['a', 'c']).size() == 3" },
    );
    const value = { set: ["a", "b"], port: 80, at: "2026-01-01T00:00:00Z", namespace: "n", "a-b": "x" };
    expect(created(object({ spec }), { spec: value })).toEqual([]);
  });

  it("end where their budget does", () => {
    const item = {
      ...integer,
      "x-kubernetes-validations": [{ rule: "[1,2,3,4,5,6,7,8,9].all(x, [1,2,3,4,5,6,7,8,9].all(y, x * y > 0))" }],
    };
    const schema = object({ spec: object({ l: { type: "array", items: item } }) });
    const errors = created(schema, { spec: { l: new Array<number>(100_000).fill(1) } });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(/validation failed due to running out of cost budget, no further validation rules will be run$/);
  });
});

describe("rules in definitions", () => {
  const definition = (spec: JSONSchemaProps): CustomResourceDefinition =>
    ({
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: "ws.example.com" },
      spec: {
        group: "example.com",
        scope: "Namespaced",
        names: { plural: "ws", singular: "w", kind: "W", listKind: "WList" },
        versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: object({ spec }) } }],
      },
      status: { storedVersions: ["v1"], conditions: [], acceptedNames: { plural: "", kind: "" } },
    }) as unknown as CustomResourceDefinition;
  const problems = (spec: JSONSchemaProps): string[] =>
    validateDefinition(definition(spec), { analyze: analyzeRules, compile: compileSchemaRules }).map(({ message }) => message);

  it("have to compile", () => {
    expect(problems(object({ a: text }, { rule: "self.b == 'x'" }))).toEqual([
      expect.stringContaining("compilation failed: ERROR: <input>:1:5: undefined field 'b'\n | self.b == 'x'\n | ....^"),
    ]);
    expect(problems(object({ a: text }, { rule: "self.a" }))).toEqual([expect.stringContaining("cel expression must evaluate to a bool")]);
    expect(problems(object({ a: text }, { rule: "true", messageExpression: "1" }))).toEqual([
      expect.stringContaining("messageExpression must evaluate to a string"),
    ]);
  });

  it("have to be cheap for the largest object", () => {
    const nested = (depth: number): JSONSchemaProps => (depth === 0 ? text : { type: "array", items: nested(depth - 1) });
    const found = problems(object({ l: nested(3) }, { rule: "self.l.all(x, x.all(y, y.all(z, z.contains('a'))))" }));
    expect(found).toEqual([
      expect.stringContaining("Forbidden: estimated rule cost exceeds budget by factor of more than 100x"),
      expect.stringContaining("Forbidden: contributed to estimated rule cost total exceeding cost limit"),
      expect.stringContaining("Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget"),
    ]);
    const bounded = { type: "array", maxItems: 10, items: { ...text, maxLength: 10 } };
    expect(problems(object({ l: bounded }, { rule: "self.l.all(x, x.contains('a'))" }))).toEqual([]);
  });

  it("compare only what can be compared", () => {
    const items = object({ a: text }, { rule: "self.a == oldSelf.a" });
    const found = problems(object({ l: { type: "array", maxItems: 3, items } }));
    expect(found).toEqual([expect.stringContaining("oldSelf cannot be used on the uncorrelatable portion of the schema")]);
    expect(problems(object({ a: text }, { rule: "true", optionalOldSelf: true }))).toEqual([
      expect.stringContaining("may not be set if oldSelf is not used in rule"),
    ]);
  });
});

describe("schemaType()", () => {
  it("knows the largest sizes", () => {
    const sizeOf = (schema: JSONSchemaProps): number | undefined => schemaType(schema, { name: "t" })?.type.maxSize;
    const largest = 3 * 1024 * 1024 - 2;
    expect(sizeOf(text)).toBe(largest);
    expect(sizeOf({ ...text, maxLength: 5 })).toBe(20);
    expect(sizeOf({ ...text, enum: ["a", "abc"] })).toBe(3);
    expect(sizeOf({ ...text, format: "date-time" })).toBe(32);
    expect(sizeOf({ type: "array", items: integer })).toBe(Math.floor(largest / 2));
    expect(sizeOf({ type: "array", items: integer, maxItems: 7 })).toBe(7);
    expect(sizeOf({ type: "object", additionalProperties: text })).toBe(Math.floor(largest / 8));
    expect(sizeOf({ "x-kubernetes-preserve-unknown-fields": true })).toBeUndefined();
    expect(schemaType({ ...object({ abc: text }), required: ["abc"] }, { name: "t" })?.minBytes).toBe(2 + 3 + 2 + 4);
  });
});

describe("escapeField()", () => {
  it("makes identifiers of names", () => {
    expect(["a.b", "a-b/c", "a__b", "namespace", "ok", "9a", "a b"].map(escapeField)).toEqual([
      "a__dot__b",
      "a__dash__b__slash__c",
      "a__underscores__b",
      "__namespace__",
      "ok",
      undefined,
      undefined,
    ]);
  });
});
