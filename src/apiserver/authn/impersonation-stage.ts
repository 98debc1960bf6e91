// The impersonation stage: a client acts as somebody else by the headers Impersonate-User, -Group, -Uid and
// -Extra-<key>. Whether it may is asked by modes (impersonation-modes.ts); from here on the request is the other user's.
import { badRequest, StatusError } from "../../api/meta/status-error.ts";
import { requestAttributes } from "../authz/authorization-stage.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import { noteDuration } from "../http/stage-durations.ts";
import type { ApiRequest, ApiResponse, Handler, RequestContext, Stage } from "../request.ts";
import type { ImpersonationMetrics } from "./impersonation-metrics.ts";
import { createImpersonationModes, type Impersonated } from "./impersonation-modes.ts";
import type { UserInfo } from "./user.ts";

const extraPrefix = "impersonate-extra-";

/** Without metrics nothing is counted. */
export function impersonationStage(authorizer: Authorizer, constrained = true, metrics?: ImpersonationMetrics): Stage {
  const modes = createImpersonationModes(metrics ? countedAuthorizer(authorizer, metrics) : authorizer, constrained);
  const impersonate = async (wanted: UserInfo, context: RequestContext): Promise<Impersonated> => {
    if (!metrics) return modes.impersonate(wanted, requestAttributes(context));
    const begunMs = metrics.clock.monotonic();
    try {
      const found = await modes.impersonate(wanted, requestAttributes(context));
      const spentMs = metrics.clock.monotonic() - begunMs;
      metrics.attempted(modeOf(found.constraint), true, spentMs);
      noteDuration(context, "impersonation", spentMs);
      return found;
    } catch (error) {
      metrics.attempted("", false, metrics.clock.monotonic() - begunMs);
      throw error;
    }
  };
  const impersonated = async (context: RequestContext, wanted: UserInfo, next: Handler): Promise<ApiResponse> => {
    const { user, constraint } = await impersonate(wanted, context);
    context.impersonator = context.user;
    context.user = user;
    if (constraint !== "") context.impersonationConstraint = constraint;
    return next(context);
  };
  return (context, next) => {
    let wanted: UserInfo | undefined;
    try {
      wanted = requestedIdentity(context.request);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      const headers = { "X-Content-Type-Options": "nosniff" };
      return Promise.resolve({ kind: "object", status: error.code, object: error.status, headers });
    }
    return wanted ? impersonated(context, wanted, next) : next(context);
  };
}

function countedAuthorizer(authorizer: Authorizer, metrics: ImpersonationMetrics): Authorizer {
  return {
    ...authorizer,
    async authorize(attributes) {
      const begunMs = metrics.clock.monotonic();
      const decided = await authorizer.authorize(attributes);
      metrics.asked(modeOf(attributes.verb), decided.decision === "allow", metrics.clock.monotonic() - begunMs);
      return decided;
    },
  };
}

/** The mode that a verb belongs to: "impersonate:user-info", "impersonate-on:user-info:get". */
const modeOf = (verb: string): string => /^impersonate(?:-on)?:([^:]+)/.exec(verb)?.[1] ?? "legacy";

/** The identity in the headers as it stands there; undefined where there are no such headers. */
function requestedIdentity(request: ApiRequest): UserInfo | undefined {
  if (!hasImpersonation(request.headers)) return undefined;
  // Of what can be there once, the first counts.
  const [name = ""] = linesOf(request, "impersonate-user");
  const [uid = ""] = linesOf(request, "impersonate-uid");
  const groups = linesOf(request, "impersonate-group");
  const extra = extraOf(request);
  const hasExtra = Object.keys(extra).length > 0;
  if (name === "") {
    if (uid === "" && groups.length === 0 && !hasExtra) return undefined;
    throw badRequest(`requested ${goUser(uid, groups, extra)} without impersonating a user name`);
  }
  return { name, groups, ...(uid === "" ? {} : { uid }), ...(hasExtra ? { extra } : {}) };
}

/** An identity without a name as Go prints it. */
function goUser(uid: string, groups: readonly string[], extra: Readonly<Record<string, readonly string[]>>): string {
  const list = (values: readonly string[]): string => `[]string{${values.map((value) => JSON.stringify(value)).join(", ")}}`;
  const pairs = Object.entries(extra).map(([key, values]) => `${JSON.stringify(key)}:${list(values)}`);
  const groupsText = groups.length > 0 ? list(groups) : "[]string(nil)";
  const extraText = pairs.length > 0 ? `map[string][]string{${pairs.join(", ")}}` : "map[string][]string(nil)";
  return `&user.DefaultInfo{Name:"", UID:${JSON.stringify(uid)}, Groups:${groupsText}, Extra:${extraText}}`;
}

function hasImpersonation(headers: ApiRequest["headers"]): boolean {
  for (const header in headers) if (header.startsWith("impersonate-")) return true;
  return false;
}

const linesOf = (request: ApiRequest, name: string): readonly string[] =>
  request.headers[name] === undefined ? [] : request.headerLines(name);

/** Keys are the client's choice, "__proto__" too. */
const extraOf = (request: ApiRequest): Record<string, readonly string[]> =>
  Object.fromEntries(
    Object.keys(request.headers)
      .filter((header) => header.startsWith(extraPrefix))
      .map((header) => [unescapeKey(header.slice(extraPrefix.length)), request.headerLines(header)]),
  );

/** Keys may be percent-encoded; what is not well encoded is taken as it stands. */
export function unescapeKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch (error) {
    if (error instanceof URIError) return key;
    throw error;
  }
}
