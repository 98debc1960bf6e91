// Authorization by a webhook: it is sent a SubjectAccessReview and answers whether the request is allowed, denied, or
// neither. Answers are remembered for a time, for a bounded number of questions of a bounded size.
import type { SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus } from "../../api/types/authorization-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { ExpiringMap } from "../../base/expiring-map.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { Expression } from "../configuration/expressions.ts";
import { callForReview, type ReviewCaller } from "../webhook/review-call.ts";
import { accessReviewProblem } from "../webhook/review-fields.ts";
import { WebhookError } from "../webhook/webhook-error.ts";
import { accessReviewSpec } from "./access-review-spec.ts";
import type { AuthorizationWebhookMetrics } from "./authorization-metrics.ts";
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer } from "./authorizer.ts";

export interface WebhookAuthorizerOptions {
  readonly name: string;
  readonly version: "v1" | "v1beta1";
  /** How long it is remembered that something is allowed; 0: not at all. */
  readonly authorizedTtlMs: number;
  /** How long it is remembered that something is not. */
  readonly unauthorizedTtlMs: number;
  readonly timeoutMs: number;
  /** What it means when the webhook cannot be asked. */
  readonly decisionOnError: "deny" | "no-opinion";
  /** The webhook is asked when all are true. */
  readonly matchConditions: readonly Expression[];
}

export interface WebhookAuthorizerDeps extends ReviewCaller {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: AuthorizationWebhookMetrics;
}

const maxEntries = 8192;
/** Larger questions are not remembered: their size is the client's choice. */
const maxRememberedLength = 10_000;

export function createWebhookAuthorizer(deps: WebhookAuthorizerDeps, options: WebhookAuthorizerOptions): Authorizer {
  const known = new ExpiringMap<string, SubjectAccessReviewStatus>(maxEntries, deps.clock);
  return {
    async authorize(attributes) {
      const spec = accessReviewSpec(attributes);
      try {
        if (!isAsked(deps, options, spec)) return { decision: "no-opinion", reason: "" };
        const key = JSON.stringify(spec);
        let status = known.get(key);
        if (!status) {
          status = await ask(deps, options, spec);
          if (controlledLength(attributes) < maxRememberedLength)
            known.set(key, status, status.allowed ? options.authorizedTtlMs : options.unauthorizedTtlMs);
        }
        return decisionBy(status);
      } catch (error) {
        // The client is told in upstream's words, without what caused it.
        return { decision: options.decisionOnError, reason: "", error: error instanceof Error ? error.message : String(error) };
      }
    },
    rulesFor: async () => ({
      resourceRules: [],
      nonResourceRules: [],
      incomplete: true,
      evaluationError: "webhook authorizer does not support user rule resolution",
    }),
  };
}

/** One condition that is false is enough, even where another cannot be evaluated. */
function isAsked(
  { clock, metrics }: Pick<WebhookAuthorizerDeps, "clock" | "metrics">,
  { name, matchConditions }: Pick<WebhookAuthorizerOptions, "name" | "matchConditions">,
  spec: SubjectAccessReviewSpec,
): boolean {
  if (matchConditions.length === 0) return true;
  const startMs = clock.monotonic();
  const failures: string[] = [];
  const isMet = matchConditions.every((condition) => {
    try {
      return condition.evaluate(spec) === true;
    } catch (error) {
      failures.push(errorText(error));
      return true;
    }
  });
  metrics.conditionsEvaluated(name, { excluded: !isMet, failed: failures.length > 0 }, clock.monotonic() - startMs);
  if (isMet && failures.length > 0) throw new Error(failures.length === 1 ? failures[0] : `[${failures.join(", ")}]`);
  return isMet;
}

async function ask(
  deps: WebhookAuthorizerDeps,
  { name, version, timeoutMs, decisionOnError }: WebhookAuthorizerOptions,
  spec: SubjectAccessReviewSpec,
): Promise<SubjectAccessReviewStatus> {
  const { groups, ...rest } = spec;
  // v1beta1 calls the groups by another name.
  const sent = version === "v1" || !groups ? spec : { ...rest, group: groups };
  const body = {
    apiVersion: `authorization.k8s.io/${version}`,
    kind: "SubjectAccessReview",
    metadata: {},
    spec: sent,
    status: { allowed: false },
  };
  const { clock, metrics } = deps;
  const startMs = clock.monotonic();
  try {
    const answer = (await callForReview(deps, body, { timeoutMs })) as Partial<SubjectAccessReview> | null;
    const problem = accessReviewProblem(answer, version);
    if (problem !== undefined) throw new WebhookError("answer", problem);
    metrics.asked(name, "success", clock.monotonic() - startMs);
    return answer?.status ?? { allowed: false };
  } catch (error) {
    const result = error instanceof WebhookError && (error.failure === "timeout" || error.httpStatus === 504) ? "timeout" : "error";
    metrics.asked(name, result, clock.monotonic() - startMs);
    if (decisionOnError === "no-opinion") metrics.failedOpen(name, result);
    deps.logger.error("Failed to make webhook authorizer request", { webhook: name, error: errorText(error) });
    throw error;
  }
}

function decisionBy({ allowed, denied, reason: said }: SubjectAccessReviewStatus): AuthorizationDecision {
  const reason = said ?? "";
  if (allowed && denied) return { decision: "deny", reason, error: "webhook subject access review returned both allow and deny response" };
  return { decision: denied ? "deny" : allowed ? "allow" : "no-opinion", reason };
}

function controlledLength(attributes: AuthorizationAttributes): number {
  const { namespace, verb, apiGroup, apiVersion, resource, subresource, name, path } = attributes;
  return [namespace, verb, apiGroup, apiVersion, resource, subresource, name, path].reduce((sum, text) => sum + text.length, 0);
}
