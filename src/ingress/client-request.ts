// What a client asks for, the same for HTTP/1.1 and HTTP/2, and what is refused before any route is looked for: requests whose
// host or path two servers could understand differently.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";

export type ClientRequest = IncomingMessage | Http2ServerRequest;
export type ClientResponse = ServerResponse | Http2ServerResponse;

export interface Asked {
  /** As the client wrote it, with its port. */
  readonly authority: string;
  /** In lower case, without the port. */
  readonly host: string;
  /** Without the query. */
  readonly path: string;
  /** With the query. */
  readonly pathAndQuery: string;
}

const authorityForm = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?$/;
const dotSegment = /\/(\.|%2e){1,2}(\/|$)/i;

export const isHttp2 = (request: ClientRequest): request is Http2ServerRequest => request.httpVersionMajor === 2;

/** Undefined for requests that are answered with 400. */
export function askedOf(request: ClientRequest): Asked | undefined {
  const url = splitAuthority(request.url ?? "");
  if (!url) return undefined;
  const ofHeader = hostHeader(request);
  if (ofHeader === undefined) return undefined;
  // An absolute URL goes before the header (RFC 9112, 3.2.2).
  const authority = url.authority ?? ofHeader;
  const form = authorityForm.exec(authority);
  // HTTP/1.0 need not say a host.
  if (!form && !(authority === "" && request.httpVersion === "1.0")) return undefined;
  const { pathAndQuery } = url;
  const query = pathAndQuery.indexOf("?");
  const path = query < 0 ? pathAndQuery : pathAndQuery.slice(0, query);
  if (path.includes("#") || path.includes("\\") || dotSegment.test(path)) return undefined;
  const host = (form?.[1] ?? "").toLowerCase();
  return { authority, host: host.endsWith(".") ? host.slice(0, -1) : host, path, pathAndQuery };
}

function splitAuthority(url: string): { readonly authority?: string; readonly pathAndQuery: string } | undefined {
  if (url.startsWith("/")) return { pathAndQuery: url };
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(url);
  if (!absolute) return undefined;
  const rest = absolute[2] ?? "";
  return { authority: absolute[1] ?? "", pathAndQuery: rest.startsWith("/") ? rest : `/${rest}` };
}

/** "" where there is none; undefined where there are several that differ. */
function hostHeader(request: ClientRequest): string | undefined {
  const { headers, rawHeaders } = request;
  const authority = headers[":authority"];
  if (typeof authority === "string") return headers.host === undefined || headers.host === authority ? authority : undefined;
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]?.toLowerCase() === "host") hosts++;
  return hosts > 1 ? undefined : (headers.host ?? "");
}

/** Whether a body follows the request's head. */
export function hasBody(request: ClientRequest): boolean {
  const { headers } = request;
  if (isHttp2(request)) return !request.stream.endAfterHeaders;
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}
