import { describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../meta/object.ts";
import type { JSONSchemaProps } from "../../types/apiextensions-v1.ts";
import { applyPatch } from "./apply.ts";
import { structuralShape } from "./structural-shape.ts";

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
      },
    },
  },
} as unknown as JSONSchemaProps; // written as in a definition's JSON, where additionalProperties is a schema or a boolean

const empty = { apiVersion: "example.com/v1", kind: "Widget", metadata: {} } as unknown as KubernetesObject;

function apply(live: KubernetesObject, manager: string, spec: unknown): KubernetesObject {
  const applied = { ...empty, metadata: { name: "w" }, spec } as unknown as KubernetesObject;
  const kind = { group: "example.com", version: "v1", kind: "Widget" };
  return applyPatch(live, applied, { shape: structuralShape(widget), kind, empty, manager, now: "2026-01-01T00:00:00Z" });
}

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
    [{ set: ["x", "x"] }, '.spec.set: duplicate entries for key [="x"]'],
    [
      { map: [{ v: 1 }] },
      '.spec.map: element 0: associative list with keys has an element that omits all key fields ["k"] (and doesn\'t have default values for any key fields)',
    ],
  ])("refuses %j", (spec, problem) => {
    expect(() => apply(empty, "one", spec)).toThrow(`failed to create typed patch object (/w; example.com/v1, Kind=Widget): ${problem}`);
  });
});
