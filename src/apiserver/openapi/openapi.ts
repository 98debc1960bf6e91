// Serves /openapi/v2 and /openapi/v3. Nothing is built until a client asks: the v3 index needs hashes only, which are made
// of what the documents are made of; each document is built at its first request and kept, as bytes, and compressed once
// somebody asks for that.
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { constants, gzip, type ZlibOptions } from "node:zlib";
import { groupVersionPath, type ResourceType } from "../../api/resource-type.ts";
import { kubernetesVersion } from "../../base/version.ts";
import { groupsOf, type ServedGroup } from "../discovery/documents.ts";
import type { EndpointSource } from "../http/endpoints.ts";
import { allowsGzip } from "../http/http1.ts";
import { mostWanted } from "../http/negotiate.ts";
import type { ApiResponse, Handler } from "../request.ts";
import { createDocumentsV2, customDocumentV3 } from "./custom-documents.ts";
import { loadDescriptions } from "./descriptions.ts";
import { type DocumentContext, documentV2, documentV3 } from "./documents.ts";
import { indexPaths, openIdPaths, versionPath } from "./index-paths.ts";
import { type OperationPath, pathsOf } from "./operations.ts";
import { preconditionStatus } from "./preconditions.ts";
import type { SchemaContext } from "./schemas.ts";

/** The v2 document in protobuf, as it is named in answers, and as clients ask for it. */
const protobufV2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const askedProtobufV2 = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/** The same of v3 documents. */
const protobufV3 = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
const askedProtobufV3 = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";

/** The media types of the v2 document. */
export const documentTypesV2 = { json: "application/json", protobuf: protobufV2, askedProtobuf: askedProtobufV2 } as const;

const encodeJson = (document: object): Uint8Array => Buffer.from(JSON.stringify(document));

const compress = promisify<Uint8Array, ZlibOptions, Buffer>(gzip);

export interface Document {
  readonly bytes: Uint8Array;
  /** Made when first asked for. */
  zipped(): Promise<Uint8Array>;
  readonly etag: string;
  /** When it was made: when it was first asked for. */
  readonly modifiedMs: number;
}

/** What a document is made of, and how. */
interface Source {
  readonly hash: string;
  make(context: DocumentContext): Uint8Array | Promise<Uint8Array>;
}

interface Generation {
  readonly madeFrom: readonly ResourceType[];
  /** Of built-in resources. */
  readonly groups: readonly ServedGroup[];
  readonly custom: readonly ResourceType[];
  /** Each v3 document, by its path: "api/v1", "apis/apps", "version". */
  readonly parts: ReadonlyMap<string, Source>;
  /** Of all documents together. */
  readonly hash: string;
}

export interface OpenApiOptions {
  /** What a custom resource is; undefined for a built-in one. Default: there are none. */
  readonly publishedOf?: DocumentContext["publishedOf"];
  /** Whether the server speaks CBOR. Default false. */
  readonly cbor?: boolean;
}

