// /openapi/v2 and /openapi/v3 with what extension servers add: the index lists their documents, requests for these are sent on, and
// the v2 document has theirs merged into it. While no extension server describes anything, the answers are the server's own.

import { loopbackUser } from "../authn/user.ts";
import type { EndpointSource } from "../http/endpoints.ts";
import { mostWanted } from "../http/negotiate.ts";
import { parseRequestInfo } from "../http/request-info.ts";
import { answer, build, type Document, documentTypesV2, notAccepted } from "../openapi/openapi.ts";
import type { ApiResponse, Handler, RequestContext } from "../request.ts";

/** The documents of extension servers. */
export interface RemoteDocuments {
  /** Another value when merge() would give something else. */
  readonly generation: number;
  /** Whether there is anything to merge. */
  readonly hasSpecs: boolean;
  /** Links of the v3 index by their paths ("apis/metrics.k8s.io/v1beta1"). */
  readonly links: ReadonlyMap<string, string>;
  /** What answers for one of these paths. */
  find(path: string): Handler | undefined;
  /** The v2 document with what the others add. */
  merge(document: object): object;
}

const indexPath = "/openapi/v3";
const v2Path = "/openapi/v2";

export function aggregatedOpenApi(own: EndpointSource, remote: RemoteDocuments): EndpointSource {
  const merged = new MergedDocuments(remote);
  return {
    paths: () => own.paths(),
    find(path) {
      const handler = own.find(path);
      if (!handler) return undefined;
      if (path === v2Path) return (context) => (remote.hasSpecs ? merged.answer(handler, context) : handler(context));
      if (path === indexPath) return async (context) => withLinks(await handler(context), remote.links);
      const key = path.slice(indexPath.length + 1);
      return async (context) => {
        const answered = await handler(context);
        return isNotFound(answered) ? (remote.find(key)?.(context) ?? answered) : answered;
      };
    },
  };
}

const isNotFound = (response: ApiResponse): boolean => response.kind === "bytes" && response.status === 404;

/** What this server describes itself stays. */
function withLinks(index: ApiResponse, links: ReadonlyMap<string, string>): ApiResponse {
  if (links.size === 0 || index.kind !== "bytes" || index.status !== 200) return index;
  const own = (JSON.parse(Buffer.from(index.bytes).toString()) as { readonly paths: object }).paths;
  const theirs = Object.fromEntries([...links].map(([path, link]) => [path, { serverRelativeURL: link }]));
  const paths = Object.fromEntries(Object.entries({ ...theirs, ...own }).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { ...index, bytes: Buffer.from(JSON.stringify({ paths })) };
}

interface MergeInput {
  /** Names what is merged. */
  readonly of: string;
  /** This server's document. */
  readonly own: Uint8Array;
  readonly nowMs: number;
}

/** The merged v2 document in both encodings, made when first asked for. */
class MergedDocuments {
  readonly #remote: RemoteDocuments;
  readonly #made = new Map<string, { readonly of: string; readonly document: Promise<Document> }>();

  constructor(remote: RemoteDocuments) {
    this.#remote = remote;
  }

  async answer(own: Handler, { request, receivedAtMs }: RequestContext): Promise<ApiResponse> {
    const { json, protobuf, askedProtobuf } = documentTypesV2;
    const asked = mostWanted(request, {}, json, protobuf, askedProtobuf);
    if (!asked) return notAccepted;
    const local = await own(plainRequest);
    if (local.kind !== "bytes" || local.status !== 200) return local;
    const contentType = asked === json ? json : protobuf;
    const of = `${local.headers?.Etag} ${this.#remote.generation}`;
    return answer(await this.#document(contentType, { of, own: local.bytes, nowMs: receivedAtMs }), request.headers, {}, contentType);
  }

  #document(contentType: string, { of, own, nowMs }: MergeInput): Promise<Document> {
    const known = this.#made.get(contentType);
    if (known?.of === of) return known.document;
    const make = async (): Promise<Uint8Array> => {
      const all = this.#remote.merge(JSON.parse(Buffer.from(own).toString()) as object);
      if (contentType === documentTypesV2.json) return Buffer.from(JSON.stringify(all));
      const { encodeDocumentV2 } = await import("../openapi/document-v2-protobuf.ts");
      return encodeDocumentV2(all);
    };
    const document = build({ make, nowMs });
    this.#made.set(contentType, { of, document });
    document.catch(() => this.#made.delete(contentType));
    return document;
  }
}

/** For the document as it stands, in JSON and not compressed. */
const plainRequest: RequestContext = {
  request: {
    method: "GET",
    path: v2Path,
    query: new URLSearchParams(),
    headers: { accept: documentTypesV2.json },
    headerLines: () => [],
    body: { kind: "none" },
    signal: new AbortController().signal,
    remoteAddress: "",
  },
  info: parseRequestInfo("GET", v2Path, new URLSearchParams()),
  user: loopbackUser,
  warnings: [],
  receivedAtMs: 0,
};
