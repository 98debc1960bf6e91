// The 403 for a request that nobody allowed: who wanted to do what where, and what the authorizers said about it.

import { forbidden, type StatusError } from "../../api/meta/status-error.ts";
import { goQuoted } from "../../base/go-quoted.ts";
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
  const who = `User ${goQuoted(user.name)} cannot ${verb}`;
  if (!attributes.isResourceRequest) return `${who} path ${goQuoted(attributes.path)}`;
  const what = subresource === "" ? resource : `${resource}/${subresource}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace ${goQuoted(namespace)}`;
  return `${who} resource ${goQuoted(what)} in API group ${goQuoted(attributes.apiGroup)} ${where}`;
}
