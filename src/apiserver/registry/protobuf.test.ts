import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeProtobuf, protobufSchema, readEnvelope } from "../../api/encode/protobuf/envelope.ts";
import { decodeMessage } from "../../api/encode/protobuf/message.ts";
import type { ApiResponse } from "../request.ts";
import { builtInDefinitions } from "./definitions.ts";
import { createFixture, type Fixture, type Reading } from "./request-fixture.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

const protobuf = "application/vnd.kubernetes.protobuf";
const path = "/api/v1/namespaces/default/configmaps";
const configMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", labels: { x: "y" } }, data: { k: "v" }, immutable: false };

let server: Fixture;
beforeEach(() => {
  server = createFixture();
});
afterEach(() => server.stop());

function bytesOf(object: unknown): Uint8Array {
  const bytes = encodeProtobuf(object);
  if (!bytes) throw new Error("no protobuf encoding");
  return bytes;
}

async function read(response: ApiResponse): Promise<Reading> {
  const chunks: Uint8Array[] = [];
  if (response.kind === "object") chunks.push(response.protobuf?.() ?? bytesOf(response.object));
  else if (response.kind === "bytes") chunks.push(response.bytes);
  else if (response.kind === "stream") for await (const chunk of response.chunks) chunks.push(chunk);
  const { message, ...type } = readEnvelope(Buffer.concat(chunks));
  const schema = protobufSchema(type);
  if (!schema) throw new Error(`no schema of ${type.kind}`);
  return { ...type, ...decodeMessage(schema, message) } as unknown as Reading;
}

describe("a protobuf body", () => {
  it("creates what the same JSON creates", async () => {
    const sent = await server.send("POST", path, { body: bytesOf(configMap), contentType: protobuf });
    expect(sent.status).toBe(201);
    const json = await server.send("POST", path, { body: { ...configMap, metadata: { ...configMap.metadata, name: "b" } } });
    const { metadata: m1, ...one } = sent.body;
    const { metadata: m2, ...other } = json.body;
    expect(one).toEqual(other);
    expect(Object.keys(m1)).toEqual(Object.keys(m2));
    expect(one).toMatchObject({ data: { k: "v" }, immutable: false });
  });

  it("may leave its kind out", async () => {
    const body = bytesOf(configMap);
    const { message } = readEnvelope(body);
    const untyped = Buffer.concat([Buffer.from("k8s\0"), Buffer.from([0x12, message.length]), message]);
    expect((await server.send("POST", path, { body: untyped, contentType: protobuf })).status).toBe(201);
  });

  it("is refused when it is of another kind, cut short or no protobuf", async () => {
    const refused = async (body: Uint8Array): Promise<string> => {
      const reply = await server.send("POST", path, { body, contentType: protobuf });
      expect(reply).toMatchObject({ status: 400, body: { reason: "BadRequest" } });
      return reply.body.message;
    };
    expect(await refused(bytesOf({ apiVersion: "v1", kind: "Secret", metadata: { name: "a" } }))).toContain("unknown conversion");
    expect(await refused(bytesOf(configMap).subarray(0, 30))).toContain("must be of type ConfigMap");
    expect(await refused(Buffer.from("{}"))).toContain("does not appear to be a protobuf message, expected prefix [107 56 115 0] ({})");
    expect(await refused(new Uint8Array())).toContain("empty data (<empty>)");
  });

  it("carries the options of a deletion", async () => {
    await server.send("POST", path, { body: configMap });
    const options = { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid: "other" } };
    expect((await server.send("DELETE", `${path}/a`, { body: bytesOf(options), contentType: protobuf })).status).toBe(409);
    const other = { ...options, kind: "Status" };
    expect((await server.send("DELETE", `${path}/a`, { body: bytesOf(other), contentType: protobuf })).status).toBe(400);
    const plain = { apiVersion: "v1", kind: "DeleteOptions" };
    expect((await server.send("DELETE", `${path}/a`, { body: bytesOf(plain), contentType: protobuf })).status).toBe(200);
  });
});

