// What went wrong with a call to a webhook. The texts are those of upstream's client (Go's), because they are part of the
// answers that users see: `Post "https://…": dial tcp 10.0.0.1:443: connect: connection refused`.
import { getServers } from "node:dns";
import { isIP } from "node:net";
import type { PeerCertificate } from "node:tls";

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

  constructor(
    failure: WebhookFailure,
    message: string,
    more: { readonly httpStatus?: number | undefined; readonly retryAfterSeconds?: number | undefined; readonly cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = "WebhookError";
    this.failure = failure;
    this.httpStatus = more.httpStatus;
    this.retryAfterSeconds = more.retryAfterSeconds;
  }
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

/** An error of a socket as upstream words it. */
export function connectionError(url: string, error: unknown): WebhookError {
  const { failure, why } = connectionProblem(error);
  return postError(failure, url, why, error);
}

/** The same without the call that it is about. */
export function connectionProblem(error: unknown): { readonly failure: "connection" | "certificate"; readonly why: string } {
  // A name with several addresses fails once for each.
  const one = error instanceof AggregateError ? (error.errors as readonly unknown[]).at(-1) : error;
  const { code = "", address, port, hostname, host, cert, message } = one as NetworkError;
  const certificate = (why: string) => ({ failure: "certificate", why: `tls: failed to verify certificate: x509: ${why}` }) as const;
  const connection = (why: string) => ({ failure: "connection", why }) as const;
  if (unknownAuthority.has(code)) return certificate("certificate signed by unknown authority");
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") return certificate("certificate has expired or is not yet valid");
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return certificate(otherNames(cert, host ?? ""));
  const dial = dialProblems[code];
  const at = address?.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  if (dial !== undefined) return connection(`dial tcp ${at}: connect: ${dial}`);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return connection(`dial tcp: lookup ${hostname}${resolverText()}: no such host`);
  if (code === "ECONNRESET") return connection(closed.test(message) ? "EOF" : "connection reset by peer");
  const alert = /SSL alert number (\d+)/.exec(message)?.[1];
  if (alert !== undefined) return connection(`remote error: tls: ${tlsAlerts[Number(alert)] ?? `alert(${alert})`}`);
  if (code === "EPROTO" && /wrong version number/.test(message)) return connection("http: server gave HTTP response to HTTPS client");
  return connection(message);
}

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
  406: "the server was unable to respond with a content type that the client supports",
  409: "the server reported a conflict",
  415: "the body of the request was in an unknown format",
  422: "the server rejected our request due to an error in our request",
  429: "the server has received too many requests and has asked us to try again later",
  503: "the server is currently unable to handle the request",
  504: "the server was unable to return a response in the time allotted, but may still be processing the request",
};

/** An answer that is no success, worded as upstream's client does; `body` is the beginning of it. */
export function statusError(httpStatus: number, body: string, retryAfter: string | undefined): WebhookError {
  const seconds = Number(retryAfter ?? Number.NaN);
  const retryAfterSeconds = Number.isInteger(seconds) && seconds >= 0 ? seconds : undefined;
  const said = body.trim();
  let message = statusTexts[httpStatus];
  if (httpStatus === 400) message = "the server rejected our request for an unknown reason";
  if (httpStatus === 403) message = said;
  message ??=
    httpStatus >= 500
      ? `an error on the server (${JSON.stringify(said)}) has prevented the request from succeeding`
      : `the server responded with the status code ${httpStatus} but did not return more information`;
  return new WebhookError("status", message, { httpStatus, retryAfterSeconds });
}
