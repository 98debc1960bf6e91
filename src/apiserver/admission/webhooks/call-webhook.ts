// One call of a webhook: the review is sent, the answer read, its warnings and annotations are taken over, and what went
// wrong becomes what the failure policy says. The texts are upstream's, as clients see them.
import { randomUUID } from "node:crypto";
import { isQualifiedName } from "../../../api/meta/names.ts";
import { badRequest, internalError, StatusError } from "../../../api/meta/status-error.ts";
import type { Status } from "../../../api/types/meta-v1.ts";
import type { Clock } from "../../../base/clock.ts";
import type { Logger } from "../../../base/log.ts";
import type { Tracer } from "../../../base/tracing.ts";
import { servicesKnown } from "../../webhook/service-resolver.ts";
import type { ServiceResolver, WebhookClient, WebhookTarget } from "../../webhook/webhook-client.ts";
import { WebhookError } from "../../webhook/webhook-error.ts";
import { webhookTarget } from "../../webhook/webhook-target.ts";
import type { AdmissionRequest } from "../admission.ts";
import { type AdmissionAnswer, AnswerError, admissionReview, type ReviewedObjects, readAnswer, unreadable } from "./admission-review.ts";
import type { Invocation, MatchDependencies } from "./match-webhook.ts";
import type { CredentialsFor } from "./webhook-credentials.ts";
import type { RejectionKind, WebhookStep } from "./webhook-metrics.ts";
import type { CompiledWebhook } from "./webhook-source.ts";

export interface WebhookDependencies extends MatchDependencies {
  readonly webhooks: WebhookClient;
  readonly resolve: ServiceResolver;
  /** Who the server is to webhooks; absent where it presents nothing. */
  readonly credentialsFor?: CredentialsFor | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Absent where nothing is traced. */
  readonly tracer?: Tracer | undefined;
}

const unavailable = 503;

/** The webhook did not do its part: its failure policy decides. */
export class FailedCall extends Error {
  /** For the metrics. */
  readonly code: number;

