// The headers of a request on its way to an extension server, and of the answer on its way back: without those of one
// connection and without credentials, but with who asks. The extension server believes the X-Remote headers because they come
// over a connection with the front proxy's certificate; what a client itself puts there is thrown away.
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import { isOfConnection, namesInConnection } from "../../base/connection-headers.ts";
import type { UserInfo } from "../authn/user.ts";

/** Set anew, or used up by this server. */
const notForwarded = new Set(["host", "content-length", "expect", "authorization", "audit-id"]);
const notForwardedPrefixes = [":", "impersonate-", "x-remote-"];

/** What else is told about a request. */
export interface Forwarding {
  readonly user: UserInfo;
  /** "10.0.0.5:443". */
  readonly host: string;
  /** Percent-encoded, without the query. */
  readonly path: string;
  readonly remoteAddress: string;
  readonly auditId?: string | undefined;
}

type RequestHeaders = Readonly<Record<string, string | undefined>>;

export function forwardedHeaders(headers: RequestHeaders, forwarding: Forwarding): OutgoingHttpHeaders {
  const { user, host, path, remoteAddress, auditId } = forwarding;
  const named = namesInConnection(headers.connection);
  const passed: OutgoingHttpHeaders = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined && !isDropped(name, named)) passed[name] = value;
  }
  const before = headers["x-forwarded-for"];
  if (remoteAddress !== "") passed["x-forwarded-for"] = before === undefined ? remoteAddress : `${before}, ${remoteAddress}`;
  passed.host = host;
  passed["x-forwarded-host"] = host;
  passed["x-forwarded-proto"] = "https";
  passed["x-forwarded-uri"] = path;
  if (auditId !== undefined) passed["audit-id"] = auditId;
  return Object.assign(passed, userHeaders(user));
}

function isDropped(name: string, ofThisConnection: ReadonlySet<string>): boolean {
  if (isOfConnection(name) || notForwarded.has(name) || ofThisConnection.has(name)) return true;
  return notForwardedPrefixes.some((prefix) => name.startsWith(prefix));
}

/** X-Remote-User, -Uid, -Group (one line for each) and -Extra-<key>. */
export function userHeaders({ name, uid, groups, extra }: UserInfo): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = { "X-Remote-User": wireText(name) };
  if (uid) headers["X-Remote-Uid"] = wireText(uid);
  if (groups.length > 0) headers["X-Remote-Group"] = groups.map(wireText);
  for (const [key, values] of Object.entries(extra ?? {}))
    if (values.length > 0) headers[`X-Remote-Extra-${escapedKey(key)}`] = values.map(wireText);
  return headers;
}

/** Header values are bytes: names that are not ASCII go out in UTF-8. */
const wireText = (text: string): string => Buffer.from(text, "utf8").toString("latin1");

/** Bytes that may not stand in a header's name, and "%" itself, as "%2F". */
function escapedKey(key: string): string {
  let escaped = "";
  for (const byte of Buffer.from(key, "utf8")) {
    const character = String.fromCharCode(byte);
    escaped += /[\w!#$&'*+.^`|~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return escaped;
}

/** What of an answer's headers goes on to the client, the content type aside. */
export function answeredHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const named = namesInConnection(headers.connection);
  const passed: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || isOfConnection(name) || named.has(name) || isOurs(name)) continue;
    passed[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return passed;
}

/** What this server says itself, or what only browsers at other sites ask for (upstream strips those too). */
const isOurs = (name: string): boolean =>
  name === "content-type" ||
  name === "audit-id" ||
  name.startsWith("x-kubernetes-pf-") ||
  (name.startsWith("access-control-") && name !== "access-control-expose-headers");
