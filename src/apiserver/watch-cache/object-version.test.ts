import { describe, expect, it } from "vitest";
import { encodeProtobuf } from "../../api/encode/protobuf/envelope.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { ObjectCodec } from "./object-codec.ts";
import type { ObjectVersion } from "./object-version.ts";
import { RecentObjects } from "./recent-objects.ts";
import { encodeForStorage } from "./stored-json.ts";

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
    const stored = codec.toStored(object);
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

  it("reads what an upstream server has stored in protobuf, and gives it as JSON", () => {
    const stored = encodeProtobuf({ ...object, data: { text: "é{}" } });
    const codec = new ObjectCodec({ prefix });
    const version = codec.version(kvOf(stored as Uint8Array));
    const expected = { ...object, metadata: { ...object.metadata, resourceVersion: "7" } };
    expect(version.object).toEqual(expected);
    expect(JSON.parse(textOf(version.bytes()))).toEqual(expected);
    expect(codec.decode("n/a", 7, stored as Uint8Array)).toEqual(expected);
    expect(() => codec.version(kvOf((stored as Uint8Array).subarray(0, 30)))).toThrow(`${prefix}n/a in protobuf cannot be read`);
    expect(() => codec.version(kvOf(Buffer.from("k8")))).toThrow(`${prefix}n/a is not JSON`);
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

describe("ObjectVersion that is not used", () => {
  const labelled = { ...object, metadata: { ...object.metadata, labels: { app: "a" }, resourceVersion: "7" } };
  const textOfData = (o: KubernetesObject): string => JSON.stringify((o as typeof object).data);
  let decodings = 0;
  const codecOf = (maxObjects: number): ObjectCodec =>
    new ObjectCodec({ prefix, fields: [textOfData], recent: new RecentObjects({ maxObjects }), onObject: () => decodings++ });

  /** A version that has been let go. */
  function unused(codec = codecOf(1)): ObjectVersion {
    const version = codec.version(kvOf(codec.toStored(labelled)));
    codec.version({ ...kvOf(codec.toStored(object)), key: `${prefix}n/b` });
    expect(version.isDecoded).toBe(false);
    decodings = 0;
    return version;
  }

  it("answers with its bytes, and selectors with what it has kept", () => {
    const version = unused();
    expect(JSON.parse(textOf(version.bytes()))).toEqual(labelled);
    expect(JSON.parse(version.encodedItem().head + textOf(version.encodedItem().tail))).toEqual({
      metadata: labelled.metadata,
      data: object.data,
    });
    expect(version.labels).toEqual({ app: "a" });
    expect(version.field(textOfData)).toBe(JSON.stringify(object.data));
    expect(decodings).toBe(0);
  });

  it("is decoded when somebody asks for the object, and stays so while it is recent", () => {
    const codec = codecOf(1);
    const version = unused(codec);
    expect(version.object).toEqual(labelled);
    expect(version.object).toBe(version.object);
    expect(decodings).toBe(1);
    codec.version({ ...kvOf(codec.toStored(object)), key: `${prefix}n/c` });
    expect(version.isDecoded).toBe(true);
    for (const name of ["d", "e"]) codec.version({ ...kvOf(codec.toStored(object)), key: `${prefix}n/${name}` });
    expect(version.isDecoded).toBe(false);
  });

  it("is decoded for a moment for one who looks at many", () => {
    const version = unused();
    expect(version.glance()).toEqual(labelled);
    expect(version.isDecoded).toBe(false);
    expect(version.field((o) => o.kind)).toBe("ConfigMap");
  });

  it("gives those who keep its object the same again", () => {
    const codec = codecOf(1);
    const version = codec.version(kvOf(codec.toStored(labelled)));
    const held = version.shared();
    for (const name of ["b", "c"]) codec.version({ ...kvOf(codec.toStored(object)), key: `${prefix}n/${name}` });
    expect(version.isDecoded).toBe(false);
    expect(version.object).toBe(held);
  });

  it("keeps an object that the store holds otherwise", () => {
    const codec = codecOf(1);
    const version = codec.version(kvOf(Buffer.from(JSON.stringify(labelled))));
    codec.version({ ...kvOf(codec.toStored(object)), key: `${prefix}n/b` });
    expect(version.isDecoded).toBe(true);
  });

  it("shows its last state under another revision", () => {
    const last = unused().at(9);
    expect(last.object).toEqual({ ...labelled, metadata: { ...labelled.metadata, resourceVersion: "9" } });
  });
});
