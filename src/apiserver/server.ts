// The API server without its sockets: the list of stages that every request passes, whichever transport brought it.
// Reading the list reads the architecture: request info → authentication → audit → impersonation → flow control →
// authorization → turns of large bodies → dispatch,
// inside the stage that keeps the deadline. Stages that have nothing to wait for hand on without a promise of their own.
import { randomUUID } from "node:crypto";
import { badRequest, internalError, StatusError } from "../api/meta/status-error.ts";
import type { Clock } from "../base/clock.ts";
import { parseDuration } from "../base/duration.ts";
import type { Logger } from "../base/log.ts";
import type { AuditStages } from "./audit/audit-stage.ts";
import { anonymousUser, type UserInfo } from "./authn/user.ts";
import { largeBodyStage } from "./flow-control/large-bodies.ts";
import { plainText } from "./http/plain-text.ts";
import { isLongRunning, parseRequestInfo, type RequestInfo, UndeterminedPath } from "./http/request-info.ts";
import type { CountedAnswer, RequestMetrics } from "./http/request-metrics.ts";
import { type ApiRequest, type ApiResponse, type Handler, loggedAuditId, type RequestContext, type Stage } from "./request.ts";

export interface ApiServerDeps {
  /** Before everything else: what browsers are told, where that is asked for. */
  readonly edge?: readonly Stage[];
  readonly authentication: Stage;
  /** Makes a span of each request, within which what follows is. Absent where nothing is traced. */
  readonly tracing?: Stage | undefined;
  /** Absent without an audit policy. */
  readonly audit?: AuditStages | undefined;
  readonly impersonation: Stage;
  readonly flowControl: Stage;
  readonly authorization: Stage;
  /** Serves /api/<version>/… and /apis/<group>/<version>/…. */
  readonly resources: Handler;
  /** Serves every other path: discovery, health, metrics, OpenAPI. */
  readonly endpoints: Handler;
  readonly metrics: RequestMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ApiServerOptions {
  /** How long a request may take that is no watch, log, exec or proxy. Default 60 s. */
  readonly requestTimeoutMs?: number;
}

/** An answer with what the transport needs to know about the request: warnings, audit id. */
export interface Answer {
  readonly response: ApiResponse;
  readonly context: RequestContext;
  /** Where it is counted how it is written. */
  readonly counted?: CountedAnswer;
}

export interface ApiServer {
  /** Never rejects: failures are answers with a Status. */
  handle(request: ApiRequest): Promise<Answer>;
}

/** The largest body the API server reads, as upstream's limit for objects: 3 MiB. */
export const maxRequestBodyBytes = 3 * 1024 * 1024;

export function createApiServer(deps: ApiServerDeps, options: ApiServerOptions = {}): ApiServer {
  const { metrics, clock, logger } = deps;
  const run = compose(
    [
      ...(deps.edge ?? []),
      requestInfo,
      withDeadline(clock, options.requestTimeoutMs ?? 60_000),
      deps.audit ? deps.audit.aroundAuthentication(deps.authentication) : deps.authentication,
      ...(deps.tracing ? [deps.tracing] : []),
      ...(deps.audit ? [deps.audit.requests] : []),
      deps.impersonation,
      deps.flowControl,
      deps.authorization,
      largeBodyStage(clock),
    ],
    (context) => (context.info.isResourceRequest ? deps.resources(context) : deps.endpoints(context)),
  );
  return {
    async handle(request) {
      const context = new ServedRequest(request, clock.now());
      const startMs = clock.monotonic();
      let response: ApiResponse;
      try {
        response = await run(context);
      } catch (error) {
        response = recovered(context, error, logger);
      }
      const counted = metrics.end(context, response, { clock, startMs });
      return { response, context, counted };
    },
  };
}

const notParsedYet: RequestInfo = parseRequestInfo("", "/", new URLSearchParams());

/** A class, so that every request has the same shape whatever is found out about it. */
class ServedRequest implements RequestContext {
  readonly request: ApiRequest;
  info: RequestInfo = notParsedYet;
  user: UserInfo = anonymousUser;
  impersonator?: UserInfo;
  impersonationConstraint?: string;
  flow?: { readonly schemaUid: string; readonly levelUid: string };
  readonly warnings: string[] = [];
  headers?: Readonly<Record<string, string>>;
  readonly receivedAtMs: number;
  readonly auditId: string;
  auditAnnotations?: Map<string, string>;
  auditBody?: { value: unknown; readonly whole: boolean };
  waitedMs?: number;
  stageMs?: Map<string, number>;
  timeoutMs?: number;
  endsAtMs?: number;
  bodyBytes?: number;
  largeBodyTurn?: () => Promise<void>;
  terminated?: number;
  removedRelease?: string;
  isRouted = false;
  speaksCbor = false;
  onceAnswered?: () => void;

