// Asks once more what a request may, for another verb than that of its method: commands in pods are run by GET too, as browsers
// open WebSockets, and an update or an apply of an object that is not there creates it. Both need the right to create all the same.
import { forbidden, internalError } from "../../api/meta/status-error.ts";
import type { RequestContext } from "../request.ts";
import { requestAttributes } from "./authorization-stage.ts";
import type { Authorizer } from "./authorizer.ts";
import { forbiddenRequest } from "./forbidden.ts";

/** Throws 403 where the user may not use the verb as well. */
export async function ensureVerb(authorizer: Authorizer, context: RequestContext, verb: string): Promise<void> {
  const { info } = context;
  if (info.verb === verb) return;
  const { decision, reason, error } = await authorizer.authorize({ ...requestAttributes(context), verb });
  if (decision === "allow") return;
  if (error !== undefined) throw internalError(new Error(error));
  throw forbidden({ group: info.apiGroup, resource: info.resource }, info.name, reason);
}

/** Throws 403, in the words of a refused creation, where the user may not create what the request's update or apply has not found. */
export async function ensureMayCreate(authorizer: Authorizer, context: RequestContext): Promise<void> {
  const attributes = { ...requestAttributes(context), verb: "create" };
  const { decision, reason, error } = await authorizer.authorize(attributes);
  if (decision === "allow") return;
  throw error === undefined ? forbiddenRequest(attributes, reason) : internalError(new Error(error));
}
