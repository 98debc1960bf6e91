import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import { cborWatchFrames } from "../http/cbor-watch-frames.ts";
import type { WatchStreamEvent } from "../request.ts";
import { createFixture, type Fixture, type Reading, type Reply } from "./request-fixture.ts";

const cbor = "application/cbor";
const applyCbor = "application/apply-patch+cbor";
const path = "/api/v1/namespaces/default/configmaps";
const configMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", labels: { x: "y" } }, data: { k: "v" }, immutable: false };

let server: Fixture;
beforeEach(() => {
  server = createFixture();
});
afterEach(() => server.stop());

const send = (method: string, url: string, body: unknown, contentType = cbor): Promise<Reply> =>
  server.send(method, url, { body: body instanceof Uint8Array ? body : cborCodec.write(body), contentType, cbor: cborCodec });

const read = (bytes: Uint8Array): Reading => cborCodec.read(bytes, undefined).value as Reading;

describe("a CBOR body", () => {
  it("creates and updates what the same JSON does", async () => {
    const sent = await send("POST", path, configMap);
    expect(sent.status).toBe(201);
    const json = await server.send("POST", path, { body: { ...configMap, metadata: { ...configMap.metadata, name: "b" } } });
    const { metadata: _1, ...one } = sent.body;
    const { metadata: _2, ...other } = json.body;
    expect(one).toEqual(other);
    const updated = await send("PUT", `${path}/a`, { ...configMap, data: { k: "w" } });
    expect(updated).toMatchObject({ status: 200, body: { data: { k: "w" } } });
  });

  it("holds bytes as bytes", async () => {
    const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "s" }, data: { k: "aGk=" } };
    expect(Buffer.from(cborCodec.write(secret)).includes(Buffer.from([0xd6, 0x42, 0x68, 0x69]))).toBe(true);
    const created = await send("POST", "/api/v1/namespaces/default/secrets", secret);
    expect(created).toMatchObject({ status: 201, body: { data: { k: "aGk=" } } });
  });

  it("is refused in upstream's words: before its kind is known, and then as one of its kind", async () => {
    const refused = async (bytes: Uint8Array): Promise<string> => {
      const reply = await send("POST", path, bytes);
      expect(reply).toMatchObject({ status: 400, body: { reason: "BadRequest" } });
      return reply.body.message;
    };
    expect(await refused(Uint8Array.of(0xff))).toBe(
      'the object provided is unrecognized (must be of type ConfigMap): unable to determine group/version/kind: cbor: unexpected "break" code (ff)',
    );
    expect(await refused(new Uint8Array())).toContain("EOF (<empty>)");
    expect(await refused(cborCodec.write({ ...configMap, data: { k: 5 } }))).toBe(
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: cbor: cannot unmarshal positive integer into Go struct field v1.ConfigMap.data of type string',
    );
    expect(await refused(cborCodec.write({ ...configMap, kind: "Secret", data: {}, immutable: undefined }))).toContain(
      "unknown conversion",
    );
  });

  it("has its first unknown field told by its place", async () => {
    const odd = { ...configMap, nope: 1, more: 2 };
    expect(await send("POST", `${path}?fieldValidation=Strict`, odd)).toMatchObject({
      status: 400,
      body: {
        message:
          'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: cbor: found unknown field at map element index 5',
      },
    });
    expect(await send("POST", `${path}?fieldValidation=Warn`, odd)).toMatchObject({
      status: 201,
      warnings: ["cbor: found unknown field at map element index 5"],
    });
  });

  it("carries the options of a deletion", async () => {
    await send("POST", path, configMap);
    const options = { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid: "other" } };
    expect((await send("DELETE", `${path}/a`, options)).status).toBe(409);
    expect((await send("DELETE", `${path}/a`, { ...options, kind: "Status" })).status).toBe(400);
    expect((await send("DELETE", `${path}/a`, Uint8Array.of(0xff))).body.message).toBe(
      'unable to determine group/version/kind: cbor: unexpected "break" code',
    );
    expect((await send("DELETE", `${path}/a`, { kind: "DeleteOptions", apiVersion: "v1" })).status).toBe(200);
  });

  it("is a 415 where the server speaks no CBOR", async () => {
    expect((await server.send("POST", path, { body: cborCodec.write(configMap), contentType: cbor })).status).toBe(415);
    expect(
      (await server.send("PATCH", `${path}/a?fieldManager=m`, { body: cborCodec.write(configMap), contentType: applyCbor })).status,
    ).toBe(415);
    expect((await server.send("GET", path, { accept: cbor })).status).toBe(406);
  });
});

