// The 403 for a request that nobody allowed: who wanted to do what where, and what the authorizers said about it.
import { forbidden, type StatusError } from "../../api/meta/status-error.ts";
import { withoutMarkup } from "../http/plain-text.ts";
import type { AuthorizationAttributes } from "./authorizer.ts";

export function forbiddenRequest(attributes: AuthorizationAttributes, reason = ""): StatusError {
  const text = withoutMarkup(describe(attributes));
  const subject = attributes.isResourceRequest
    ? { group: attributes.apiGroup, resource: attributes.resource }
    : { group: "", resource: "" };
  return forbidden(subject, attributes.isResourceRequest ? attributes.name : "", reason === "" ? text : `${text}: ${reason}`);
}

function describe(attributes: AuthorizationAttributes): string {
  const { user, verb, resource, subresource, namespace } = attributes;
  const who = `User ${JSON.stringify(user.name)} cannot ${verb}`;
  if (!attributes.isResourceRequest) return `${who} path ${JSON.stringify(attributes.path)}`;
  const what = subresource === "" ? resource : `${resource}/${subresource}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace ${JSON.stringify(namespace)}`;
  return `${who} resource ${JSON.stringify(what)} in API group ${JSON.stringify(attributes.apiGroup)} ${where}`;
}
