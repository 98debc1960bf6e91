import { describe, expect, it } from "vitest";
import { WireError } from "../../../base/protobuf/wire.ts";
import { withoutSentEmpty } from "../../meta/sent-empty.ts";
import { tables } from "../../schema/generated/all.ts";
import { builtInSchemas, type ObjectSchema } from "../../schema/schema.ts";
import { type Decoded, decodeObject } from "../decode.ts";
import { parseJson } from "../json-text.ts";
import { encodeProtobuf, protobufSchema, readEnvelope, watchEventAround, wrapMessage } from "./envelope.ts";
import { decodeMessage, encodeMessage } from "./message.ts";
import { type Filling, fullObject } from "./object-fixture.ts";

/** Every type of the tables with fields, but the version document, which upstream serves as JSON alone. */
const schemas: readonly ObjectSchema[] = Object.entries(tables).flatMap(([module, table]) =>
  Object.entries(table)
    .filter(([, facts]) => facts.fields && module !== "version")
    .map(([name]) => builtInSchemas.get(`${module}.${name}`)),
);

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s+/g, ""), "hex"));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
/** Without what is noted of empty lists, which protobuf does not carry. */
const withoutNotes = ({ object, unknown }: Decoded): Decoded => ({ object: withoutSentEmpty(object), unknown });
const podSchema = builtInSchemas.get("core-v1.Pod");
const configMapSchema = builtInSchemas.get("core-v1.ConfigMap");

describe("encodeMessage() and decodeMessage()", () => {
  it.each(["full", "zero"] satisfies Filling[])("read back what decoding the %s object of each type as JSON gives", (filling) => {
    expect(schemas.length).toBeGreaterThan(550);
    for (const schema of schemas) {
      const object = fullObject(schema, filling);
      const read = decodeMessage(schema, encodeMessage(schema, object));
      expect(withoutNotes(decodeObject(schema, read)), schema.name).toEqual(withoutNotes(decodeObject(schema, object)));
    }
  });

  it("reads back an object of which nothing is set", () => {
    for (const schema of schemas) {
      const read = decodeMessage(schema, encodeMessage(schema, {}));
      expect(decodeObject(schema, read).object, schema.name).toEqual(decodeObject(schema, {}).object);
    }
  });

  it("finds list metadata and items where lists of objects are written in parts", () => {
    const lists = schemas.filter((schema) => schema.fields.has("items") && schema.fields.get("metadata")?.proto === "1 meta-v1.ListMeta");
    expect(lists.length).toBeGreaterThan(60);
    for (const { fields, name } of lists) expect(fields.get("items")?.proto, name).toMatch(/^2 repeated /);
  });

  it("keeps an explicit zero of a pointer and drops that of a value", () => {
    const schema = builtInSchemas.get("apps-v1.DeploymentSpec");
    const sent = { replicas: 0, minReadySeconds: 0, paused: false };
    const { object } = decodeObject(schema, decodeMessage(schema, encodeMessage(schema, sent)));
    expect(object).toMatchObject({ replicas: 0 });
    expect(object).not.toHaveProperty("minReadySeconds");
    expect(object).not.toHaveProperty("paused");
  });

  it.each([true, false, { type: "integer", "x-kubernetes-int-or-string": true }])(
    "carries additionalProperties: %j",
    (additionalProperties) => {
      const schema = builtInSchemas.get("apiextensions-v1.JSONSchemaProps");
      const object = { additionalProperties, items: { type: "string" }, dependencies: { a: ["b"], c: { type: "string" } } };
      expect(decodeMessage(schema, encodeMessage(schema, object))).toEqual(object);
    },
  );

  it("drops the zeros that Go writes from schemas in places that are open", () => {
    const schema = builtInSchemas.get("apiextensions-v1.JSONSchemaProps");
    const bytes = encodeMessage(schema, { additionalProperties: { id: "", type: "string", uniqueItems: false } });
    expect(decodeMessage(schema, bytes)).toEqual({ additionalProperties: { type: "string" } });
  });

  it("takes a map key __proto__ for what it is", () => {
    const data = JSON.parse('{"__proto__":"x","a":"b"}') as Record<string, string>;
    const read = decodeMessage(configMapSchema, encodeMessage(configMapSchema, { data }));
    expect(Object.keys(read.data as object)).toEqual(["__proto__", "a"]);
  });

  it("reads numbers that come packed", () => {
    const schema = builtInSchemas.get("core-v1.PodSecurityContext");
    const number = schema.fields.get("supplementalGroups")?.proto;
    expect(number).toBe("4 repeated int64");
    expect(decodeMessage(schema, bytesOf("22 03 01 ac02 20 05"))).toEqual({ supplementalGroups: [1, 300, 5] });
  });

  it("reads the largest int64 as JSON does", () => {
    const schema = builtInSchemas.get("core-v1.PodSpec");
    const spec = decodeMessage(schema, bytesOf("20 ff ff ff ff ff ff ff ff 7f")); // field 4, terminationGracePeriodSeconds
    expect(spec).toMatchObject({ terminationGracePeriodSeconds: 2 ** 63 - 1024 });
    const sent = parseJson('{"terminationGracePeriodSeconds":9223372036854775807,"containers":null}').value;
    expect(decodeObject(schema, sent).object).toMatchObject({ terminationGracePeriodSeconds: 2 ** 63 - 1024 });
  });

  it("reads the zero time as none and the epoch as a time", () => {
    const schema = builtInSchemas.get("meta-v1.ObjectMeta");
    expect(decodeMessage(schema, bytesOf("42 00")).creationTimestamp).toBeNull();
    expect(decodeMessage(schema, bytesOf("42 04 0800 1000")).creationTimestamp).toBe("1970-01-01T00:00:00Z");
    const read = decodeMessage(schema, encodeMessage(schema, { creationTimestamp: "1969-12-31T23:59:59Z" }));
    expect(read.creationTimestamp).toBe("1969-12-31T23:59:59Z");
  });
});

