// The authorization stage: asks whether the user may do what the request wants, before anything of its body is read and
// before it is known whether the object exists.
import type { StatusError } from "../../api/meta/status-error.ts";
import { internalServerError } from "../http/plain-text.ts";
import { noteDuration } from "../http/stage-durations.ts";
import type { ApiResponse, RequestContext, Stage } from "../request.ts";
import type { AuthorizationMetrics, AuthorizationResult } from "./authorization-metrics.ts";
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer } from "./authorizer.ts";
import { forbiddenRequest } from "./forbidden.ts";

/** Without metrics nothing is counted. */
export function authorizationStage(authorizer: Authorizer, metrics?: AuthorizationMetrics): Stage {
  /** The answer of a request that is not allowed. */
  const decide = (context: RequestContext, decided: AuthorizationDecision, { attributes, startMs }: Asked): ApiResponse | undefined => {
    const { decision, reason, error } = decided;
    metrics?.attempted(resultOf(decided), metrics.clock.monotonic() - startMs);
    if (decision !== "allow" && error !== undefined) {
      // Nobody allowed the request, and one who might have could not be asked.
      context.auditAnnotations?.set("authorization.k8s.io/reason", "internal error");
      return internalServerError(context.request, error);
    }
    context.auditAnnotations?.set("authorization.k8s.io/decision", decision === "allow" ? "allow" : "forbid");
    context.auditAnnotations?.set("authorization.k8s.io/reason", reason);
    return decision === "allow" ? undefined : refusal(forbiddenRequest(attributes, reason));
  };
  return (context, next) => {
    const attributes = requestAttributes(context);
    const asked = { attributes, startMs: metrics?.clock.monotonic() ?? 0 };
    const answer = authorizer.authorize(attributes);
    if (answer instanceof Promise)
      return answer.then((decided) => {
        if (metrics) noteDuration(context, "authorization", metrics.clock.monotonic() - asked.startMs);
        return decide(context, decided, asked) ?? next(context);
      });
    const refused = decide(context, answer, asked);
    return refused ? Promise.resolve(refused) : next(context);
  };
}

interface Asked {
  readonly attributes: AuthorizationAttributes;
  readonly startMs: number;
}

function resultOf({ decision, error }: AuthorizationDecision): AuthorizationResult {
  if (decision === "allow") return "allowed";
  if (error !== undefined) return "error";
  return decision === "deny" ? "denied" : "no-opinion";
}

/** Parts of the text are the client's: no browser is to take it for something else. */
function refusal({ code, status }: StatusError): ApiResponse {
  return { kind: "object", status: code, object: status, headers: { "X-Content-Type-Options": "nosniff" } };
}

/** What a request asks authorization for. */
export function requestAttributes({ info, user }: Pick<RequestContext, "info" | "user">): AuthorizationAttributes {
  return {
    user,
    verb: info.verb,
    isResourceRequest: info.isResourceRequest,
    path: info.path,
    apiGroup: info.apiGroup,
    apiVersion: info.apiVersion,
    resource: info.resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    fieldSelector: info.fieldSelector,
    labelSelector: info.labelSelector,
  };
}
