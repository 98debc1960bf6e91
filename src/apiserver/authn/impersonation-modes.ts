// The ways in which somebody may be allowed to act as somebody else. Constrained modes (KEP-5284, on by default in v1.36)
// ask for two permissions: one on whom ("impersonate:<mode>" on users, groups, uids, userextras, nodes, serviceaccounts
// of authentication.k8s.io) and one on what is done as them ("impersonate-on:<mode>:<verb>" on the request itself). The
// last mode is the unconstrained verb "impersonate". Each is tried until one allows it; the error of the first is
// answered, where the mode that last worked for this user counts as the first.

import { isDNS1123Subdomain } from "../../api/meta/names.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { AuthorizationAttributes, Authorizer } from "../authz/authorizer.ts";
import { forbiddenRequest } from "../authz/forbidden.ts";
import { invalidExtra } from "./impersonation-extra.ts";
import { quoteList } from "./quote-list.ts";
import { parseServiceAccountUsername, serviceAccountGroups } from "./service-account.ts";
import { anonymousUser, type UserInfo } from "./user.ts";

export interface Impersonated {
  readonly user: UserInfo;
  /** The constrained verb that allowed it; "" for the unconstrained one. */
  readonly constraint: string;
}

export interface ImpersonationModes {
  /** Throws 403 where no mode allows it. `request` is what the one who really asks wants done. */
  impersonate(wanted: UserInfo, request: AuthorizationAttributes): Promise<Impersonated>;
}

interface Mode {
  /** "" for the unconstrained mode. */
  readonly name: "associated-node" | "arbitrary-node" | "serviceaccount" | "user-info" | "";
  applies(wanted: UserInfo, requestor: UserInfo): boolean;
}

const authenticationGroup = "authentication.k8s.io";
const nodeNameKey = "authentication.kubernetes.io/node-name";
const nodePrefix = "system:node:";
const rememberedUsers = 10_000;
/** From so many checks of one kind on, the permission for all ("*") is asked for first. */
const manyChecks = 4;

const allModes: readonly Mode[] = [
  { name: "associated-node", applies: (wanted, requestor) => isNameOnly(wanted) && isOwnNode(wanted, requestor) },
  { name: "arbitrary-node", applies: (wanted) => isNameOnly(wanted) && nodeOf(wanted.name) !== undefined },
  { name: "serviceaccount", applies: (wanted) => isNameOnly(wanted) && parseServiceAccountUsername(wanted.name) !== undefined },
  { name: "user-info", applies: ({ name }) => nodeOf(name) === undefined && parseServiceAccountUsername(name) === undefined },
  { name: "", applies: () => true },
];

/** `constrained`: the feature gate ConstrainedImpersonation. Without it the unconstrained verb alone is asked for. */
export function createImpersonationModes(authorizer: Authorizer, constrained = true): ImpersonationModes {
  const modes = constrained ? allModes : allModes.filter(({ name }) => name === "");
  const lastWorking = new LruMap<string, Mode>(rememberedUsers);
  return {
    async impersonate(wanted, request) {
      const preferred = lastWorking.get(request.user.name);
      const order = preferred ? [preferred, ...modes.filter((m) => m !== preferred)] : modes;
      let refusal: unknown;
      for (const mode of order) {
        if (!mode.applies(wanted, request.user)) continue;
        try {
          const impersonated = await impersonateBy(mode, wanted, request, authorizer);
          if (mode !== preferred) lastWorking.set(request.user.name, mode);
          return impersonated;
        } catch (error) {
          if (!(error instanceof StatusError)) throw error;
          refusal ??= error;
        }
      }
      throw refusal;
    },
  };
}

async function impersonateBy(
  mode: Mode,
  wanted: UserInfo,
  request: AuthorizationAttributes,
  authorizer: Authorizer,
): Promise<Impersonated> {
  const constrained = mode.name !== "";
  const requestor = mode.name === "associated-node" ? withExtraKeysOnly(request.user) : request.user;
  const confirm = async (attributes: AuthorizationAttributes): Promise<void> => {
    const { decision, reason } = await authorizer.authorize(attributes);
    if (decision !== "allow") throw forbiddenRequest(attributes, reason);
  };
  if (constrained) await confirm({ ...request, user: requestor, verb: `impersonate-on:${mode.name}:${request.verb}` });
  const verb = constrained ? `impersonate:${mode.name}` : "impersonate";
  const isAllowed = async (part: Part): Promise<boolean> =>
    (await authorizer.authorize(attributesOf(part, { requestor, verb, confirm }))).decision === "allow";
  for (const { all, parts } of partsOf(wanted, mode)) {
    if (all && parts.length >= manyChecks && (await isAllowed(all))) continue;
    for (const part of parts) await confirmPart(part, { requestor, verb, confirm });
  }
  return { user: withImpliedGroups(wanted, constrained), constraint: constrained ? verb : "" };
}

/** One part of the identity that is asked for, as authorization sees it. */
interface Part {
  readonly apiGroup: "" | typeof authenticationGroup;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name: string;
  /** Why it is refused whatever the rules say. */
  readonly refusal?: string;
}