describe("the envelope", () => {
  // k8s\0, typeMeta { apiVersion "v1", kind "ConfigMap" }, raw { metadata { name "a" }, data { k: v } }, two empty strings
  const configMap = bytesOf(`6b387300 0a0f 0a02 7631 1209 436f6e6669674d6170
    120d 0a03 0a0161 1206 0a016b 120176 1a00 2200`);

  it("writes a ConfigMap as the specification has it", () => {
    const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, data: { k: "v" } };
    expect(hexOf(encodeProtobuf(object) ?? new Uint8Array())).toBe(hexOf(configMap));
  });

  it("reads a ConfigMap as the specification has it", () => {
    const { apiVersion, kind, message } = readEnvelope(configMap);
    expect({ apiVersion, kind }).toEqual({ apiVersion: "v1", kind: "ConfigMap" });
    expect(decodeMessage(configMapSchema, message)).toEqual({ metadata: { name: "a" }, data: { k: "v" } });
  });

  it("reads a Pod whose volume source and probe handler are messages of their own", () => {
    // spec (2) { volumes (1) { name "v", volumeSource (2) { emptyDir (2) {} } },
    //            containers (2) { livenessProbe (10) { handler (1) { httpGet (2) { port (2) { 1: 1, 3: "p" } } } } } }
    const bytes = bytesOf("12 18 0a07 0a0176 1202 1200 120d 520b 0a09 1207 1205 0801 1a0170");
    expect(decodeMessage(podSchema, bytes)).toEqual({
      spec: { volumes: [{ name: "v", emptyDir: {} }], containers: [{ livenessProbe: { httpGet: { port: "p" } } }] },
    });
  });

  it("has no protobuf for custom resources and tables, and has it for metadata alone", () => {
    expect(encodeProtobuf({ apiVersion: "example.com/v1", kind: "Widget", metadata: {} })).toBeUndefined();
    expect(encodeProtobuf({ apiVersion: "meta.k8s.io/v1", kind: "Table", rows: [] })).toBeUndefined();
    const item = { metadata: { name: "a", labels: { x: "y" } } };
    const list = { apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadataList", metadata: { resourceVersion: "5" }, items: [item] };
    const envelope = readEnvelope(encodeProtobuf(list) ?? new Uint8Array());
    const schema = protobufSchema(envelope) as ObjectSchema;
    expect(decodeMessage(schema, envelope.message)).toEqual({ metadata: { resourceVersion: "5" }, items: [item] });
  });

  it("lies within the events of a watch", () => {
    const message = bytesOf("0a030a0161");
    const { before, after } = watchEventAround("ADDED", { apiVersion: "v1", kind: "Pod" }, message.length);
    const event = decodeWatchEvent(Uint8Array.from([...before, ...message, ...after]));
    expect(event.type).toBe("ADDED");
    expect(hexOf(event.raw)).toBe(hexOf(wrapMessage({ apiVersion: "v1", kind: "Pod" }, message)));
  });

  it.each([
    ["", "empty data"],
    ["7b7d", "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"],
    ["6b387300", "empty body"],
    ["6b387300 0a05 0a02", "unexpected EOF"],
    ["6b387300 08 01", "wrong wire type 0 for field typeMeta"],
    ["6b387300 02 00", "field number 0 is not allowed"],
  ])("refuses %s", (hex, message) => {
    expect(() => readEnvelope(bytesOf(hex))).toThrow(new WireError(message));
  });
});

