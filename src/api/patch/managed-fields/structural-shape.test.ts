import { describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../meta/object.ts";
import type { JSONSchemaProps } from "../../types/apiextensions-v1.ts";
import { applyPatch } from "./apply.ts";
import { structuralShape } from "./structural-shape.ts";
import { updateManagedFields } from "./update.ts";

const widget = {
  type: "object",
  properties: {
    spec: {
      type: "object",
      properties: {
        a: { type: "string" },
        port: { "x-kubernetes-int-or-string": true },
        set: { type: "array", items: { type: "string" }, "x-kubernetes-list-type": "set" },
        map: {
          type: "array",
          items: { type: "object", properties: { k: { type: "string" }, v: { type: "integer" } } },
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["k"],
        },
        am: { type: "object", properties: { x: { type: "string" } }, "x-kubernetes-map-type": "atomic" },
        m: { type: "object", additionalProperties: { type: "string" } },
        open: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
        any: { "x-kubernetes-preserve-unknown-fields": true },
        when: { type: "string", format: "date-time" },
        sets: { type: "array", items: { type: "array", items: { type: "string" }, "x-kubernetes-list-type": "set" } },
      },
    },
  },
} as unknown as JSONSchemaProps; // written as in a definition's JSON, where additionalProperties is a schema or a boolean

const empty = { apiVersion: "example.com/v1", kind: "Widget", metadata: {} } as unknown as KubernetesObject;

function apply(live: KubernetesObject, manager: string, spec: unknown): KubernetesObject {
  const applied = { ...empty, metadata: { name: "w" }, spec } as unknown as KubernetesObject;
  const kind = { group: "example.com", version: "v1", kind: "Widget" };
  return applyPatch(live, applied, { ...context, kind, empty, manager });
}

const context = { shape: structuralShape(widget), now: "2026-01-01T00:00:00Z", isCustom: true };

function update(live: KubernetesObject, spec: unknown): KubernetesObject {
  return updateManagedFields(live, { ...live, spec } as KubernetesObject, { ...context, manager: "updater" });
}

const stored = (spec: unknown): KubernetesObject =>
  ({ ...apply(empty, "one", { a: "1" }), metadata: { ...apply(empty, "one", { a: "1" }).metadata, uid: "u" }, spec }) as KubernetesObject;

describe("structuralShape()", () => {
  it("merges sets, keyed lists and maps of two managers", () => {
    const one = apply(empty, "one", { set: ["x"], map: [{ k: "k1", v: 1 }], m: { q: "1" }, port: 80, am: { x: "1" } });
    const two = apply(one, "two", { set: ["y"], map: [{ k: "k2", v: 2 }], m: { r: "2" }, port: 80 });
    expect(two).toMatchObject({ spec: { set: ["x", "y"], map: [{ k: "k1" }, { k: "k2" }], m: { q: "1", r: "2" } } });
    expect(two.metadata.managedFields?.map((entry) => entry.fieldsV1)).toEqual([
      {
        "f:spec": {
          "f:am": {},
          "f:m": { "f:q": {} },
          "f:map": { 'k:{"k":"k1"}': { ".": {}, "f:k": {}, "f:v": {} } },
          "f:port": {},
          "f:set": { 'v:"x"': {} },
        },
      },
      {
        "f:spec": {
          "f:m": { "f:r": {} },
          "f:map": { 'k:{"k":"k2"}': { ".": {}, "f:k": {}, "f:v": {} } },
          "f:port": {},
          "f:set": { 'v:"y"': {} },
        },
      },
    ]);
  });

  it("removes list items that are applied no more", () => {
    const before = apply(empty, "one", { a: "1", set: ["x", "y"], map: [{ k: "k1" }, { k: "k2", v: 2 }] });
    expect(apply(before, "one", { set: ["y"], map: [{ k: "k2", v: 2 }] })).toMatchObject({
      spec: { set: ["y"], map: [{ k: "k2", v: 2 }] },
    });
    expect(apply(before, "one", { set: ["y"] })).not.toHaveProperty("spec.a");
  });

  it("deduces what is preserved though unknown", () => {
    const object = apply(empty, "one", { open: { any: { deep: [1, { x: 2 }] } } });
    expect(object.metadata.managedFields?.[0]?.fieldsV1).toEqual({ "f:spec": { "f:open": { "f:any": { ".": {}, "f:deep": {} } } } });
  });

  it.each([
    [{ a: "1", zzz: 1 }, ".spec.zzz: field not declared in schema"],
    [{ a: 5 }, ".spec.a: expected string, got &value.valueUnstructured{Value:5}"],
    [{ sets: [["x"], ["y", "y"]] }, '.spec.sets[1]: duplicate entries for key [="y"]'],
    [{ set: [{}] }, ".spec.set: element 0: associative list without keys has an element that's a map type"],
    [{ set: [5] }, ".spec.set[=5]: expected string, got &value.valueUnstructured{Value:5}"],
    [{ when: [] }, ".spec.when: expected any scalar, got &{[]}"],
    [{ a: [null] }, ".spec.a: expected string, got &value.valueUnstructured{Value:[]interface {}{interface {}(nil)}}"],
    [{ set: ["x", "x"] }, '.spec.set: duplicate entries for key [="x"]'],
    [
      { map: [{ v: 1 }] },
      '.spec.map: element 0: associative list with keys has an element that omits all key fields ["k"] (and doesn\'t have default values for any key fields)',
    ],
  ])("refuses %j", (spec, problem) => {
    expect(() => apply(empty, "one", spec)).toThrow(`failed to create typed patch object (/w; example.com/v1, Kind=Widget): ${problem}`);
  });

  it("keeps a map where null is applied and anything may stand", () => {
    const before = apply(empty, "one", { any: { x: 1 } });
    expect(apply(before, "two", { any: null })).toMatchObject({ spec: { any: { x: 1 } } });
    expect(apply(apply(empty, "one", { any: 5 }), "one", { any: null })).toMatchObject({ spec: { any: null } });
  });

  it("forgets owners where an object is, or becomes, of another type than its schema says", () => {
    expect(update(stored({ a: "1" }), { a: "2" }).metadata.managedFields).toHaveLength(1);
    expect(update(stored({ a: "1" }), { a: [] }).metadata.managedFields).toBeUndefined();
    expect(update(stored({ a: [] }), { a: "2" }).metadata.managedFields).toBeUndefined();
    expect(update(stored({ set: ["x", "x"] }), { set: ["x", "x", "y"] }).metadata.managedFields).toHaveLength(2);
  });

  it("refuses to apply to such an object", () => {
    const why = "failed to create typed live object (/w; example.com/v1, Kind=Widget): .spec.a: expected string, got";
    expect(() => apply(stored({ a: 5 }), "one", { a: "1" })).toThrow(why);
    const unowned = { ...empty, metadata: { name: "w", uid: "u" }, spec: { a: 5 } } as unknown as KubernetesObject;
    expect(() => apply(unowned, "one", { a: "1" })).toThrow("failed to create manager for existing fields: failed to convert new object");
  });
});
