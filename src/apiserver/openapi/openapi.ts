// Serves /openapi/v2 and /openapi/v3. Nothing is built until a client asks: the v3 index needs hashes only, which are made
// of what the documents are made of; each document is built at its first request and kept, as bytes, compressed too.
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { groupVersionPath, type ResourceType } from "../../api/resource-type.ts";
import { kubernetesVersion } from "../../base/version.ts";
import { groupsOf, type ServedGroup } from "../discovery/documents.ts";
import type { EndpointSource } from "../http/endpoints.ts";
import { allowsGzip } from "../http/http1.ts";
import { negotiateRaw } from "../http/negotiate.ts";
import type { ApiResponse, Handler } from "../request.ts";
import { loadDescriptions } from "./descriptions.ts";
import { encodeDocumentV2 } from "./document-v2-protobuf.ts";
import { type DocumentContext, documentV2, documentV3 } from "./documents.ts";
import { indexPaths, openIdPaths, versionPath } from "./index-paths.ts";
import { type OperationPath, pathsOf } from "./operations.ts";

/** The v2 document in protobuf, as it is named in answers, and as clients ask for it. */
const protobufV2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const askedProtobufV2 = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/** The media types of the v2 document. */
export const documentTypesV2 = { json: "application/json", protobuf: protobufV2, askedProtobuf: askedProtobufV2 } as const;

const encodeJson = (document: object): Uint8Array => Buffer.from(JSON.stringify(document));

const compress = promisify<Uint8Array, Buffer>(gzip);

export interface Document {
  readonly bytes: Uint8Array;
  readonly zipped: Uint8Array;
  readonly etag: string;
}

interface Generation {
  readonly madeFrom: readonly ResourceType[];
  readonly groups: readonly ServedGroup[];
  /** What makes the paths of each v3 document, by its path: "api/v1", "apis/apps", "version". */
  readonly parts: ReadonlyMap<string, () => readonly OperationPath[]>;
  readonly documents: Map<string, Promise<Document>>;
}

/** `resources`: what is served now; another array when it has changed. */
export function createOpenApi(resources: () => readonly ResourceType[]): EndpointSource {
  let current: Generation | undefined;
  const generation = (): Generation => {
    const served = resources();
    if (current?.madeFrom !== served) {
      const groups = groupsOf(served);
      current = { madeFrom: served, groups, parts: partsOf(groups), documents: new Map() };
    }
    return current;
  };
  const document = (key: string, make: (context: DocumentContext) => object, encode = encodeJson): Promise<Document> => {
    const { documents, groups } = generation();
    const known = documents.get(key);
    if (known) return known;
    const made = build(async () => encode(make({ groups, descriptions: await loadDescriptions() })));
    made.catch(() => documents.delete(key));
    documents.set(key, made);
    return made;
  };

  const index: Handler = async () => {
    const { parts, groups } = generation();
    const paths = Object.fromEntries(
      [...parts.keys()].map((key) => [key, { serverRelativeURL: `/openapi/v3/${key}?hash=${hashOf(key, groups)}` }]),
    );
    return { kind: "bytes", status: 200, contentType: "application/json", bytes: Buffer.from(JSON.stringify({ paths })) };
  };
  const part =
    (key: string): Handler =>
    async ({ request }) => {
      const { parts, groups } = generation();
      const make = parts.get(key);
      if (!make) return empty(404);
      negotiateRaw(request, "application/json");
      const hash = hashOf(key, groups);
      const asked = request.query.get("hash");
      // A link from an older index leads on to the document of today.
      if (asked !== null && asked !== hash) return { ...empty(301), headers: { Location: `/openapi/v3/${key}?hash=${hash}` } };
      const found = await document(key, (context) => documentV3(make(), context));
      const forever = { "Cache-Control": "public, immutable", Expires: new Date(Date.UTC(2099, 0, 1)).toUTCString() };
      return answer(found, request.headers, asked === null ? {} : forever);
    };
  const v2: Handler = async ({ request }) => {
    const asked = negotiateRaw(request, "application/json", protobufV2, askedProtobufV2);
    const make = (context: DocumentContext): object => documentV2(context, [...indexPaths(context.groups), ...openIdPaths, versionPath]);
    if (asked === "application/json") return answer(await document("v2", make), request.headers, {});
    return answer(await document("v2.pb", make, encodeDocumentV2), request.headers, {}, protobufV2);
  };

  return {
    paths: () => ["/openapi/v2", "/openapi/v3", "/openapi/v3/"],
    find(path) {
      if (path === "/openapi/v2") return v2;
      if (path === "/openapi/v3") return index;
      return path.startsWith("/openapi/v3/") ? part(path.slice("/openapi/v3/".length)) : undefined;
    },
  };
}

function partsOf(groups: readonly ServedGroup[]): Map<string, () => readonly OperationPath[]> {
  const parts = new Map<string, () => readonly OperationPath[]>();
  for (const path of [...indexPaths(groups), ...openIdPaths, versionPath]) parts.set(path.path.replace(/^\/|\/$/g, ""), () => [path]);
  for (const { name, versions } of groups)
    for (const { version, resources } of versions)
      parts.set(groupVersionPath({ group: name, version }).slice(1), () => pathsOf(name, version, resources));
  return parts;
}

/** Changes with anything the document is made of. */
function hashOf(key: string, groups: readonly ServedGroup[]): string {
  const [, group = "", version = key.startsWith("api/") ? group : ""] = key.split("/");
  const served = groups.find((g) => g.name === (key.startsWith("apis/") ? group : ""))?.versions;
  const facts = version === "" ? served?.map((v) => v.version) : served?.find((v) => v.version === version)?.resources;
  return createHash("sha512")
    .update(`${kubernetesVersion} ${key} ${JSON.stringify(facts ?? [])}`)
    .digest("hex")
    .toUpperCase();
}

export async function build(make: () => Promise<Uint8Array>): Promise<Document> {
  const bytes = await make();
  return { bytes, zipped: await compress(bytes), etag: `"${createHash("sha512").update(bytes).digest("hex").toUpperCase()}"` };
}

export function answer(
  document: Document,
  headers: Readonly<Record<string, string | undefined>>,
  more: Record<string, string>,
  contentType = "application/json",
): ApiResponse {
  const common = { Etag: document.etag, "Cache-Control": "no-cache, private", ...more };
  if (headers["if-none-match"] === document.etag) return { ...empty(304), headers: { ...common, Vary: "Accept" } };
  const zip = allowsGzip(headers["accept-encoding"]);
  return {
    kind: "bytes",
    status: 200,
    contentType,
    bytes: zip ? document.zipped : document.bytes,
    headers: { ...common, ...(zip ? { "Content-Encoding": "gzip" } : {}), Vary: zip ? "Accept-Encoding, Accept" : "Accept" },
  };
}

function empty(status: number): Extract<ApiResponse, { kind: "bytes" }> {
  return { kind: "bytes", status, contentType: "", bytes: new Uint8Array() };
}