describe("an apply in CBOR", () => {
  it("owns what it has applied", async () => {
    const applied = await send("PATCH", `${path}/a?fieldManager=m`, configMap, applyCbor);
    expect(applied.status).toBe(201);
    expect(applied.body.metadata.managedFields).toMatchObject([{ manager: "m", operation: "Apply" }]);
  });

  it.each<readonly [string, Uint8Array, number, string]>([
    ["no CBOR", Uint8Array.of(0xff), 400, 'error decoding YAML: cbor: unexpected "break" code'],
    ["a list", Uint8Array.of(0x80), 400, "error decoding YAML: cbor: cannot unmarshal array into Go value of type map[string]interface {}"],
    ["nothing", Uint8Array.of(0xf6), 400, "invalid object type: /, Kind="],
    ["a kind that is no text", cborCodec.write({ ...configMap, kind: 5 }), 400, "invalid object type: /v1, Kind="],
    ["a version that is no text", cborCodec.write({ ...configMap, apiVersion: [] }), 400, "invalid object type: /, Kind=ConfigMap"],
    ["a version that is none", cborCodec.write({ ...configMap, apiVersion: "a/b/c" }), 400, "invalid object type: /, Kind="],
  ])("is refused for %s", async (_, bytes, status, message) => {
    expect(await send("PATCH", `${path}/a?fieldManager=m`, bytes, applyCbor)).toMatchObject({ status, body: { message } });
  });
});

describe("an answer in CBOR", () => {
  it("lists what the JSON answer lists, in pieces", async () => {
    for (const name of ["a", "b", "c"]) await send("POST", path, { ...configMap, metadata: { name } });
    const answer = await server.answer("GET", path, { accept: cbor, cbor: cborCodec });
    if (answer.kind !== "stream") throw new Error(`a list answered as ${answer.kind}`);
    expect(answer.contentType).toBe(cbor);
    const chunks: Uint8Array[] = [];
    for await (const chunk of answer.chunks) chunks.push(chunk);
    const { status: _, ...json } = await server.send("GET", path);
    expect(read(Buffer.concat(chunks))).toEqual(json.body);
  });

  it("is no table: that is for JSON and YAML", async () => {
    const table = `${cbor};as=Table;v=v1;g=meta.k8s.io`;
    expect((await server.send("GET", path, { accept: table, cbor: cborCodec })).status).toBe(406);
    const fallback = await server.answer("GET", path, { accept: `${table},application/json`, cbor: cborCodec });
    expect(fallback.kind).toBe("object");
  });

  it("watches: an item for each event, around the object's own", async () => {
    await send("POST", path, configMap);
    const answer = await server.answer("GET", `${path}?watch=true`, { accept: cbor, cbor: cborCodec });
    if (answer.kind !== "watch") throw new Error(`a watch answered as ${answer.kind}`);
    expect(answer.encoding).toBe("cbor");
    let first: readonly WatchStreamEvent[] = [];
    for await (const batch of answer.stream.batches) {
      first = batch;
      break;
    }
    const [frame] = cborWatchFrames(cborCodec)(first);
    expect(read(frame ?? Buffer.alloc(0))).toMatchObject({ type: "ADDED", object: { kind: "ConfigMap", data: { k: "v" } } });
    expect(frame?.subarray(0, 3)).toEqual(Buffer.from([0xd9, 0xd9, 0xf7]));
  });
});
