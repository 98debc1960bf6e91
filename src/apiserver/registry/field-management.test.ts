import { describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import { sameButForTimes } from "./field-management.ts";

const entry = { manager: "kubectl", operation: "Update", apiVersion: "v1", time: "2026-01-01T00:00:00Z", fieldsType: "FieldsV1" } as const;

function map(metadata: Partial<ObjectMeta>, rest: object = { data: { a: "1" } }): KubernetesObject {
  const meta = { name: "x", resourceVersion: "5", managedFields: [entry], ...metadata } as ObjectMeta;
  return { apiVersion: "v1", kind: "ConfigMap", metadata: meta, ...rest };
}

describe("sameButForTimes()", () => {
  it("does not see the resource version, the times of owners and fields without a value", () => {
    const later = { ...entry, time: "2026-01-02T00:00:00Z" };
    expect(sameButForTimes(map({}), map({ resourceVersion: "6", managedFields: [later] }))).toBe(true);
    expect(sameButForTimes(map({}, { data: { a: "1" }, status: undefined }), map({}))).toBe(true);
  });

  it("sees what has changed, come or gone: in the object, in its metadata, in its owners", () => {
    const others = [
      map({}, { data: { a: "2" } }),
      map({}, {}),
      map({}, { data: { a: "1" }, immutable: true }),
      map({ labels: { a: "b" } }),
      map({ managedFields: [] }),
      map({ managedFields: [{ ...entry, manager: "other" }] }),
      map({ managedFields: [{ ...entry, subresource: "status" }] }),
    ];
    for (const other of others) {
      expect(sameButForTimes(map({}), other)).toBe(false);
      expect(sameButForTimes(other, map({}))).toBe(false);
    }
  });
});
