// The headers of a request on its way to a pod, and of the answer on its way back. What a client itself says about whom the
// request has come from is thrown away, since it could say anything: the address told is that of the connection.
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import { isOfConnection, namesInConnection } from "../base/connection-headers.ts";
import { type Asked, type ClientRequest, hasBody } from "./client-request.ts";

/** Set anew, or used up by this server. */
const setAnew = new Set([
  "host",
  "expect",
  "http2-settings",
  "forwarded",
  "x-real-ip",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-proto",
  "x-forwarded-scheme",
  "x-forwarded-server",
]);

export interface Entrance {
  readonly scheme: "http" | "https";
  /** Where the client connected to. */
  readonly port: number;
}

export function forwardedHeaders(request: ClientRequest, { authority }: Asked, { scheme, port }: Entrance): OutgoingHttpHeaders {
  const { headers } = request;
  const named = headers.connection === undefined ? undefined : namesInConnection(headers.connection);
  const passed: OutgoingHttpHeaders = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || isOfConnection(name) || setAnew.has(name) || named?.has(name) || name.charCodeAt(0) === 58) continue;
    passed[name] = value;
  }
  // A body is framed as it was, whatever the method: Node would send that of a GET without any end.
  if (!hasBody(request)) {
    if (passed["content-length"] !== "0") delete passed["content-length"];
  } else if (headers["content-length"] === undefined || headers["transfer-encoding"] !== undefined) {
    delete passed["content-length"];
    passed["transfer-encoding"] = "chunked";
  }
  const address = addressOf(request);
  passed.host = authority;
  passed["x-real-ip"] = address;
  passed["x-forwarded-for"] = address;
  passed["x-forwarded-host"] = authority;
  passed["x-forwarded-port"] = String(port);
  passed["x-forwarded-proto"] = scheme;
  return passed;
}

/** IPv4 clients of a socket for both families in their own form. */
export function addressOf(request: ClientRequest): string {
  const address = request.socket.remoteAddress ?? "";
  return address.startsWith("::ffff:") ? address.slice(7) : address;
}

export function answeredHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const named = headers.connection === undefined ? undefined : namesInConnection(headers.connection);
  const passed: OutgoingHttpHeaders = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined && !isOfConnection(name) && !named?.has(name)) passed[name] = value;
  }
  return passed;
}