  constructor(request: ApiRequest, receivedAtMs: number) {
    this.request = request;
    this.receivedAtMs = receivedAtMs;
    this.auditId = auditIdOf(request);
  }
}

/** One handler out of a list of stages, the first outermost. */
export function compose(stages: readonly Stage[], last: Handler): Handler {
  return stages.reduceRight<Handler>((next, stage) => (context) => stage(context, next), last);
}

const requestInfo: Stage = (context, next) => {
  const { method, path, query } = context.request;
  try {
    context.info = parseRequestInfo(method, path, query);
  } catch (error) {
    if (!(error instanceof UndeterminedPath)) throw error;
    const why = `failed to create RequestInfo: ${error.message}`;
    // Answered before anything is said of caching.
    return Promise.resolve(plainText(500, `Internal Server Error: ${JSON.stringify(path)}: ${why}\n`, { "Cache-Control": "" }));
  }
  return next(context);
};

/** Whatever is thrown becomes an answer; what is no Status is a defect, and is logged with its stack. */
function recovered({ request, auditId, user }: RequestContext, error: unknown, logger: Logger): ApiResponse {
  if (error instanceof StatusError) return statusResponse(error);
  const { method, path } = request;
  const stack = error instanceof Error ? error.stack : String(error);
  logger.error("Request failed", { method, path, auditId: loggedAuditId(auditId), user: user.name, error, stack });
  return statusResponse(internalError(error));
}

/** A Status as an answer, with Retry-After where the Status says when to come back. */
export function statusResponse(error: StatusError): ApiResponse {
  const retryAfter = error.status.details?.retryAfterSeconds ?? 0;
  return {
    kind: "object",
    status: error.code,
    object: error.status,
    ...(retryAfter > 0 ? { headers: { "Retry-After": String(retryAfter) } } : {}),
  };
}

/** Ends what takes too long with 504; ?timeout=5s asks for less. Long-running requests end when they or their clients do. */
function withDeadline(clock: Clock, limitMs: number): Stage {
  return (context, next) => {
    const { info, request } = context;
    if (isLongRunning(info)) return next(context);
    const asked = request.query.size > 0 ? parseTimeout(request.query.get("timeout")) : undefined;
    const timeoutMs = asked === undefined ? limitMs : Math.min(asked, limitMs);
    if (asked !== undefined) context.timeoutMs = timeoutMs;
    context.endsAtMs = context.receivedAtMs + timeoutMs;
    // Whoever asks in-process keeps a deadline himself.
    if (request.callerWaitsMs !== undefined && request.callerWaitsMs <= timeoutMs) return next(context);
    return new Promise((resolve, reject) => {
      const timer = clock.after(timeoutMs, () => {
        const error = timedOut();
        context.terminated = error.code;
        request.abort?.(error);
        // Clients within the process read objects only.
        if (request.trustedUser) reject(error);
        else resolve(timeoutAnswer(error));
      });
      const answered = (response: ApiResponse): void => {
        timer.cancel();
        resolve(response);
      };
      const failed = (error: unknown): void => {
        timer.cancel();
        reject(error);
      };
      try {
        next(context).then(answered, failed);
      } catch (error) {
        failed(error);
      }
    });
  };
}

/** Written by another hand than all other answers: a Status that does not say what it is, as text. */
function timeoutAnswer({ code, status: { kind: _, apiVersion: __, ...status } }: StatusError): ApiResponse {
  return { kind: "bytes", status: code, contentType: "text/plain; charset=utf-8", bytes: Buffer.from(`${JSON.stringify(status)}\n`) };
}

function timedOut(): StatusError {
  const message = "Timeout: request did not complete within the allotted timeout";
  return new StatusError({ code: 504, reason: "Timeout", message, details: {} });
}

/** ?timeout= in milliseconds; undefined for "" and zero, which mean the default. */
function parseTimeout(text: string | null): number | undefined {
  if (!text) return undefined;
  const ms = parseDuration(text);
  if (ms === undefined) throw badRequest(`invalid timeout specified in the request URL - ${durationProblem(text)}`);
  return ms > 0 ? ms : undefined;
}

/** Go's words for a text that is no duration. */
function durationProblem(text: string): string {
  const quoted = JSON.stringify(text);
  const [, number, unit = ""] = /^[-+]?(?:[\d.]+(?:ns|us|µs|μs|ms|s|m|h))*(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(text) ?? [];
  // Nothing is wrong but its size.
  if (number === undefined || /^(?:ns|us|µs|μs|ms|s|m|h)$/.test(unit)) return `time: invalid duration ${quoted}`;
  if (unit === "") return `time: missing unit in duration ${quoted}`;
  return `time: unknown unit ${JSON.stringify(unit)} in duration ${quoted}`;
}

/** The client's own id, where it has one. */
function auditIdOf(request: ApiRequest): string {
  return request.headers["audit-id"] || randomUUID();
}

/** 404 for a group, version or path below them that is not served. */
export function resourceNotServed(): StatusError {
  return new StatusError({ code: 404, reason: "NotFound", message: "the server could not find the requested resource", details: {} });
}

/** 405 as the router answers it. */
export function methodNotServed(): StatusError {
  const message = "the server does not allow this method on the requested resource";
  return new StatusError({ code: 405, reason: "MethodNotAllowed", message, details: {} });
}
