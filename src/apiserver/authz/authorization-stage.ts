// The authorization stage: asks whether the user may do what the request wants, before anything of its body is read and
// before it is known whether the object exists.
import type { StatusError } from "../../api/meta/status-error.ts";
import type { ApiResponse, RequestContext, Stage } from "../request.ts";
import type { AuthorizationAttributes, Authorizer } from "./authorizer.ts";
import { forbiddenRequest } from "./forbidden.ts";

export function authorizationStage(authorizer: Authorizer): Stage {
  return async (context, next) => {
    const attributes = attributesOf(context);
    const answer = authorizer.authorize(attributes);
    const { decision, reason } = answer instanceof Promise ? await answer : answer;
    context.auditAnnotations?.set("authorization.k8s.io/decision", decision === "allow" ? "allow" : "forbid");
    context.auditAnnotations?.set("authorization.k8s.io/reason", reason);
    if (decision !== "allow") return refusal(forbiddenRequest(attributes, reason));
    return next(context);
  };
}

/** Parts of the text are the client's: no browser is to take it for something else. */
function refusal({ code, status }: StatusError): ApiResponse {
  return { kind: "object", status: code, object: status, headers: { "X-Content-Type-Options": "nosniff" } };
}

function attributesOf({ info, user }: RequestContext): AuthorizationAttributes {
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
