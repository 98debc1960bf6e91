import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { ResourceType } from "../../api/resource-type.ts";
import { configmaps } from "../../api/resources.generated.ts";
import { fakeContext } from "../authn/request-fixture.ts";
import type { PublishedSchema } from "../registry/resource-definition.ts";
import type { ApiResponse } from "../request.ts";
import { createOpenApi } from "./openapi.ts";

type Bytes = Extract<ApiResponse, { kind: "bytes" }>;
const served = [configmaps as ResourceType];
const openApi = createOpenApi(() => served);

async function get(headers: Readonly<Record<string, string>>): Promise<Bytes> {
  const answer = await openApi.find("/openapi/v2")?.(fakeContext({ headers }));
  if (answer?.kind !== "bytes") throw new Error("no bytes");
  return answer;
}

const json = "application/json";
const protobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const askedProtobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

describe("/openapi/v2", () => {
  it.each([
    ["*/*", json],
    ["application/*", json],
    [protobuf, protobuf],
    [askedProtobuf, protobuf],
    [`application/xml,${askedProtobuf};q=0.5,${json};q=0.4`, protobuf],
    [`${askedProtobuf};q=0.5,${json}`, json],
  ])("answers Accept: %s with %s", async (accept, contentType) => {
    const answer = await get({ accept });
    expect(answer).toMatchObject({ status: 200, contentType });
    expect(Buffer.from(answer.bytes).subarray(0, 5).toString("hex")).toBe(contentType === json ? "7b22737761" : "0a03322e30");
  });

  it("refuses what it cannot make", async () => {
    expect(await get({ accept: "application/xml" })).toMatchObject({ status: 406, headers: { Vary: "Accept" } });
  });

  it("is compressed for those who can read that, and not sent again to those who have it", async () => {
    const plain = await get({ accept: protobuf });
    const zipped = await get({ accept: protobuf, "accept-encoding": "gzip" });
    expect(zipped.headers).toMatchObject({ "Content-Encoding": "gzip" });
    expect(gunzipSync(zipped.bytes).equals(plain.bytes)).toBe(true);
    const etag = plain.headers?.Etag ?? "";
    expect(await get({ accept: protobuf, "if-none-match": etag })).toMatchObject({ status: 304, bytes: new Uint8Array() });
    expect((await get({ accept: json, "if-none-match": etag })).status).toBe(200);
  });
});

describe("OpenAPI documents", () => {
  const ask = async (path: string, headers: Readonly<Record<string, string>>, receivedAtMs: number): Promise<Bytes> => {
    const answer = await documents.find(path)?.({ ...fakeContext({ headers }), receivedAtMs });
    if (answer?.kind !== "bytes") throw new Error("no bytes");
    return answer;
  };
  const documents = createOpenApi(() => served);
  const [madeMs, laterMs] = [Date.UTC(2026, 0, 1, 0, 0, 5, 700), Date.UTC(2026, 0, 2)];
  const made = "Thu, 01 Jan 2026 00:00:05 GMT";

  it.each(["/openapi/v2", "/openapi/v3/api/v1"])("%s says when it was made, and is not sent to those who have it since", async (path) => {
    const first = await ask(path, {}, madeMs);
    expect(first.headers).toMatchObject({ "Last-Modified": made });
    const status = async (headers: Readonly<Record<string, string>>) => (await ask(path, headers, laterMs)).status;
    const other = { "if-none-match": '"other"' };
    expect(await status({ "if-modified-since": made })).toBe(304);
    expect(await status({ "if-modified-since": "Thu, 01 Jan 2026 00:00:04 GMT" })).toBe(200);
    expect(await status({ "if-modified-since": "some day" })).toBe(200);
    expect(await status({ "if-modified-since": made, ...other })).toBe(200);
    expect(await status({ "if-unmodified-since": made })).toBe(200);
    expect(await status({ "if-unmodified-since": "Thu, 01 Jan 2026 00:00:04 GMT" })).toBe(412);
    expect(await status({ "if-match": `"other", ${first.headers?.Etag}` })).toBe(200);
    expect(await status({ "if-match": `W/${first.headers?.Etag}` })).toBe(412);
    expect(await status({ "if-match": "*" })).toBe(200);
  });

  it("have an index of now", async () => {
    expect((await ask("/openapi/v3", {}, madeMs)).headers).toMatchObject({ "Last-Modified": made });
    expect((await ask("/openapi/v3", { "if-modified-since": made }, laterMs)).status).toBe(200);
    expect((await ask("/openapi/v3", { "if-modified-since": made }, madeMs)).status).toBe(304);
    expect((await ask("/openapi/v3", { "if-match": '"x"' }, madeMs)).status).toBe(412);
  });
});

