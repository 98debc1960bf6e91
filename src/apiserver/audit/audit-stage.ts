// The audit stage, between authentication and impersonation: asks the policy, hands the request on with a place for what is
// found out about it, and writes events as it passes its stages. Long-running requests have a ResponseStarted event when their
// answer begins and are complete when it ends. Without a policy there is no such stage at all.
import { isStatus, type StatusError } from "../../api/meta/status-error.ts";
import type { Clock } from "../../base/clock.ts";
import { errorText } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import { internalServerError } from "../http/plain-text.ts";
import { isLongRunning } from "../http/request-info.ts";
import type { ApiResponse, RequestContext, Stage, UpgradeHandle, WatchStream } from "../request.ts";
import type { AuditBackend } from "./audit-backend.ts";
import { AuditedRequest } from "./audit-event.ts";
import { auditCounters } from "./audit-metrics.ts";
import type { AuditPolicy, AuditStage } from "./audit-policy.ts";

export interface AuditDeps {
  readonly policy: AuditPolicy;
  readonly backend: AuditBackend;
  readonly clock: Clock;
  readonly metrics: MetricsRegistry;
}

export interface AuditStages {
  /** Authentication that records whom it refuses. */
  aroundAuthentication(authentication: Stage): Stage;
  readonly requests: Stage;
}

/** A request whose first event the back end does not take (blocking-strict) is refused. */
export function createAuditStages(deps: AuditDeps): AuditStages {
  const recorder = new Recorder(deps);
  return {
    aroundAuthentication: (authentication) => async (context, next) => {
      let passed = false;
      try {
        return await authentication(context, (authenticated) => {
          passed = true;
          return next(authenticated);
        });
      } catch (error) {
        if (!passed && isStatus(error, "Unauthorized")) await recorder.refused(context, error);
        throw error;
      }
    },
    async requests(context, next) {
      const audited = recorder.begin(context);
      if (!audited) return next(context);
      if (!(await recorder.record(audited, "RequestReceived"))) return internalServerError(context.request, "failed to store audit event");
      let response: ApiResponse;
      try {
        response = await next(context);
      } catch (error) {
        await recorder.failed(audited, error, isLongRunning(context.info));
        throw error;
      }
      audited.answered(response);
      if (isLongRunning(context.info)) return recorder.following(audited, response);
      await recorder.record(audited, "ResponseComplete");
      return response;
    },
  };
}

class Recorder {
  readonly #deps: AuditDeps;
  readonly #events;
  readonly #levels;
  readonly #rejected;

  constructor(deps: AuditDeps) {
    this.#deps = deps;
    const { metrics } = deps;
    const { events, rejected } = auditCounters(metrics);
    this.#events = events;
    this.#rejected = rejected;
    this.#levels = metrics.counter("apiserver_audit_level_total", "[ALPHA] Counter of policy levels for audit events (1 per request).", [
      "level",
    ]);
  }

  begin(context: RequestContext): AuditedRequest | undefined {
    const decision = this.#deps.policy.decide(context.user, context.info);
    this.#levels.series(decision.level).add();
    if (decision.level === "None") return undefined;
    context.auditAnnotations ??= new Map();
    context.auditBody = { value: undefined, whole: decision.level !== "Metadata" };
    return new AuditedRequest(context, decision);
  }

  /** Nobody has been authenticated: the event has no user. */
  async refused(context: RequestContext, error: StatusError): Promise<void> {
    const decision = this.#deps.policy.decide(undefined, context.info);
    this.#levels.series(decision.level).add();
    if (decision.level === "None") return;
    const audited = new AuditedRequest({ ...contextFacts(context), user: { name: "", groups: [] } }, decision);
    audited.refused(error);
    await this.record(audited, "ResponseStarted");
  }

  async failed(audited: AuditedRequest, error: unknown, isLong: boolean): Promise<void> {
    if (isStatus(error)) {
      audited.refused(error);
      if (isLong) await this.record(audited, "ResponseStarted");
      await this.record(audited, "ResponseComplete");
      return;
    }
    const message = `APIServer panic'd: ${errorText(error)}`;
    const status = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", reason: "InternalError", message };
    audited.failed({ code: 500, object: status });
    await this.record(audited, "Panic");
  }

  /** False where the request must not go on, because this is its first event and could not be written. */
  async record(audited: AuditedRequest, stage: AuditStage): Promise<boolean> {
    if (audited.decision.omitStages.has(stage)) return true;
    const { backend, clock } = this.#deps;
    if (stage === "ResponseComplete") audited.tellDurations(clock.now());
    this.#events.add();
    try {
      const written = backend.write([audited.event(stage, clock.now())]);
      if (written) await written;
      return true;
    } catch {
      // The back end has told of it.
      if (stage === "RequestReceived") this.#rejected.add();
      return false;
    }
  }

  /** The answer of a long-running request, complete when it has ended. */
  async following(audited: AuditedRequest, response: ApiResponse): Promise<ApiResponse> {
    await this.record(audited, "ResponseStarted");
    const ended = async (): Promise<void> => void (await this.record(audited, "ResponseComplete"));
    switch (response.kind) {
      case "watch":
        return { ...response, stream: followed(response.stream, ended) };
      case "stream":
        return { ...response, chunks: untilEnd(response.chunks, ended) };
      case "upgrade":
        return {
          ...response,
          serve: (upgrade: UpgradeHandle) => {
            upgrade.socket.once("close", () => void ended());
            response.serve(upgrade);
          },
        };
      default:
        await ended();
        return response;
    }
  }
}

/** What an event is made of, without the getters that make signals. */
function contextFacts(context: RequestContext): RequestContext {
  const { request, info, warnings, receivedAtMs, auditId } = context;
  return { request, info, user: context.user, warnings, receivedAtMs, ...(auditId === undefined ? {} : { auditId }) };
}

/** Ends when its batches end, or when it is closed before anybody has read them. */
function followed(stream: WatchStream, ended: () => Promise<void>): WatchStream {
  let read = false;
  const batches = untilEnd(stream.batches, ended);
  return {
    batches: {
      [Symbol.asyncIterator]() {
        read = true;
        return batches[Symbol.asyncIterator]();
      },
    },
    close() {
      stream.close();
      if (!read) void ended();
      read = true;
    },
  };
}

async function* untilEnd<T>(source: AsyncIterable<T>, ended: () => Promise<void>): AsyncGenerator<T, void, undefined> {
  try {
    yield* source;
  } finally {
    await ended();
  }
}