  constructor(webhook: string, why: string, options: { readonly code?: number; readonly cause?: unknown } = {}) {
    super(`failed calling webhook ${JSON.stringify(webhook)}: ${why}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "FailedCall";
    this.code = options.code ?? unavailable;
  }
}

/** The webhook has refused the request. */
class Rejection extends Error {
  readonly error: StatusError;

  constructor(error: StatusError) {
    super(error.message);
    this.name = "Rejection";
    this.error = error;
  }
}

/** Gives the answer of a webhook that lets the request pass. Throws FailedCall, Rejection or a StatusError. */
export async function askWebhook(
  deps: WebhookDependencies,
  invocation: Invocation,
  request: AdmissionRequest,
  { objects, mutating }: { readonly objects: ReviewedObjects; readonly mutating: boolean },
): Promise<AdmissionAnswer> {
  const { hook } = invocation;
  if (request.dryRun && !hook.takesDryRun) throw badRequest(`admission webhook ${JSON.stringify(hook.name)} does not support dry run`);
  const version = hook.reviewVersion;
  if (!version) {
    const why = "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
    throw new FailedCall(hook.name, why, { code: 400 });
  }
  const uid = randomUUID();
  const review = admissionReview(version, uid, request, { invocation, ...objects });
  const call = (): Promise<unknown> => post(deps, hook, request, review);
  const answered = await (deps.tracer ? tracedCall(deps.tracer, { hook, request, uid, mutating }, call) : call());
  const answer = verified(hook, () => readAnswer(answered, { version, uid, mutating }));
  annotate(request, hook, answer.auditAnnotations);
  for (const warning of answer.warnings) request.warn(warning);
  if (!answer.allowed) throw new Rejection(denial(hook.name, answer.status));
  return answer;
}

interface TracedCall {
  readonly hook: CompiledWebhook;
  readonly request: AdmissionRequest;
  readonly uid: string;
  readonly mutating: boolean;
}

function tracedCall<T>(tracer: Tracer, { hook, request, uid, mutating }: TracedCall, call: () => Promise<T>): Promise<T> {
  const { group, version, resource } = request.resource;
  const attributes = {
    ...{ configuration: hook.configuration, webhook: hook.name },
    ...{ resource: `${group}/${version}, Resource=${resource}`, subresource: request.subresource },
    ...{ operation: request.operation, UID: uid },
  };
  return tracer.within(`Call ${mutating ? "mutating" : "validating"} webhook`, { attributes }, call);
}

/** Keys that are none are left out, as upstream does. */
function annotate(request: AdmissionRequest, { name }: CompiledWebhook, annotations: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(annotations))
    if (isQualifiedName(`${name}/${key}`).length === 0) request.annotate(`${name}/${key}`, value);
}

async function post(deps: WebhookDependencies, hook: CompiledWebhook, request: AdmissionRequest, body: unknown): Promise<unknown> {
  const { timeoutSeconds } = hook;
  try {
    if (hook.clientConfig.service) await servicesKnown(deps.reader, request.signal);
    const target = webhookTarget(hook.clientConfig, deps.resolve, `timeout=${toldSeconds(hook, request, deps.clock.now())}s`);
    const credentials = await deps.credentialsFor?.(hostPortOf(target));
    const answer = await deps.webhooks.post(credentials ? { ...target, ...credentials } : target, {
      body,
      timeoutMs: timeoutSeconds * 1000,
      signal: request.signal,
    });
    const problem = hook.reviewVersion && unreadable(answer, hook.reviewVersion);
    if (problem !== undefined) throw new WebhookError("answer", problem);
    return answer;
  } catch (error) {
    if (request.signal.aborted || !(error instanceof WebhookError))
      throw new FailedCall(hook.name, `failed to call webhook: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    throw new FailedCall(hook.name, `failed to call webhook: ${error.message}`, { code: error.httpStatus ?? unavailable, cause: error });
  }
}

/** What a webhook is told that it may take: what it has itself, or less where the request ends before. */
function toldSeconds({ timeoutSeconds }: CompiledWebhook, { endsAtMs }: AdmissionRequest, nowMs: number): number {
  return endsAtMs === undefined ? timeoutSeconds : Math.min(timeoutSeconds, Math.max(1, Math.ceil((endsAtMs - nowMs) / 1000)));
}

function hostPortOf({ url }: WebhookTarget): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port === "" ? "443" : port}`;
}

function verified<T>(hook: CompiledWebhook, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof AnswerError) throw new FailedCall(hook.name, `received invalid webhook response: ${error.message}`);
    throw error;
  }
}

/** The Status of a refusal: the webhook's own, under its name, and never one that tells of success. */
export function denial(webhook: string, status: Partial<Status> = {}): StatusError {
  const { message = "", reason = "", code = 0, details } = status;
  const deniedBy = `admission webhook ${JSON.stringify(webhook)} denied the request`;
  const why = message || reason;
  return new StatusError({
    ...(details ? { details } : {}),
    ...(reason === "" ? {} : { reason }),
    message: why === "" ? `${deniedBy} without explanation` : `${deniedBy}: ${why}`,
    code: Math.max(code, 400),
  });
}

export interface GuardedCall {
  readonly hook: CompiledWebhook;
  readonly step: WebhookStep;
  readonly request: AdmissionRequest;
  /** Called where a failure is let pass. */
  readonly onFailedOpen: () => void;
}

/** Does the work with a webhook, counts it, and lets its failures pass where the webhook wants that: then undefined. */
export async function guarded<T>(deps: WebhookDependencies, call: GuardedCall, work: () => Promise<T>): Promise<T | undefined> {
  const startMs = deps.clock.monotonic();
  const observe = (code: number, kind?: RejectionKind): void => {
    const { hook, step, request } = call;
    const seen = { name: hook.name, step, operation: request.operation, code };
    const durationMs = deps.clock.monotonic() - startMs;
    request.waited?.(durationMs, step === "validating" ? "validating-webhook" : "mutating-webhook");
    if (kind) deps.metrics.rejected(seen, kind);
    deps.metrics.called({ ...seen, rejected: kind !== undefined, durationMs });
  };
  try {
    const result = await work();
    observe(200);
    return result;
  } catch (error) {
    if (error instanceof Rejection) {
      observe(error.error.code, "no_error");
      throw error.error;
    }
    if (!(error instanceof FailedCall)) {
      observe(0, "apiserver_internal_error");
      throw error;
    }
    observe(error.code, call.hook.ignoresFailures ? undefined : "calling_webhook_error");
    if (!call.hook.ignoresFailures) throw internalError(error);
    failOpen(deps, call, error);
    return undefined;
  }
}

function failOpen({ metrics, logger }: WebhookDependencies, { hook, step, request, onFailedOpen }: GuardedCall, error: FailedCall): void {
  if (request.signal.aborted) {
    const message = "Timeout: request did not complete within requested timeout";
    throw new StatusError({ code: 504, reason: "Timeout", message, details: {} });
  }
  logger.warn("Failed calling webhook, failing open", { webhook: hook.name, error });
  metrics.failedOpen(hook.name, step);
  onFailedOpen();
}