describe("/openapi/v2 with custom resources", () => {
  const typeOf = (name: string): ResourceType => ({
    group: "example.com",
    version: "v1",
    resource: `${name}s`,
    singular: name,
    kind: name.toUpperCase(),
    namespaced: true,
    verbs: ["get", "list"],
    subresources: [],
  });
  const schema = { type: "object", properties: { spec: { type: "string" } } };

  it("names them, not their scales, in the paths of scales", async () => {
    const scale = { name: "scale", kind: { group: "autoscaling", version: "v1", kind: "Scale" }, verbs: ["get"] as const };
    const publishedOf = (): PublishedSchema => ({ key: "a", preserveUnknownFields: false, selectableFields: [], schema });
    const documents = createOpenApi(() => [{ ...typeOf("a"), subresources: [scale] }], { publishedOf });
    const answer = await documents.find("/openapi/v3/apis/example.com/v1")?.(fakeContext());
    if (answer?.kind !== "bytes") throw new Error("no bytes");
    const { paths } = JSON.parse(Buffer.from(answer.bytes).toString()) as {
      paths: Record<string, { parameters: { name: string; description: string }[] }>;
    };
    const named = paths["/apis/example.com/v1/namespaces/{namespace}/as/{name}/scale"]?.parameters.find(({ name }) => name === "name");
    expect(named?.description).toBe("name of the A");
  });

  it.each([json, protobuf])("makes the part of each once: %s", async (accept) => {
    const made: string[] = [];
    let now: readonly ResourceType[] = [configmaps as ResourceType, ...["a", "b", "c"].map(typeOf)];
    const publishedOf = (type: ResourceType): PublishedSchema | undefined =>
      type.group === ""
        ? undefined
        : {
            key: type.resource,
            preserveUnknownFields: false,
            selectableFields: [],
            get schema() {
              made.push(type.resource);
              return schema;
            },
          };
    const documents = createOpenApi(() => now, { publishedOf });
    const read = async (): Promise<Buffer> => {
      const answer = await documents.find("/openapi/v2")?.(fakeContext({ headers: { accept } }));
      return answer?.kind === "bytes" ? Buffer.from(answer.bytes) : Buffer.from("");
    };
    const alone = await createOpenApi(() => [...now, typeOf("d")], { publishedOf }).find("/openapi/v2")?.(
      fakeContext({ headers: { accept } }),
    );
    made.length = 0;
    const first = await read();
    expect(made).toEqual(["as", "bs", "cs"]);
    const before = now;
    now = [...now, typeOf("d")];
    const second = await read();
    expect(made).toEqual(["as", "bs", "cs", "ds"]);
    // What was put together from kept parts is what is made from nothing.
    expect(alone?.kind === "bytes" && second.equals(alone.bytes)).toBe(true);
    now = before;
    expect((await read()).equals(first)).toBe(true);
    expect(made).toHaveLength(4);
    if (accept === json)
      expect(Object.keys((JSON.parse(second.toString()) as { paths: object }).paths)).toContain("/apis/example.com/v1/ds");
  });
});
