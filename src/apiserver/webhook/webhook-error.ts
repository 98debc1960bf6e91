// What went wrong with a call to a webhook. The texts are those of upstream's client (Go's), because they are part of the
// answers that users see: `Post "https://…": dial tcp 10.0.0.1:443: connect: connection refused`.
import { getServers } from "node:dns";
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { goQuoted } from "../../base/go-quoted.ts";
import { type HttpParseError, httpParseProblem } from "./http-parse-problem.ts";

export type WebhookFailure =
  /** The address could not be found or reached, or the connection broke. */
  | "connection"
  /** The server's certificate is not to be trusted. */
  | "certificate"
  /** No answer before the deadline. */
  | "timeout"
  /** An answer that is no 2xx. */
  | "status"
  /** An answer that is too long or no JSON. */
  | "answer";

export class WebhookError extends Error {
  readonly failure: WebhookFailure;
  /** The HTTP status of the answer, where there was one. */
  readonly httpStatus: number | undefined;
  /** The answer's Retry-After, in seconds. */
  readonly retryAfterSeconds: number | undefined;
  /** Of the Status that the answer was. */
  readonly reason: string | undefined;

  constructor(failure: WebhookFailure, message: string, more: WebhookErrorDetails = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = "WebhookError";
    this.failure = failure;
    this.httpStatus = more.httpStatus;
    this.retryAfterSeconds = more.retryAfterSeconds;
    this.reason = more.reason;
  }
}

export interface WebhookErrorDetails {
  readonly httpStatus?: number | undefined;
  readonly retryAfterSeconds?: number | undefined;
  readonly reason?: string | undefined;
  readonly cause?: unknown;
}

/** A call that got no answer. */
export function postError(failure: WebhookFailure, url: string, why: string, cause?: unknown): WebhookError {
  return new WebhookError(failure, `Post ${JSON.stringify(url)}: ${why}`, { cause });
}

const unknownAuthority = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
]);

const dialProblems: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ETIMEDOUT: "connection timed out",
  EACCES: "permission denied",
};

interface NetworkError extends Error {
  readonly code?: string;
  readonly address?: string;
  readonly port?: number;
  readonly hostname?: string;
  readonly host?: string;
  readonly cert?: PeerCertificate;
}

/** What was seen of a connection before it failed. */
export interface SeenConnection {
  /** Of the server. */
  certificate?: PeerCertificate;
  /** The two ends: "127.0.0.1:41234->10.0.0.1:443". */
  ends?: string;
  /** The name that the certificate has to be for. */
  readonly host: string;
  readonly nowMs: number;
}

/** An error of a socket as upstream words it. */
export function connectionError(url: string, error: unknown, seen?: SeenConnection): WebhookError {
  const { failure, why } = connectionProblem(error, seen);
  return postError(failure, url, why, error);
}

/** The same without the call that it is about. */
export function connectionProblem(
  error: unknown,
  seen?: SeenConnection,
): { readonly failure: "connection" | "certificate"; readonly why: string } {
  // A name with several addresses fails once for each.
  const one = error instanceof AggregateError ? (error.errors as readonly unknown[]).at(-1) : error;
  const { code = "", address, port, hostname, host, cert, message } = one as NetworkError;
  const certificate = (why: string) => ({ failure: "certificate", why: `tls: failed to verify certificate: x509: ${why}` }) as const;
  const connection = (why: string) => ({ failure: "connection", why }) as const;
  if (unknownAuthority.has(code)) return certificate(leafProblem(seen) ?? "certificate signed by unknown authority");
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") return certificate(leafProblem(seen) ?? outOfTime);
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return certificate(otherNames(cert, host ?? ""));
  const dial = dialProblems[code];
  const at = address?.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  if (dial !== undefined) return connection(`dial tcp ${at}: connect: ${dial}`);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return connection(`dial tcp: lookup ${hostname}${resolverText()}: no such host`);
  if (code === "ECONNRESET") return connection(closed.test(message) ? "EOF" : resetText(seen));
  const unreadable = httpParseProblem(one as HttpParseError);
  if (unreadable !== undefined) return connection(unreadable);
  const alert = /SSL alert number (\d+)/.exec(message)?.[1];
  if (alert !== undefined) return connection(`remote error: tls: ${tlsAlerts[Number(alert)] ?? `alert(${alert})`}`);
  if (code === "EPROTO" && /wrong version number/.test(message)) return connection("http: server gave HTTP response to HTTPS client");
  return connection(message);
}

const outOfTime = "certificate has expired or is not yet valid";

/** Go looks at the server's own certificate first: its time, then its names, and at who has signed it last. */
function leafProblem(seen: SeenConnection | undefined): string | undefined {
  const { certificate, host = "", nowMs = 0 } = seen ?? {};
  if (!certificate?.valid_to) return undefined;
  const time = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
  const [fromMs, toMs] = [Date.parse(certificate.valid_from), Date.parse(certificate.valid_to)];
  if (nowMs < fromMs) return `${outOfTime}: current time ${time(nowMs)} is before ${time(fromMs)}`;
  if (nowMs > toMs) return `${outOfTime}: current time ${time(nowMs)} is after ${time(toMs)}`;
  return checkServerIdentity(host, certificate) ? otherNames(certificate, host) : undefined;
}

