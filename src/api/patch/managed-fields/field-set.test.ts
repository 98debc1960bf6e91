import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  difference,
  emptySet,
  equalSets,
  type FieldSet,
  intersection,
  isEmptySet,
  keyElement,
  parseFieldsV1,
  pathsOf,
  recursiveDifference,
  setOf,
  toFieldsV1,
  union,
  withSharedFields,
} from "./field-set.ts";

const sets: fc.Arbitrary<FieldSet> = fc
  .array(fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 }), { maxLength: 8 })
  .map((paths) => setOf(...paths));

describe("field sets", () => {
  it("obey the laws of sets", () => {
    fc.assert(
      fc.property(sets, sets, (a, b) => {
        expect(equalSets(union(a, b), union(b, a))).toBe(true);
        expect(equalSets(intersection(a, b), intersection(b, a))).toBe(true);
        expect(equalSets(union(difference(a, b), intersection(a, b)), a)).toBe(true);
        expect(isEmptySet(intersection(difference(a, b), b))).toBe(true);
        expect(isEmptySet(difference(recursiveDifference(a, b), difference(a, b)))).toBe(true);
      }),
    );
  });

  it("are written and read as FieldsV1", () => {
    fc.assert(
      fc.property(sets, (a) => {
        expect(equalSets(parseFieldsV1(JSON.parse(JSON.stringify(toFieldsV1(a)))), a)).toBe(true);
      }),
    );
    const fields = {
      "f:spec": { "f:containers": { 'k:{"name":"c"}': { ".": {}, "f:image": {} } } },
      "f:metadata": { "f:finalizers": { ".": {}, 'v:"x"': {} } },
    };
    expect(toFieldsV1(parseFieldsV1(fields))).toEqual(fields);
    expect(Object.keys(toFieldsV1(parseFieldsV1(fields)))).toEqual(["f:metadata", "f:spec"]);
    expect(toFieldsV1(emptySet)).toEqual({});
  });

  it("are one object for all who own the same", () => {
    const text = '{"f:spec":{"f:containers":{"k:{\\"name\\":\\"c\\"}":{".":{},"f:image":{}}}}}';
    const [one, other] = [withSharedFields(JSON.parse(text)), withSharedFields(JSON.parse(text))];
    expect(other).toBe(one);
    expect(JSON.stringify(one)).toBe(text);
    expect(toFieldsV1(parseFieldsV1(one))).toBe(one);
    expect(withSharedFields({ "f:spec": { "f:containers": {} } })).toEqual({ "f:spec": { "f:containers": {} } });
    for (const odd of ['{"__proto__":{"f:a":{}}}', "[{}]", "3"]) expect(JSON.stringify(withSharedFields(JSON.parse(odd)))).toBe(odd);
  });

  it("keeps no nodes that are large, nor what is around them: they are data of some client", () => {
    const large = JSON.stringify({ "f:data": Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`f:k${i}`, {}])) });
    const long = JSON.stringify({ "f:data": { [`f:${"x".repeat(3000)}`]: {} } });
    for (const text of [large, long]) {
      const [one, other] = [withSharedFields(JSON.parse(text)), withSharedFields(JSON.parse(text))];
      expect(one).toEqual(other);
      expect(one).not.toBe(other);
      expect(one["f:data"]).not.toBe(other["f:data"]);
    }
  });

  it("do not depend on how keys are written", () => {
    const written = parseFieldsV1({ "f:ports": { 'k:{"protocol":"TCP", "containerPort":80}': {} } });
    expect(written.children.get("f:ports")?.children.has(keyElement({ protocol: "TCP", containerPort: 80 }))).toBe(true);
  });

  it("show their paths", () => {
    const set = parseFieldsV1({
      "f:status": { "f:conditions": { 'k:{"type":"Available"}': { "f:status": {} } } },
      "f:metadata": { "f:finalizers": { 'v:"x"': {} }, "f:labels": {} },
    });
    expect(pathsOf(set)).toEqual([".metadata.labels", '.metadata.finalizers[="x"]', '.status.conditions[type="Available"].status']);
  });

  it.each([[null], [[]], [{ x: {} }], [{ "f:a": 1 }], [{ "k:nope": {} }]])("are not read from %j", (fields) => {
    expect(() => parseFieldsV1(fields)).toThrow();
  });
});
