// HTTP/1.1: an IncomingMessage as an ApiRequest, a ServerResponse as a Sink.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ApiRequest, UpgradeHandle } from "../request.ts";
import { LazyAbort } from "./lazy-abort.ts";
import { requestBody } from "./request-body.ts";
import { ClientGone, clientGone, drained, type HeaderValues, type Sink } from "./sink.ts";

export interface ConnectionFacts {
  readonly remoteAddress: string;
  /** DER of a certificate that the client CA vouches for. */
  readonly clientCertificate: Uint8Array | undefined;
  /** DER of a certificate that the front proxy's CA vouches for. */
  readonly frontProxyCertificate: Uint8Array | undefined;
  /** A certificate was presented, and the client CA does not vouch for it. */
  readonly hasUnknownCertificate: boolean;
}

/** The certificates of a connection, as a request has them. */
export function presentedCertificates(
  facts: ConnectionFacts,
): Pick<ApiRequest, "clientCertificate" | "frontProxyCertificate" | "hasUnknownCertificate"> {
  const { clientCertificate, frontProxyCertificate, hasUnknownCertificate } = facts;
  return {
    ...(hasUnknownCertificate ? { hasUnknownCertificate } : {}),
    ...(clientCertificate ? { clientCertificate } : {}),
    ...(frontProxyCertificate ? { frontProxyCertificate } : {}),
  };
}

/** `clientGone` aborts the request's signal. */
export function http1Request(
  message: IncomingMessage,
  facts: ConnectionFacts,
  upgrade?: UpgradeHandle,
): { request: ApiRequest; clientGone: () => void } {
  const lazy = new LazyAbort();
  const { path, query } = splitUrl(message.url ?? "/");
  const method = message.method ?? "GET";
  // Node gives arrays for set-cookie only, which is no header of requests.
  const headers = message.headers as Readonly<Record<string, string | undefined>>;
  const request: ApiRequest = {
    method,
    path,
    query,
    headers,
    headerLines: (name) => message.headersDistinct[name.toLowerCase()] ?? [],
    body: requestBody(message, method, headers["content-length"], headers["transfer-encoding"] !== undefined),
    get signal() {
      return lazy.signal;
    },
    abort: (reason) => lazy.abort(() => reason),
    remoteAddress: facts.remoteAddress,
    ...presentedCertificates(facts),
    ...(upgrade ? { upgrade } : {}),
  };
  return { request, clientGone: () => lazy.abort(clientGone) };
}

/** The path and the query of a request's target, whether in origin form or absolute form. */
export function splitUrl(url: string): { path: string; query: URLSearchParams } {
  const start = url.startsWith("/") ? 0 : Math.max(0, url.indexOf("/", url.indexOf("://") + 3));
  const mark = url.indexOf("?", start);
  if (mark < 0) return { path: start === 0 ? url : url.slice(start), query: new URLSearchParams() };
  return { path: url.slice(start, mark), query: new URLSearchParams(url.slice(mark + 1)) };
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
    const length = body === undefined ? {} : { "content-length": String(body.length) };
    this.#response.writeHead(status, { ...(headers as Record<string, string | string[]>), ...length });
    this.#response.end(body);
  }

  open(status: number, headers: HeaderValues): void {
    this.#response.writeHead(status, headers as Record<string, string | string[]>);
    this.#response.flushHeaders();
  }

  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.closed) return Promise.reject(new ClientGone());
    return this.#response.write(chunk) ? undefined : drained(this.#response);
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
