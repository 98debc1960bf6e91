import { describe, expect, it } from "vitest";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { compileSchema } from "./compile-schema.ts";
import { validateDefaults } from "./default-values.ts";
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

describe("of schemas and objects that multiply", () => {
  const many = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

  it("no more is told than can be read: names of a megabyte and long enums are not repeated for each value", () => {
    const schema = ofSpec({
      type: "object",
      properties: {
        named: { type: "object", additionalProperties: { type: "array", items: { type: "string" } } },
        chosen: { type: "array", items: { type: "string", enum: many(20_000, (i) => `value${i}`) } },
        fits: { type: "array", items: { type: "string", pattern: `^${"x".repeat(9000)}$` } },
        needs: { type: "array", items: { type: "object", required: many(20_000, (i) => `field${i}`) } },
        pruned: { type: "object", additionalProperties: { type: "object" } },
      },
    });
    const name = "k".repeat(1_000_000);
    const told = (spec: JsonObject): number => schema.validate({ spec }).length;
    expect(told({ named: { [name]: many(100_000, () => 1) } })).toBeLessThan(10);
    expect(told({ chosen: many(100_000, (i) => `other${i}`) })).toBeGreaterThan(5);
    expect(told({ fits: many(100_000, (i) => `y${i}`) })).toBeGreaterThan(100);
    expect(told({ needs: many(100_000, () => ({})) })).toBeGreaterThan(1000);
    const { object, unknown } = schema.prune({ spec: { pruned: { [name]: Object.fromEntries(many(100_000, (i) => [`f${i}`, 1])) } } });
    expect(object).toEqual({ spec: { pruned: { [name]: {} } } });
    expect(unknown.length).toBeLessThan(10);
  });

  it("values of an enum are found among any number", () => {
    const values = [...many(20_000, (i) => i * 2), ...many(20_000, (i) => ({ a: [i] })), "A"];
    const schema = ofSpec({ "x-kubernetes-preserve-unknown-fields": true, enum: values });
    for (const spec of [0, 39_998, 39_998.5, { a: [19_999] }, 65]) expect([spec, schema.validate({ spec }).length]).toEqual([spec, 0]);
    for (const spec of [1, "0", { a: [20_000] }, { a: 1 }, [1], 67]) expect(schema.validate({ spec }).length).toBeGreaterThan(0);
  });

  it("checks end where they would take longer than anything that means something", () => {
    const branches = many(20_000, () => ({ minimum: 0 }));
    const schema = ofSpec({ type: "array", items: { type: "integer", allOf: branches } });
    expect(schema.validate({ spec: many(100, () => 1) })).toEqual([]);
    expect(() => schema.validate({ spec: many(100_000, () => 1) })).toThrow(expect.objectContaining({ code: 413 }) as Error);
    const matched = ofSpec({ type: "string", pattern: `${"(x?){1000}".repeat(8)}y` });
    expect(() => matched.validate({ spec: "x".repeat(1_000_000) })).toThrow(expect.objectContaining({ code: 413 }) as Error);
  });

  it("defaults add no more than some megabytes: to what is sent it is refused, to what is stored it is left out", () => {
    const item: JSONSchemaProps = { type: "object", properties: { a: { type: "string", default: "x".repeat(100_000) } } };
    const schema = ofSpec({ type: "array", items: item });
    const sent = { spec: many(10_000, () => ({})) };
    expect(() => schema.decode(sent)).toThrow(expect.objectContaining({ code: 413 }) as Error);
    const { spec } = schema.decode(sent, { dropInvalid: true }).object as { spec: JsonObject[] };
    expect([spec.length, "a" in (spec[0] ?? {}), "a" in (spec.at(-1) ?? {})]).toEqual([10_000, true, false]);
    expect(schema.decode({ spec: many(30, () => ({})) }).unknown).toEqual([]);
  });

  it("keys of list maps are compared in the time that the items take", () => {
    const keys = many(20_000, (i) => `k${i}`);
    const schema = ofSpec({
      type: "array",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": keys,
      items: { type: "object", properties: Object.fromEntries(keys.map((key) => [key, { type: "integer", default: 0 }])) },
    });
    expect(schema.validate({ spec: many(100_000, (i) => ({ k0: i, other: 1 })) })).toEqual([]);
    expect(schema.validate({ spec: [{ k1: 1 }, { k1: 1, other: 2 }] })).toHaveLength(1);
  });

  it("what stays wrong beside what is new is not told", () => {
    const schema = ofSpec({
      type: "object",
      properties: { a: { type: "object", properties: { s: { type: "string", maxLength: 1 } } }, b: { type: "string", maxLength: 1 } },
    });
    const told = schema.validateUpdate({ spec: { a: { s: "old" }, b: "new" } }, { spec: { a: { s: "old" }, b: "x" } });
    expect(told.map(({ field }) => field)).toEqual(["spec.b"]);
  });
});

it("thousands of defaults in the metadata of an embedded resource are checked with one look at its schema", () => {
  const labels = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`l${i}`, { type: "string", default: "x" }]));
  const wrong = { ...labels, bad: { type: "string", default: "not a label" } };
  const text = { type: "string" };
  const metadata = { type: "object", properties: { labels: { type: "object", properties: wrong } } };
  const embedded = {
    type: "object",
    "x-kubernetes-embedded-resource": true,
    properties: { apiVersion: text, kind: text, metadata },
  } as JSONSchemaProps;
  const errors = validateDefaults({ type: "object", properties: { e: embedded } }, "schema", { requirePruned: true });
  expect(errors.map(({ field }) => field)).toEqual([
    "schema.properties[e].properties[metadata].properties[labels].properties[bad].default",
  ]);
});

it("a deep schema is looked through once, not once for each level", () => {
  let schema: JSONSchemaProps = {
    type: "object",
    properties: Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`p${i}`, { type: "string", default: "x" }])),
  };
  let value: JsonObject = {};
  for (let i = 0; i < 200; i++) [schema, value] = [{ type: "object", properties: { a: schema } }, { a: value }];
  const startMs = performance.now();
  let { object } = compileSchema(schema).decode(value);
  for (let i = 0; i < 200; i++) object = object["a"] as JsonObject;
  expect(Object.keys(object)).toHaveLength(20_000);
  expect(performance.now() - startMs).toBeLessThan(2500);
});
