import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeObject } from "../../encode/decode.ts";
import { builtInSchemas } from "../../schema/schema.ts";
import { createdFields } from "./created-fields.ts";
import { setOf } from "./field-set.ts";
import { writeOwners } from "./managers.ts";
import { deduced, type JsonObject, type Shape, shapeOf } from "./shape.ts";
import { ownersAfterWrite, serverFields, updateManagedFields } from "./update.ts";

const resets = [undefined, setOf(["status"]), setOf(["spec"]), setOf(["spec", "a"], ["metadata", "labels", "b"])];

/** What comparing the object with the empty one of its type gives. */
function compared(before: unknown, after: unknown, shape: Shape, reset: (typeof resets)[number]): unknown {
  const context = { shape, manager: "m", now: "2026-01-01T00:00:00Z", ...(reset ? { resetFields: reset } : {}) };
  return writeOwners(ownersAfterWrite(before, after, new Map(), context))?.[0]?.fieldsV1;
}

function emptyOf(schema: string, kind: string, apiVersion: string): JsonObject {
  return decodeObject(builtInSchemas.get(schema), { kind, apiVersion, metadata: {} }).object as JsonObject;
}

const names = fc.constantFrom("a", "b", "c");
const scalar = fc.oneof(names, fc.integer({ min: 0, max: 2 }), fc.boolean(), fc.constant(null));
const labels = fc.dictionary(names, names, { maxKeys: 3 });
const metadata = fc.record(
  { name: names, namespace: names, labels, annotations: labels, finalizers: fc.array(names, { maxLength: 3 }), generation: fc.nat() },
  { requiredKeys: [] },
);
const port = fc.record(
  { containerPort: fc.integer({ min: 1, max: 2 }), protocol: fc.constantFrom("TCP", "UDP"), name: names },
  { requiredKeys: [] },
);
const container = fc.record(
  {
    name: names,
    image: names,
    ports: fc.oneof(fc.constant(null), fc.array(port, { maxLength: 3 })),
    env: fc.array(fc.record({ name: names, value: names }, { requiredKeys: ["name"] }), { maxLength: 2 }),
    resources: fc.record({ requests: labels, limits: labels }, { requiredKeys: [] }),
    command: fc.array(names, { maxLength: 2 }),
  },
  { requiredKeys: ["name"] },
);
const pod = fc.record(
  {
    metadata,
    spec: fc.record(
      {
        containers: fc.oneof(fc.constant(null), fc.array(container, { maxLength: 3 })),
        nodeSelector: labels,
        securityContext: fc.constant({}),
        a: scalar,
        tolerations: fc.array(fc.record({ key: names }), { maxLength: 2 }),
      },
      { requiredKeys: [] },
    ),
    status: fc.record(
      { phase: names, conditions: fc.array(fc.record({ type: names, status: names }), { maxLength: 3 }) },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ["metadata"] },
);

describe("createdFields()", () => {
  const check = (before: JsonObject, after: JsonObject, shape: Shape, reset: (typeof resets)[number]): void => {
    expect(createdFields(before, after, shape, { reset, server: serverFields })).toEqual(compared(before, after, shape, reset));
  };

  it("gives for pods what a comparison with the empty pod gives", () => {
    const shape = shapeOf(builtInSchemas.get("core-v1.Pod"));
    const before = emptyOf("core-v1.Pod", "Pod", "v1");
    fc.assert(
      fc.property(pod, fc.constantFrom(...resets), (sent, reset) =>
        check(before, { kind: "Pod", apiVersion: "v1", ...sent }, shape, reset),
      ),
      { numRuns: 500 },
    );
  });

  it("gives it for objects without a schema", () => {
    const value = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        scalar,
        fc.array(scalar, { maxLength: 2 }),
        fc.dictionary(names, tie("value"), { maxKeys: 3 }),
      ),
    })).value;
    const object = fc.record({ metadata, spec: value, status: value, a: value }, { requiredKeys: ["metadata"] });
    const before = { kind: "Widget", apiVersion: "example.com/v1", metadata: {} };
    fc.assert(
      fc.property(object, fc.constantFrom(...resets), (sent, reset) => {
        check(before, { kind: "Widget", apiVersion: "example.com/v1", ...(sent as JsonObject) }, deduced, reset);
      }),
      { numRuns: 500 },
    );
  });

  it("writes the elements in the order of a comparison", () => {
    const shape = shapeOf(builtInSchemas.get("core-v1.Pod"));
    const before = emptyOf("core-v1.Pod", "Pod", "v1");
    const after = {
      ...before,
      metadata: { name: "p", labels: { z: "1", a: "2" }, finalizers: ["z/z", "a/a"] },
      spec: { restartPolicy: "Never", containers: [{ name: "z", image: "i" }, { name: "a" }] },
    };
    const written = createdFields(before, after, shape, { reset: setOf(["status"]), server: serverFields });
    expect(JSON.stringify(written)).toBe(JSON.stringify(compared(before, after, shape, setOf(["status"]))));
  });

  it("is one entry of the writer", () => {
    const live = { kind: "Widget", apiVersion: "example.com/v1", metadata: {} } as never;
    const sent = { kind: "Widget", apiVersion: "example.com/v1", metadata: { name: "w" }, spec: { a: 1 } } as never;
    const { metadata } = updateManagedFields(live, sent, { shape: deduced, manager: "", now: "2026-01-01T00:00:00Z" }) as unknown as {
      readonly metadata: { readonly managedFields: unknown };
    };
    expect(metadata.managedFields).toEqual([
      {
        manager: "unknown",
        operation: "Update",
        apiVersion: "example.com/v1",
        time: "2026-01-01T00:00:00Z",
        fieldsType: "FieldsV1",
        fieldsV1: { "f:spec": { ".": {}, "f:a": {} } },
      },
    ]);
  });
});
