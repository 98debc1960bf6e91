// Reads a document of another API server for this server's own use: discovery, OpenAPI, and whether it answers at all. Every
// read has a deadline and a size that it may not exceed.
import type { Clock } from "../../base/clock.ts";
import type { UserInfo } from "../authn/user.ts";
import { connectionProblem } from "../webhook/webhook-error.ts";
import type { Address } from "./backend-request.ts";
import { userHeaders } from "./forwarded-headers.ts";
import type { RequestTarget } from "./remote-server.ts";

/** The server whose document it is. */
export interface DocumentServer extends Pick<RequestTarget, "send"> {
  /** Why no connection can be made, whatever the server does. */
  readonly problem?: string | undefined;
  /** Throws where there is no address. */
  resolve(): Address;
}

export interface DocumentRequest {
  readonly path: string;
  readonly user: UserInfo;
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /** Default application/json. */
  readonly accept?: string;
  /** Of the document that is known already: the answer may then be 304. */
  readonly etag?: string | undefined;
  /** Besides the others, by lower-case name. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface FetchedDocument {
  readonly url: string;
  readonly status: number;
  readonly contentType: string;
  /** "" where the server gives none. */
  readonly etag: string;
  readonly text: string;
}

/** Throws an Error whose message says, as upstream's client does, why there is no answer. */
export async function fetchDocument(server: DocumentServer, request: DocumentRequest, clock: Clock): Promise<FetchedDocument> {
  if (server.problem !== undefined) throw new Error(server.problem);
  const address = server.resolve();
  const host = `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
  const url = `https://${host}${request.path}`;
  const limit = new AbortController();
  const stopped = (): void => limit.abort(new Error("context canceled"));
  const timer = clock.after(request.timeoutMs, () => limit.abort(new Error("context deadline exceeded")));
  request.signal.addEventListener("abort", stopped, { once: true });
  if (request.signal.aborted) stopped();
  try {
    const headers = {
      host,
      accept: request.accept ?? "application/json",
      "user-agent": "kube-aggregator",
      ...(request.etag ? { "if-none-match": request.etag } : {}),
      ...request.headers,
      ...userHeaders(request.user),
    };
    const response = await server.send({ method: "GET", path: request.path, headers, signal: limit.signal }, address);
    const text = await readText(response, request.maxBytes);
    const { etag = "", "content-type": contentType = "" } = response.headers;
    return { url, status: response.statusCode ?? 0, contentType, etag, text };
  } catch (error) {
    const why = limit.signal.aborted ? (limit.signal.reason as Error).message : connectionProblem(error).why;
    throw new Error(`Get ${JSON.stringify(url)}: ${why}`, { cause: error });
  } finally {
    timer.cancel();
    request.signal.removeEventListener("abort", stopped);
  }
}

async function readText(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string> {
  const read: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
    read.push(chunk);
  }
  return Buffer.concat(read, length).toString();
}