/** By hand, for messages this short: type (1) and object (2) { raw (1) }. */
function decodeWatchEvent(bytes: Uint8Array): { type: string; raw: Uint8Array } {
  expect([bytes[0], bytes[1], bytes[7], bytes[9]]).toEqual([0x0a, 5, 0x12, 0x0a]);
  expect(bytes[8]).toBe(bytes.length - 9);
  expect(bytes[10]).toBe(bytes.length - 11);
  return { type: Buffer.from(bytes.subarray(2, 7)).toString(), raw: bytes.subarray(11) };
}

describe("malformed messages", () => {
  it.each([
    ["a wrong wire type", "0a 02 08 01", "wrong wire type 0 for field name"],
    ["a length beyond the message", "0a ffffffff0f", /beyond the end of its message/],
    ["a varint without end", "0a ffffffffffffffffffffff", "varint longer than ten bytes"],
    ["field number 0", "00 00", "field number 0 is not allowed"],
    ["a group that does not end", "7b 08 01", "unexpected EOF"],
    ["an end of a group alone", "7c", "unexpected wire type 4"],
  ])("are refused for %s", (_, hex, message) => {
    expect(() => decodeMessage(podSchema, bytesOf(hex))).toThrow(WireError);
    expect(() => decodeMessage(podSchema, bytesOf(hex))).toThrow(message);
  });

  it("are refused for messages too deep within each other", () => {
    const schema = builtInSchemas.get("apiextensions-v1.JSONSchemaProps");
    const not = Number(schema.fields.get("not")?.proto?.split(" ")[0]);
    const nested = (levels: number): Uint8Array => {
      let object: Record<string, unknown> = {};
      for (let i = 0; i < levels; i++) object = { not: object };
      return encodeMessage(schema, object);
    };
    expect(not).toBeGreaterThan(0);
    expect(() => decodeMessage(schema, nested(400))).not.toThrow();
    expect(() => decodeMessage(schema, nested(800))).toThrow("messages within each other");
  });

  it("are refused or read, and nothing else happens, wherever a full Pod is cut or changed", () => {
    const bytes = encodeMessage(podSchema, fullObject(podSchema, "full"));
    const readOrRefuse = (changed: Uint8Array): void => {
      try {
        decodeMessage(podSchema, changed);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
      }
    };
    const step = Math.max(1, Math.floor(bytes.length / 300));
    for (let at = 0; at < bytes.length; at += step) {
      readOrRefuse(bytes.subarray(0, at));
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      readOrRefuse(changed);
    }
    expect(() => decodeMessage(podSchema, bytes.subarray(0, bytes.length - 1))).toThrow(WireError);
  });
});

describe("a Status", () => {
  it("has the bytes that upstream's has, absent fields included", () => {
    const message = 'pods "x" not found';
    const status = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason: "NotFound", code: 404 };
    const bytes = encodeProtobuf({ ...status, details: { name: "x", kind: "pods" } });
    const details = "\n\x01x\x12\0\x1a\x04pods(\x002\x000\0".replace("0\0", "");
    const expected = `k8s\0\n\f\n\x02v1\x12\x06Status\x12C\n\x06\n\0\x12\0\x1a\0\x12\x07Failure\x1a\x12${message}"\x08NotFound*\x0f${details}0\x94\x03\x1a\0"\0`;
    expect(Buffer.from(bytes ?? []).toString("latin1")).toBe(expected);
  });
});
