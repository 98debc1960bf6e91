// How an admission plugin refuses a request: 403, named after the object or, where the server is to choose its name, after
// the prefix of it.
import { forbidden, type StatusError } from "../../api/meta/status-error.ts";
import type { AdmissionRequest } from "./admission.ts";

export function refuse(request: AdmissionRequest, why: string): StatusError {
  const { name, generateName } = request.object?.metadata ?? {};
  return forbidden(request.resource, request.name || name || generateName || "Unknown", why);
}

/** Several problems in one text, as upstream joins them. */
export function joinProblems(problems: readonly string[]): string {
  const distinct = [...new Set(problems)];
  return distinct.length === 1 ? (distinct[0] ?? "") : `[${distinct.join(", ")}]`;
}

/** Whether the request is about the object itself of this resource, not a subresource. */
export function isAbout(
  request: AdmissionRequest,
  resource: { readonly group: string; readonly resource: string },
  subresource = "",
): boolean {
  return (
    request.resource.resource === resource.resource && request.resource.group === resource.group && request.subresource === subresource
  );
}