describe("an answer in protobuf", () => {
  it("says what the JSON answer says", async () => {
    const created = (await server.send("POST", path, { body: configMap })).body;
    const got = await read(await server.answer("GET", `${path}/a`, { accept: protobuf }));
    expect(got).toEqual({ ...created, metadata: { ...created.metadata } });
    const metadataOnly = `${protobuf};as=PartialObjectMetadata;g=meta.k8s.io;v=v1`;
    const partial = await read(await server.answer("GET", `${path}/a`, { accept: metadataOnly }));
    expect(partial).toEqual({ apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadata", metadata: created.metadata });
  });

  it.each([0, 3, 100])("is a list of %i objects", async (count) => {
    for (let i = 0; i < count; i++) await server.send("POST", path, { body: { metadata: { name: `n${i}` }, data: { k: "v" } } });
    const json = (await server.send("GET", path)).body;
    const response = await server.answer("GET", path, { accept: protobuf });
    expect(response).toMatchObject({ kind: count > 64 ? "stream" : "bytes", contentType: protobuf });
    const list = await read(response);
    expect({ ...list, items: list.items ?? [] }).toEqual(json);
  });

  it("is a watch whose events share one encoding", async () => {
    await server.send("POST", path, { body: configMap });
    const watches = [1, 2].map(() => server.answer("GET", `${path}?watch=1`, { accept: `${protobuf};stream=watch` }));
    const messages: (Uint8Array | undefined)[] = [];
    for (const response of await Promise.all(watches)) {
      if (response.kind !== "watch") throw new Error("no watch");
      expect(response.encoding).toBe("protobuf");
      for await (const [event] of response.stream.batches) {
        messages.push(event?.message?.());
        response.stream.close();
      }
    }
    expect(messages).toHaveLength(2);
    expect(messages[0]).toBeInstanceOf(Uint8Array);
    expect(messages[0]).toBe(messages[1]);
  });

  it("is refused for tables", async () => {
    const accept = `${protobuf};as=Table;g=meta.k8s.io;v=v1`;
    expect((await server.send("GET", path, { accept })).status).toBe(406);
  });
});

describe("custom resources", () => {
  const widgets = "/apis/example.com/v1/namespaces/default/widgets";

  beforeEach(async () => {
    await server.stop();
    const like = builtInDefinitions([]).find(({ type }) => type.kind === "ConfigMap") as ResourceDefinition;
    const { schema: _, ...type } = like.type;
    const definition: ResourceDefinition = {
      ...like,
      type: { ...type, group: "example.com", resource: "widgets", singular: "widget", kind: "Widget" },
    };
    server = createFixture({ definitions: [definition] });
  });

  it("have no protobuf encoding, and fall back to JSON for those who take it", async () => {
    const body = { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "a" } };
    expect((await server.send("POST", widgets, { body })).status).toBe(201);
    expect((await server.send("GET", `${widgets}/a`, { accept: protobuf })).status).toBe(406);
    expect((await server.send("GET", widgets, { accept: `${protobuf},application/json` })).body.items).toHaveLength(1);
    const metadataOnly = `${protobuf};as=PartialObjectMetadata;g=meta.k8s.io;v=v1`;
    const partial = await read(await server.answer("GET", `${widgets}/a`, { accept: metadataOnly }));
    expect(partial.metadata.name).toBe("a");
  });

  it("cannot be sent in protobuf", async () => {
    const { message } = readEnvelope(bytesOf(configMap));
    const body = Buffer.concat([Buffer.from("k8s\0"), Buffer.from([0x12, message.length]), message]);
    const reply = await server.send("POST", widgets, { body, contentType: protobuf });
    expect(reply.status).toBe(400);
    expect(reply.body.message).toMatch(/^Widget in version "v1" cannot be handled as a Widget: object .* does not implement/);
  });
});
