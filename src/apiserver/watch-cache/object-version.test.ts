import { describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { encodeForStorage, ObjectCodec } from "./object-version.ts";

const prefix = "/registry/configmaps/";
const object: KubernetesObject & { readonly data: object } = {
  data: { text: "é{}" },
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "a", namespace: "n", uid: "u", creationTimestamp: "2026-01-01T00:00:00Z", resourceVersion: "3" },
};
const kvOf = (value: Uint8Array, modRevision = 7) => ({ key: `${prefix}n/a`, value, createRevision: 1, modRevision, version: 1 });
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

describe("ObjectCodec", () => {
  it("stores objects without their resource version, kind first", () => {
    expect(textOf(encodeForStorage(object))).toMatch(/^\{"kind":"ConfigMap","apiVersion":"v1","metadata":\{"name":"a"/);
    expect(textOf(encodeForStorage(object))).not.toContain("resourceVersion");
  });

  it("does not parse what it has encoded itself", () => {
    const codec = new ObjectCodec({ prefix });
    const stored = codec.toStored("n/a", object);
    const version = codec.version(kvOf(stored));
    expect((version.object as typeof object).data).toBe(object.data);
    expect(codec.version(kvOf(stored))).toBe(version);
  });

  it.each([
    ["its own bytes", encodeForStorage(object)],
    ["bytes in another order", Buffer.from(JSON.stringify({ ...object, metadata: { ...object.metadata, resourceVersion: undefined } }))],
  ])("makes the client's bytes from %s", (_name, stored) => {
    const version = new ObjectCodec({ prefix }).version(kvOf(stored));
    expect(version.key).toBe("n/a");
    expect(JSON.parse(textOf(version.bytes()))).toEqual({ ...object, metadata: { ...object.metadata, resourceVersion: "7" } });
    const { head, tail } = version.encodedItem();
    expect(JSON.parse(head + textOf(tail))).toEqual({
      metadata: { ...object.metadata, resourceVersion: "7" },
      data: object.data,
    });
  });

  it("keeps one form of an object's bytes, that which is stored", () => {
    const stored = encodeForStorage(object);
    const version = new ObjectCodec({ prefix }).version(kvOf(stored));
    for (const { tail } of [version.encoded(), version.encodedItem(), version.at(9).encoded()]) expect(tail.buffer).toBe(stored.buffer);
    expect(stored.buffer.byteLength).toBe(stored.length);
  });

  it("shows the last state of an object under another revision", () => {
    const expected = { ...object, metadata: { ...object.metadata, resourceVersion: "9" } };
    const version = new ObjectCodec({ prefix }).version(kvOf(encodeForStorage(object)));
    version.bytes();
    const reordered = new ObjectCodec({ prefix }).version(kvOf(Buffer.from(JSON.stringify(object))));
    reordered.bytes();
    for (const last of [version.at(9), reordered.at(9)]) {
      expect(last.object).toEqual(expected);
      expect(JSON.parse(textOf(last.bytes()))).toEqual(expected);
    }
  });

  it("shows metadata without fields", () => {
    const bare = { kind: "Odd", apiVersion: "v1", metadata: {} } as KubernetesObject;
    const version = new ObjectCodec({ prefix }).version(kvOf(encodeForStorage(bare)));
    expect(textOf(version.bytes())).toBe('{"kind":"Odd","apiVersion":"v1","metadata":{"resourceVersion":"7"}}');
  });

  it("fills in defaults of fields that are younger than the stored object", () => {
    const codec = new ObjectCodec<KubernetesObject>({ prefix, defaults: (o) => ({ ...o, immutable: false }) });
    const version = codec.version(kvOf(encodeForStorage(object)));
    expect(JSON.parse(textOf(version.bytes()))).toMatchObject({ immutable: false, metadata: { resourceVersion: "7" } });
  });
});
