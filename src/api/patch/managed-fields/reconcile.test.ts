import { describe, expect, it } from "vitest";
import type { JSONSchemaProps } from "../../types/apiextensions-v1.ts";
import { parseFieldsV1, toFieldsV1 } from "./field-set.ts";
import { reconcileFields } from "./reconcile.ts";
import { structuralShape } from "./structural-shape.ts";

const schema = (spec: object): JSONSchemaProps => ({ type: "object", properties: { spec } }) as unknown as JSONSchemaProps;
const object = { type: "object", properties: { a: { type: "string" } } };

function reconciled(spec: object, fields: object): unknown {
  const set = parseFieldsV1({ "f:spec": fields });
  const result = reconcileFields(set, structuralShape(schema(spec)));
  return (toFieldsV1(result) as { readonly "f:spec": unknown })["f:spec"];
}

describe("reconcileFields()", () => {
  it("makes one field of a map that is owned as a whole now", () => {
    const fields = { ".": {}, "f:m": { "f:a": {} } };
    expect(reconciled({ type: "object", properties: { m: { ...object, "x-kubernetes-map-type": "atomic" } } }, fields)).toEqual({
      ".": {},
      "f:m": {},
    });
    expect(reconciled({ type: "object", properties: { m: object } }, fields)).toEqual(fields);
  });

  it("makes one field of a list with keys that is owned as a whole now, also below the items of another", () => {
    const items = { type: "object", properties: { k: { type: "string" }, l: { type: "array", items: object } } };
    const outer = { type: "array", items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"] };
    const fields = { "f:list": { 'k:{"k":"x"}': { ".": {}, "f:l": { 'k:{"a":"y"}': { ".": {}, "f:a": {} } } } } };
    expect(reconciled({ type: "object", properties: { list: outer } }, fields)).toEqual({
      "f:list": { 'k:{"k":"x"}': { ".": {}, "f:l": {} } },
    });
    expect(reconciled({ type: "object", properties: { list: { type: "array", items } } }, fields)).toEqual({ "f:list": {} });
  });

  it("leaves alone what the schema does not know, or knows nothing of", () => {
    const fields = { "f:gone": { "f:a": {} }, "f:open": { "f:a": {} } };
    const open = { type: "object", "x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-map-type": "atomic" };
    expect(reconciled({ type: "object", properties: { open } }, fields)).toEqual(fields);
  });
});
