// The impersonation stage: a client acts as somebody else by the headers Impersonate-User, -Group, -Uid and
// -Extra-<key>. The verb "impersonate" on each part (users, serviceaccounts, groups, uids, userextras/<key>) must be
// allowed to the one who really asks. From here on the request is the other user's.
import { badRequest } from "../../api/meta/status-error.ts";
import type { AuthorizationAttributes, Authorizer } from "../authz/authorizer.ts";
import { forbiddenRequest } from "../authz/forbidden.ts";
import type { ApiRequest, Stage } from "../request.ts";
import { parseServiceAccountUsername, serviceAccountGroups } from "./service-account.ts";
import { anonymousUser, type UserInfo } from "./user.ts";

const extraPrefix = "impersonate-extra-";
const authenticationGroup = "authentication.k8s.io";

/** One part of the identity that is asked for, as authorization sees it. */
interface Part {
  readonly apiGroup: "" | typeof authenticationGroup;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name: string;
}

export function impersonationStage(authorizer: Authorizer): Stage {
  return async (context, next) => {
    const wanted = requestedIdentity(context.request);
    if (!wanted) return next(context);
    const real = context.user;
    for (const part of partsOf(wanted)) {
      const attributes = attributesOf(part, real);
      const { decision, reason } = await authorizer.authorize(attributes);
      if (decision !== "allow") throw forbiddenRequest(attributes, reason);
    }
    context.user = withImpliedGroups(wanted);
    context.impersonator = real;
    return next(context);
  };
}

/** The identity in the headers as it stands there; undefined where there are no such headers. */
function requestedIdentity(request: ApiRequest): UserInfo | undefined {
  const name = request.headers["impersonate-user"] ?? "";
  const uid = request.headers["impersonate-uid"] ?? "";
  const groups = request.headers["impersonate-group"] === undefined ? [] : request.headerLines("impersonate-group");
  const extra = extraOf(request);
  const hasExtra = Object.keys(extra).length > 0;
  if (name === "") {
    if (uid === "" && groups.length === 0 && !hasExtra) return undefined;
    throw badRequest(`requested ${JSON.stringify({ ...(uid ? { uid } : {}), groups, extra })} without impersonating a user`);
  }
  return { name, groups, ...(uid === "" ? {} : { uid }), ...(hasExtra ? { extra } : {}) };
}

function extraOf(request: ApiRequest): Record<string, readonly string[]> {
  const extra: Record<string, readonly string[]> = {};
  for (const header of Object.keys(request.headers))
    if (header.startsWith(extraPrefix)) extra[unescapeKey(header.slice(extraPrefix.length))] = request.headerLines(header);
  return extra;
}

/** Keys may be percent-encoded; what is not well encoded is taken as it stands. */
function unescapeKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch (error) {
    if (error instanceof URIError) return key;
    throw error;
  }
}

/** In upstream's order: user, groups, extra, uid. */
function* partsOf(wanted: UserInfo): Generator<Part> {
  const account = parseServiceAccountUsername(wanted.name);
  if (account) yield { apiGroup: "", resource: "serviceaccounts", namespace: account.namespace, name: account.name };
  else yield { apiGroup: "", resource: "users", name: wanted.name };
  for (const name of wanted.groups) yield { apiGroup: "", resource: "groups", name };
  for (const [key, values] of Object.entries(wanted.extra ?? {}))
    for (const name of values) yield { apiGroup: authenticationGroup, resource: "userextras", subresource: key, name };
  if (wanted.uid !== undefined) yield { apiGroup: authenticationGroup, resource: "uids", name: wanted.uid };
}

function attributesOf(part: Part, user: UserInfo): AuthorizationAttributes {
  return {
    user,
    verb: "impersonate",
    isResourceRequest: true,
    path: "",
    apiGroup: part.apiGroup,
    apiVersion: "v1",
    resource: part.resource,
    subresource: part.subresource ?? "",
    namespace: part.namespace ?? "",
    name: part.name,
  };
}

/** Groups that go with the name: a service account's where none were asked for, and authenticated or unauthenticated. */
function withImpliedGroups(wanted: UserInfo): UserInfo {
  const account = wanted.groups.length === 0 ? parseServiceAccountUsername(wanted.name) : undefined;
  const groups = account ? serviceAccountGroups(account.namespace) : wanted.groups;
  const isAnonymous = wanted.name === anonymousUser.name;
  const implied = isAnonymous ? "system:unauthenticated" : "system:authenticated";
  const isSaid = groups.includes("system:unauthenticated") || (!isAnonymous && groups.includes("system:authenticated"));
  return { ...wanted, groups: isSaid ? groups : [...groups, implied] };
}