/** `resources`: what is served now; another array when it has changed. */
export function createOpenApi(
  resources: () => readonly ResourceType[],
  { publishedOf = () => undefined, cbor = false }: OpenApiOptions = {},
): EndpointSource {
  let current: Generation | undefined;
  const generation = (): Generation => (current = generationOf(resources(), publishedOf, current));
  const documents = new Documents();
  const documentsV2 = createDocumentsV2();
  const document = (key: string, { hash, make }: Source, nowMs: number): Promise<Document> => {
    const { groups, parts } = generation();
    return documents.get(key, hash, (candidate) => parts.has(candidate.replace(" protobuf", "")), {
      make: async () => make({ groups, descriptions: await loadDescriptions(), publishedOf, cbor }),
      nowMs,
    });
  };

  const index: Handler = async ({ request, receivedAtMs }) => {
    const parts = [...generation().parts].sort(([a], [b]) => (a < b ? -1 : 1));
    const paths = Object.fromEntries(parts.map(([key, { hash }]) => [key, { serverRelativeURL: `/openapi/v3/${key}?hash=${hash}` }]));
    // It has no tag, and times have seconds only: as upstream's, it is always of now, so that no client misses a change.
    const headers = { "Last-Modified": new Date(receivedAtMs).toUTCString() };
    const status = preconditionStatus(request.headers, { modifiedMs: receivedAtMs });
    if (status !== undefined) return { ...empty(status), headers };
    // Upstream's index names no type, and is taken for text.
    return { kind: "bytes", status: 200, contentType: "text/plain; charset=utf-8", bytes: Buffer.from(JSON.stringify({ paths })), headers };
  };
  const part =
    (key: string): Handler =>
    async ({ request, receivedAtMs }) => {
      const source = generation().parts.get(key);
      if (!source) return empty(404);
      const wanted = mostWanted(request, {}, "application/json", protobufV3, askedProtobufV3);
      if (!wanted) return notAccepted;
      const asked = request.query.get("hash");
      // A link from an older index leads on to the document of today.
      if (asked !== null && asked !== source.hash)
        return { ...empty(301), headers: { Location: `/openapi/v3/${key}?hash=${source.hash}` } };
      const isJson = wanted === "application/json";
      const made = isJson ? source : { hash: source.hash, make: inProtobuf(source) };
      const found = await document(isJson ? key : `${key} protobuf`, made, receivedAtMs);
      const forever = { "Cache-Control": "public, immutable", Expires: new Date(Date.UTC(2099, 0, 1)).toUTCString() };
      return answer(found, request.headers, asked === null ? {} : forever, isJson ? undefined : protobufV3);
    };
  const v2: Handler = async ({ request, receivedAtMs }) => {
    const asked = mostWanted(request, {}, "application/json", protobufV2, askedProtobufV2);
    if (!asked) return notAccepted;
    const { hash, custom } = generation();
    const builtIn = (context: DocumentContext): object => documentV2(context, [...indexPaths(context.groups), ...openIdPaths, versionPath]);
    if (asked === "application/json") {
      const make: Source["make"] = (context) => documentsV2.json(builtIn(context), custom, context);
      return answer(await document("v2", { hash, make }, receivedAtMs), request.headers, {});
    }
    const make: Source["make"] = (context) => documentsV2.protobuf(builtIn(context), custom, context);
    return answer(await document("v2.pb", { hash, make }, receivedAtMs), request.headers, {}, protobufV2);
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

/** A v3 document is put together in JSON, whatever it is sent in. */
const inProtobuf =
  ({ make }: Source): Source["make"] =>
  async (context) => {
    const { encodeDocumentV3 } = await import("./document-v3-protobuf.ts");
    return encodeDocumentV3(JSON.parse(Buffer.from(await make(context)).toString()) as object);
  };

/** The documents that have been asked for, each as it was last made. */
class Documents {
  readonly #made = new Map<string, { readonly hash: string; readonly document: Promise<Document> }>();

  /** `isServed` tells which documents there still are. */
  get(key: string, hash: string, isServed: (key: string) => boolean, making: Making): Promise<Document> {
    const known = this.#made.get(key);
    if (known?.hash === hash) return known.document;
    for (const other of this.#made.keys()) if (!other.startsWith("v2") && !isServed(other)) this.#made.delete(other);
    const document = build(making);
    this.#made.set(key, { hash, document });
    document.catch(() => {
      if (this.#made.get(key)?.document === document) this.#made.delete(key);
    });
    return document;
  }
}

function generationOf(
  served: readonly ResourceType[],
  publishedOf: DocumentContext["publishedOf"],
  known: Generation | undefined,
): Generation {
  if (known?.madeFrom === served) return known;
  const custom = served.filter((type) => publishedOf(type));
  const builtIn = custom.length === 0 ? served : served.filter((type) => !publishedOf(type));
  const groups = groupsOf(builtIn);
  const parts = builtInParts(groups);
  const keys: unknown[] = [];
  for (const { name, versions } of groupsOf(custom))
    for (const { version, resources } of versions) {
      const key = groupVersionPath({ group: name, version }).slice(1);
      const facts = [resources, resources.map((type) => publishedOf(type)?.key)];
      keys.push(facts);
      // What is built in of the same group and version has the document for itself.
      if (!parts.has(key)) parts.set(key, { hash: hashOf(key, facts), make: (context) => customDocumentV3(resources, context) });
    }
  return { madeFrom: served, groups, custom, parts, hash: hashOf("v2", [builtIn, keys]) };
}

function builtInParts(groups: readonly ServedGroup[]): Map<string, Source> {
  const parts = new Map<string, Source>();
  const add = (key: string, facts: unknown, paths: () => readonly OperationPath[], own?: SchemaContext["own"]): void => {
    parts.set(key, { hash: hashOf(key, facts), make: (context) => encodeJson(documentV3(paths(), context, own)) });
  };
  for (const path of [...indexPaths(groups), ...openIdPaths, versionPath]) {
    const key = path.path.replace(/^\/|\/$/g, "");
    const name = key.startsWith("apis/") ? key.slice("apis/".length) : "";
    const served = groups.find((group) => group.name === name)?.versions;
    add(key, served?.map((v) => v.version) ?? [], () => [path]);
  }
  for (const { name, versions } of groups)
    for (const { version, resources } of versions)
      add(groupVersionPath({ group: name, version }).slice(1), resources, () => pathsOf(name, version, resources), {
        group: name,
        version,
      });
  return parts;
}

/** Changes with anything the document is made of. */
function hashOf(key: string, facts: unknown): string {
  return createHash("sha512")
    .update(`${kubernetesVersion} ${key} ${JSON.stringify(facts)}`)
    .digest("hex")
    .toUpperCase();
}

interface Making {
  make(): Promise<Uint8Array>;
  readonly nowMs: number;
}

export async function build({ make, nowMs }: Making): Promise<Document> {
  const bytes = await make();
  const etag = `"${await digest(bytes)}"`;
  let zipped: Promise<Uint8Array> | undefined;
  const level = bytes.length > largeBytes ? constants.Z_BEST_SPEED : constants.Z_DEFAULT_COMPRESSION;
  return { bytes, zipped: () => (zipped ??= compress(bytes, { level })), etag, modifiedMs: nowMs };
}

/** Documents that are compressed in haste: with thousands of custom resources, doing it well takes longer than sending more. */
const largeBytes = 4_000_000;
/** Bytes hashed before others get their turn. */
const hashedAtATime = 1_000_000;

async function digest(bytes: Uint8Array): Promise<string> {
  const hash = createHash("sha512");
  for (let at = 0; at < bytes.length; at += hashedAtATime) {
    if (at > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    hash.update(bytes.subarray(at, at + hashedAtATime));
  }
  return hash.digest("hex").toUpperCase();
}

export async function answer(
  document: Document,
  headers: Readonly<Record<string, string | undefined>>,
  more: Record<string, string>,
  contentType = "application/json",
): Promise<ApiResponse> {
  const common = { Etag: document.etag, "Cache-Control": "no-cache, private", ...more };
  const lastModified = { "Last-Modified": new Date(document.modifiedMs).toUTCString() };
  const status = preconditionStatus(headers, document);
  if (status === 304) return { ...empty(304), headers: { ...common, Vary: "Accept" } };
  if (status === 412) return { ...empty(412), contentType, headers: { ...common, ...lastModified, Vary: "Accept" } };
  const zip = allowsGzip(headers["accept-encoding"]);
  return {
    kind: "bytes",
    status: 200,
    contentType,
    bytes: zip ? await document.zipped() : document.bytes,
    headers: { ...common, ...lastModified, ...(zip ? { "Content-Encoding": "gzip" } : {}), Vary: "Accept-Encoding, Accept" },
  };
}

/** Upstream says no more to those who accept no form of a document. */
export const notAccepted: ApiResponse = { ...empty(406), headers: { Vary: "Accept" } };

function empty(status: number): Extract<ApiResponse, { kind: "bytes" }> {
  return { kind: "bytes", status, contentType: "", bytes: new Uint8Array() };
}
