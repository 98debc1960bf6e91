import { describe, expect, it } from "vitest";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { compileSchema } from "./compile-schema.ts";
import type { JsonObject } from "./json.ts";

const ofSpec = (spec: JSONSchemaProps): ReturnType<typeof compileSchema> => compileSchema({ type: "object", properties: { spec } });
const messages = (schema: JSONSchemaProps, spec: unknown): readonly string[] =>
  ofSpec(schema)
    .validate({ spec })
    .map(({ message }) => message);

describe("prune()", () => {
  it("drops what the schema does not know, and tells where it was", () => {
    const schema = compileSchema({
      type: "object",
      properties: {
        list: { type: "array", items: { type: "object", properties: { a: { type: "string" } } } },
        free: { type: "object", "x-kubernetes-preserve-unknown-fields": true, properties: { known: { type: "object" } } },
        named: { type: "object", additionalProperties: { type: "object", properties: { b: { type: "string" } } } },
      },
    });
    const object = {
      apiVersion: "v1",
      kind: "A",
      metadata: { name: "x" },
      list: [{ a: "1", b: 2 }],
      free: { any: { thing: 1 }, known: { gone: 1 } },
      named: { x: { b: "1", c: 1 } },
      other: 1,
    };
    const { object: pruned, unknown } = schema.prune(object);
    expect(pruned).toEqual({
      apiVersion: "v1",
      kind: "A",
      metadata: { name: "x" },
      list: [{ a: "1" }],
      free: { any: { thing: 1 }, known: {} },
      named: { x: { b: "1" } },
    });
    expect(unknown).toEqual(["free.known.gone", "list[0].b", "named.x.c", "other"]);
  });

  it("shares what needs no change", () => {
    const object = { spec: { a: "1" } };
    expect(ofSpec({ type: "object", properties: { a: { type: "string" } } }).prune(object).object).toBe(object);
  });
});

describe("applyDefaults()", () => {
  const schema = ofSpec({
    type: "object",
    default: {},
    properties: { size: { type: "integer", default: 3 }, free: { type: "string", nullable: true, default: "x" } },
  });

  it("fills in what is absent, from the outside in", () => {
    expect(schema.applyDefaults({})).toEqual({ spec: { size: 3, free: "x" } });
    expect(schema.applyDefaults({ spec: { size: 1 } })).toEqual({ spec: { size: 1, free: "x" } });
  });

  it("takes null for absent where it is not allowed", () => {
    expect(schema.applyDefaults({ spec: { size: null, free: null } })).toEqual({ spec: { size: 3, free: null } });
  });
});

describe("validate()", () => {
  it("tells types, ranges, patterns and what is required", () => {
    const schema: JSONSchemaProps = {
      type: "object",
      required: ["must"],
      properties: {
        size: { type: "integer", minimum: 1, maximum: 5 },
        name: { type: "string", pattern: "^[a-z]+$", maxLength: 3 },
        colour: { type: "string", enum: ["red", "blue"] },
        when: { type: "string", format: "date-time" },
      },
    };
    expect(messages(schema, { size: 9, name: "A", colour: "green", when: "now" })).toEqual([
      "spec.size: Invalid value: 9: spec.size in body should be less than or equal to 5",
      "spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$'",
      'spec.colour: Unsupported value: "green": supported values: "red", "blue"',
      'spec.when: Invalid value: "now": spec.when in body must be of type date-time: "now"',
      "spec.must: Required value",
    ]);
    expect(messages(schema, { must: 1, size: "1" })).toEqual([
      'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"',
    ]);
  });

  it("asks for one of oneOf", () => {
    const schema: JSONSchemaProps = { type: "object", oneOf: [{ required: ["a"] }, { required: ["b"] }] };
    expect(messages(schema, { a: 1 })).toEqual([]);
    expect(messages(schema, { a: 1, b: 1 })[0]).toContain("must validate one and only one schema (oneOf). Found 2 valid alternatives");
  });

  it("takes numbers for allowed values as Go converts them", () => {
    const allowed = (values: readonly unknown[], value: unknown): boolean =>
      compileSchema({ type: "object", properties: { a: { enum: values } } } as JSONSchemaProps).validate({ a: value }).length === 0;
    expect([allowed([1, 2], 1.5), allowed([1, 4.5], 4.7), allowed(["a"], 97), allowed(["a"], 98), allowed(["1"], 1)]).toEqual([
      true,
      false,
      true,
      false,
      false,
    ]);
  });

  it("tells repeated items of sets and maps", () => {
    const set: JSONSchemaProps = { type: "array", "x-kubernetes-list-type": "set", items: { type: "string" } };
    expect(messages(set, ["a", "b", "a"])).toEqual(['spec[2]: Duplicate value: "a"']);
    const map: JSONSchemaProps = {
      type: "array",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["k"],
      items: { type: "object", required: ["k"], properties: { k: { type: "string" }, v: { type: "string" } } },
    };
    expect(messages(map, [{ k: "a", v: "1" }, { k: "a" }])).toEqual(['spec[1]: Duplicate value: {"k":"a"}']);
  });

  it("stays quick with thousands of problems, and with texts made to be slow", () => {
    const numbers: JSONSchemaProps = { type: "array", items: { type: "integer", minimum: 1 } };
    expect(messages(numbers, new Array(20_000).fill(0))).toHaveLength(20_000);
    expect(messages({ type: "string", format: "email" }, `${"a".repeat(50_000)} b`)).toHaveLength(1);
    expect(messages({ type: "string", format: "duration" }, "1".repeat(50_000))).toHaveLength(1);
  });
});

describe("validateUpdate()", () => {
  const schema = ofSpec({
    type: "object",
    properties: {
      short: { type: "string", maxLength: 2 },
      other: { type: "string" },
      items: {
        type: "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        items: { type: "object", required: ["k"], properties: { k: { type: "string" }, n: { type: "integer", minimum: 1 } } },
      },
    },
  });
  const changed = (spec: JsonObject, old: JsonObject): number => schema.validateUpdate({ spec }, { spec: old }).length;

  it("lets stay what was wrong before and has not changed", () => {
    expect(changed({ short: "long", other: "b" }, { short: "long", other: "a" })).toBe(0);
    expect(changed({ short: "longer" }, { short: "long" })).toBe(1);
  });

  it("finds the items of list maps by their keys", () => {
    const [a, b] = [
      { k: "a", n: 0 },
      { k: "b", n: 5 },
    ];
    expect(changed({ items: [b, a] }, { items: [a, b] })).toBe(0);
    expect(changed({ items: [{ k: "a", n: -1 }] }, { items: [a] })).toBe(1);
  });
});

describe("decode()", () => {
  it("checks the metadata of embedded resources", () => {
    const schema = ofSpec({ type: "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true });
    expect(() => schema.decode({ spec: { apiVersion: "v1", kind: "A", metadata: { labels: { a: 1 } } } })).toThrow("metadata");
    const { object, unknown } = schema.decode({ spec: { apiVersion: "v1", kind: "A", metadata: { name: "x", odd: 1 }, more: 1 } });
    expect(object).toEqual({ spec: { apiVersion: "v1", kind: "A", metadata: { name: "x" }, more: 1 } });
    expect(unknown).toEqual(["spec.metadata.odd"]);
  });
});
