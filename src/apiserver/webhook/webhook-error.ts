// What went wrong with a call to a webhook. The texts are those of upstream's client (Go's), because they are part of the
// answers that users see: `Post "https://…": dial tcp 10.0.0.1:443: connect: connection refused`.
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
  const { code = "", address, port, hostname, host, cert, message } = error as NetworkError;
  const certificate = (why: string): WebhookError =>
    postError("certificate", url, `tls: failed to verify certificate: x509: ${why}`, error);
  if (unknownAuthority.has(code)) return certificate("certificate signed by unknown authority");
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") return certificate("certificate has expired or is not yet valid");
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return certificate(otherNames(cert, host ?? ""));
  const dial = dialProblems[code];
  const at = address?.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  if (dial !== undefined) return postError("connection", url, `dial tcp ${at}: connect: ${dial}`, error);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return postError("connection", url, `dial tcp: lookup ${hostname}: no such host`, error);
  if (code === "ECONNRESET") return postError("connection", url, message === "socket hang up" ? "EOF" : "connection reset by peer", error);
  return postError("connection", url, message, error);
}

function otherNames(certificate: PeerCertificate | undefined, wanted: string): string {
  const names = (certificate?.subjectaltname ?? "").split(", ").flatMap((name) => /^(?:DNS|IP Address):(.*)$/.exec(name)?.[1] ?? []);
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
  const said = /^\s*$/.test(body) ? "unknown" : body.trim();
  let message = statusTexts[httpStatus];
  if (httpStatus === 400) message = said === "unknown" ? "the server rejected our request for an unknown reason" : said;
  if (httpStatus === 403) message = said === "unknown" ? "the server refused the request" : said;
  message ??=
    httpStatus >= 500
      ? `an error on the server (${JSON.stringify(said)}) has prevented the request from succeeding`
      : `the server responded with the status code ${httpStatus} but did not return more information`;
  return new WebhookError("status", message, { httpStatus, retryAfterSeconds });
}
