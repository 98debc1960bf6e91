// HTTP/1.1: an IncomingMessage as an ApiRequest, a ServerResponse as a Sink.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { CborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import type { ApiRequest, RequestBody, UpgradeHandle } from "../request.ts";
import { headerText } from "./header-text.ts";
import { LazyAbort } from "./lazy-abort.ts";
import { parseQuery } from "./query.ts";
import { requestBody } from "./request-body.ts";
import { ClientGone, clientGone, drained, type HeaderValues, type Sink, writtenThrough } from "./sink.ts";

export interface ConnectionFacts {
  readonly remoteAddress: string;
  /** DER of a certificate that the client CA vouches for. */
  readonly clientCertificate: Uint8Array | undefined;
  /** DER of a certificate that the front proxy's CA vouches for. */
  readonly frontProxyCertificate: Uint8Array | undefined;
  /** A certificate was presented, and the client CA does not vouch for it. */
  readonly hasUnknownCertificate: boolean;
}

interface ReceivedHead {
  readonly method: string;
  /** Path and query, in origin form or absolute form. */
  readonly target: string;
  readonly headers: ApiRequest["headers"];
  readonly upgrade?: UpgradeHandle | undefined;
}

/** A request that came over a connection. A class, because it is made for each: its signal only for those who ask for it. */
export abstract class ReceivedRequest implements ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly uri: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly remoteAddress: string;
  abstract readonly body: RequestBody;
  readonly clientCertificate?: Uint8Array;
  readonly frontProxyCertificate?: Uint8Array;
  readonly hasUnknownCertificate?: boolean;
  readonly upgrade?: UpgradeHandle;
  /** Set by the server that has received it. */
  cbor: CborCodec | undefined = undefined;
  readonly #lazy = new LazyAbort();

  constructor({ method, target, headers, upgrade }: ReceivedHead, facts: ConnectionFacts) {
    const start = target.startsWith("/") ? 0 : Math.max(0, target.indexOf("/", target.indexOf("://") + 3));
    const mark = target.indexOf("?", start);
    this.method = method;
    this.path = mark < 0 ? target.slice(start) : target.slice(start, mark);
    this.uri = target;
    this.query = parseQuery(mark < 0 ? "" : target.slice(mark + 1));
    this.headers = headers;
    this.remoteAddress = facts.remoteAddress;
    const { clientCertificate, frontProxyCertificate, hasUnknownCertificate } = facts;
    if (clientCertificate) this.clientCertificate = clientCertificate;
    if (frontProxyCertificate) this.frontProxyCertificate = frontProxyCertificate;
    if (hasUnknownCertificate) this.hasUnknownCertificate = hasUnknownCertificate;
    if (upgrade) this.upgrade = upgrade;
  }

  abstract headerLines(name: string): readonly string[];

  get signal(): AbortSignal {
    return this.#lazy.signal;
  }

  abort(reason: unknown): void {
    this.#lazy.abort(() => reason);
    // Whoever waits for the rest of the body would wait as long as the client likes, and keep its seat.
    if (this.body.kind === "bytes") this.body.cutShort?.(reason);
  }

  /** Aborts the signal, where the client has gone before it was answered. */
  clientGone(): void {
    this.#lazy.abort(clientGone);
  }
}

export interface Http1RequestOptions {
  readonly upgrade?: UpgradeHandle;
  /** Where the client waits to be told before it sends the body. */
  readonly sendContinue?: (() => void) | undefined;
}

export class Http1Request extends ReceivedRequest {
  readonly body: RequestBody;
  readonly #message: IncomingMessage;

  constructor(message: IncomingMessage, facts: ConnectionFacts, { upgrade, sendContinue }: Http1RequestOptions = {}) {
    const { method = "GET" } = message;
    // Node gives arrays for set-cookie only, which is no header of requests.
    const headers = message.headers as Readonly<Record<string, string | undefined>>;
    super({ method, target: message.url ?? "/", headers, upgrade }, facts);
    const chunked = headers["transfer-encoding"] !== undefined;
    this.body = requestBody(message, { method, declaredBytes: headers["content-length"], chunked, sendContinue });
    this.#message = message;
  }

  headerLines(name: string): readonly string[] {
    return (this.#message.headersDistinct[name.toLowerCase()] ?? []).map(headerText);
  }
}

export class Http1Sink implements Sink {
  readonly acceptsGzip: boolean;
  readonly #response: ServerResponse;

  constructor(response: ServerResponse, acceptEncoding: string | undefined) {
    this.#response = response;
    this.acceptsGzip = allowsGzip(acceptEncoding);
  }

  get closed(): boolean {
    return this.#response.destroyed || this.#response.writableEnded;
  }

  send(status: number, headers: HeaderValues, body: Uint8Array | undefined): void {
    // Answers without a body (HEAD, 304) say nothing of its length.
    if (body !== undefined) headers["content-length"] = String(body.length);
    this.#response.writeHead(status, headers as Record<string, string | string[]>);
    this.#response.end(body);
  }

  /** Node writes a text together with the head: one encrypted record, and half of what writing two pieces costs. */
  sendText(status: number, headers: HeaderValues, body: string): void {
    headers["content-length"] = String(body.length);
    this.#response.writeHead(status, headers as Record<string, string | string[]>);
    this.#response.end(body, "latin1");
  }

  open(status: number, headers: HeaderValues): void {
    this.#response.writeHead(status, headers as Record<string, string | string[]>);
    this.#response.flushHeaders();
  }

  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.closed) return Promise.reject(new ClientGone());
    return this.#response.write(chunk) ? undefined : drained(this.#response);
  }

  writeThrough(chunk: Uint8Array): Promise<void> {
    return this.closed ? Promise.reject(new ClientGone()) : writtenThrough(this.#response, chunk);
  }

  end(): void {
    this.#response.end();
  }

  destroy(error: Error): void {
    this.#response.destroy(error);
  }

  onClose(listener: () => void): void {
    this.#response.once("close", listener);
  }
}

/** Whether an Accept-Encoding header lists gzip with a quality above zero. */
export function allowsGzip(header: string | undefined): boolean {
  if (!header?.includes("gzip")) return false;
  return header.split(",").some((part) => /^\s*gzip\s*($|;)/.test(part) && !/;\s*q=0(\.0*)?\s*$/.test(part));
}