/** Parts of one kind. With many of a constrained mode, the permission for all of them is asked for first. */
interface Parts {
  readonly parts: readonly Part[];
  readonly all?: Part;
}

interface PartCheck {
  readonly requestor: UserInfo;
  readonly verb: string;
  readonly confirm: (attributes: AuthorizationAttributes) => Promise<void>;
}

async function confirmPart(part: Part, check: PartCheck): Promise<void> {
  const attributes = attributesOf(part, check);
  if (part.refusal !== undefined) throw forbiddenRequest(attributes, part.refusal);
  await check.confirm(attributes);
}

function attributesOf(part: Part, { requestor, verb }: PartCheck): AuthorizationAttributes {
  return {
    user: requestor,
    verb,
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

/** In upstream's order: user, uid, groups, extra. */
function* partsOf(wanted: UserInfo, mode: Mode): Generator<Parts> {
  const constrained = mode.name !== "";
  const apiGroup = constrained ? authenticationGroup : "";
  yield { parts: [namePart(wanted, mode, apiGroup)] };
  if (wanted.uid !== undefined) yield { parts: [{ apiGroup: authenticationGroup, resource: "uids", name: wanted.uid }] };
  const group = (name: string, refusal?: string): Part => ({
    apiGroup,
    resource: "groups",
    name,
    ...(refusal === undefined ? {} : { refusal }),
  });
  if (constrained && wanted.groups.includes("")) yield { parts: [group("", "impersonating the empty string group is not allowed")] };
  if (constrained && wanted.groups.includes("system:masters"))
    yield { parts: [group("system:masters", "impersonating the system:masters group is not allowed")] };
  yield { parts: wanted.groups.map((name) => group(name)), ...(constrained ? { all: group("*") } : {}) };
  yield* extraParts(Object.entries(wanted.extra ?? {}), constrained);
}

function* extraParts(extra: readonly (readonly [string, readonly string[]])[], constrained: boolean): Generator<Parts> {
  const part = (subresource: string, name: string): Part => ({
    apiGroup: authenticationGroup,
    resource: "userextras",
    subresource,
    name,
  });
  const refusal = constrained ? invalidExtra(extra) : undefined;
  if (refusal !== undefined) yield { parts: [{ ...part("", ""), refusal }] };
  const parts = extra.flatMap(([key, values]) => values.map((value) => part(key, value)));
  yield { parts, ...(constrained ? { all: part("*", "*") } : {}) };
}

function namePart({ name, groups }: UserInfo, mode: Mode, apiGroup: Part["apiGroup"]): Part {
  const refuse = (what: string): { readonly refusal?: string } =>
    mode.name !== "" && groups.length > 0
      ? { refusal: `when impersonating a ${what}, cannot impersonate groups ${quoteList(groups)}` }
      : {};
  const account = parseServiceAccountUsername(name);
  if (account) return { apiGroup, resource: "serviceaccounts", ...account, ...refuse("service account") };
  const node = mode.name === "" ? undefined : nodeOf(name);
  if (node === undefined) return { apiGroup, resource: "users", name };
  // A permission for one's own node must not depend on which that is.
  return { apiGroup, resource: "nodes", name: mode.name === "associated-node" ? "*" : node, ...refuse("node") };
}

/** Groups that go with the name: a service account's or node's, and authenticated or unauthenticated. */
function withImpliedGroups(wanted: UserInfo, constrained: boolean): UserInfo {
  const account = wanted.groups.length === 0 ? parseServiceAccountUsername(wanted.name) : undefined;
  const fixed = constrained && nodeOf(wanted.name) !== undefined ? ["system:nodes"] : wanted.groups;
  const groups = account ? serviceAccountGroups(account.namespace) : fixed;
  const isAnonymous = wanted.name === anonymousUser.name;
  const implied = isAnonymous ? "system:unauthenticated" : "system:authenticated";
  const isSaid = groups.includes("system:unauthenticated") || (!isAnonymous && groups.includes("system:authenticated"));
  return { ...wanted, groups: isSaid ? groups : [...groups, implied] };
}

function nodeOf(username: string): string | undefined {
  if (!username.startsWith(nodePrefix)) return undefined;
  const name = username.slice(nodePrefix.length);
  return isDNS1123Subdomain(name).length === 0 ? name : undefined;
}

const isNameOnly = ({ uid, groups, extra }: UserInfo): boolean => uid === undefined && groups.length === 0 && extra === undefined;

/** Whether a service account asks to be the node that its token says it runs on. */
function isOwnNode(wanted: UserInfo, requestor: UserInfo): boolean {
  const node = nodeOf(wanted.name);
  if (node === undefined || !parseServiceAccountUsername(requestor.name)) return false;
  const said = requestor.extra?.[nodeNameKey] ?? [];
  return said.length === 1 && said[0] === node;
}

/** Rules and webhooks are not told which node it is, only what the requestor's extra has keys for. */
function withExtraKeysOnly(requestor: UserInfo): UserInfo {
  const keys = Object.keys(requestor.extra ?? {}).sort();
  return { ...requestor, extra: { "authentication.kubernetes.io/associated-node-keys": keys } };
}