const resetText = (seen: SeenConnection | undefined): string =>
  seen?.ends === undefined ? "connection reset by peer" : `read tcp ${seen.ends}: read: connection reset by peer`;

/** Who has been asked for the address. */
function resolverText(): string {
  const [server] = getServers();
  if (server === undefined) return "";
  const hasPort = /^\[.*\]:\d+$|^[^:]+:\d+$/.test(server);
  return ` on ${hasPort ? server : server.includes(":") ? `[${server}]:53` : `${server}:53`}`;
}

/** Before anything was answered, or before the connection was encrypted. */
const closed = /^socket hang up$|socket disconnected before secure TLS connection/;

/** What the other side says of the end of a connection. */
const tlsAlerts: Readonly<Record<number, string>> = {
  40: "handshake failure",
  42: "bad certificate",
  43: "unsupported certificate",
  44: "revoked certificate",
  45: "expired certificate",
  46: "unknown certificate",
  47: "illegal parameter",
  48: "unknown certificate authority",
  49: "access denied",
  50: "error decoding message",
  51: "error decrypting message",
  70: "protocol version not supported",
  71: "insufficient security level",
  80: "internal error",
  112: "unrecognized name",
  116: "certificate required",
  120: "no application protocol",
};

function otherNames(certificate: PeerCertificate | undefined, wanted: string): string {
  const isAddress = isIP(wanted) !== 0;
  const names = (certificate?.subjectaltname ?? "").split(", ").flatMap((name) => /^(?:DNS|IP Address):(.*)$/.exec(name)?.[1] ?? []);
  if (isAddress && !/IP Address:/.test(certificate?.subjectaltname ?? ""))
    return `cannot validate certificate for ${wanted} because it doesn't contain any IP SANs`;
  return names.length === 0
    ? `certificate is not valid for any names, but wanted to match ${wanted}`
    : `certificate is valid for ${names.join(", ")}, not ${wanted}`;
}

const statusTexts: Readonly<Record<number, string>> = {
  401: "the server has asked for the client to provide credentials",
  404: "the server could not find the requested resource",
  405: "the server does not allow this method on the requested resource",
  409: "the server reported a conflict",
  422: "the server rejected our request due to an error in our request",
  429: "the server has received too many requests and has asked us to try again later",
  503: "the server is currently unable to handle the request",
  504: "the server was unable to return a response in the time allotted, but may still be processing the request",
};

/** An answer that is no success, worded as upstream's client does; `body` is the beginning of it. */
export function statusError(httpStatus: number, body: string | Uint8Array, retryAfter: string | undefined): WebhookError {
  const seconds = Number(retryAfter ?? Number.NaN);
  const retryAfterSeconds = Number.isInteger(seconds) && seconds >= 0 ? seconds : undefined;
  const said = (typeof body === "string" ? body : new TextDecoder().decode(body)).trim();
  let message = statusTexts[httpStatus];
  if (httpStatus === 400) message = "the server rejected our request for an unknown reason";
  if (httpStatus === 403 || httpStatus === 415) message = said;
  if (httpStatus === 406)
    message = said === "" || said === "unknown" ? "the server was unable to respond with a content type that the client supports" : said;
  message ??=
    httpStatus >= 500
      ? `an error on the server (${quotedBytes(body, said)}) has prevented the request from succeeding`
      : `the server responded with the status code ${httpStatus} but did not return more information`;
  return new WebhookError("status", message, { httpStatus, retryAfterSeconds });
}

/** What a server has said, quoted as Go does: bytes that are no text too. */
function quotedBytes(body: string | Uint8Array, said: string): string {
  if (typeof body === "string" || !said.includes("\ufffd")) return goQuoted(said);
  // Byte by byte where it must be: the parts that are text, and the bytes between them.
  const parts: string[] = [];
  for (let at = 0; at < body.length; ) {
    const size = characterSize(body, at);
    const text =
      size === 0 ? `\\x${(body[at] ?? 0).toString(16).padStart(2, "0")}` : new TextDecoder().decode(body.subarray(at, at + size));
    parts.push(size === 0 ? text : goQuoted(text).slice(1, -1));
    at += Math.max(size, 1);
  }
  return `"${parts.join("").trim()}"`;
}

const strictText = new TextDecoder("utf-8", { fatal: true });

/** How many bytes the character at this place has; 0 where there is none. */
function characterSize(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  const size = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  try {
    return strictText.decode(bytes.subarray(at, at + size)).length > 0 ? size : 0;
  } catch (error) {
    if (error instanceof TypeError) return 0;
    throw error;
  }
}
