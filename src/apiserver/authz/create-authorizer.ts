// The chain of authorizers of --authorization-mode: the superusers' group first, then each mode in the order given. The
// first that allows or denies decides; where none does, the request is refused with the reasons of all.
import type { AdmissionReader } from "../admission/admission.ts";
import type { AuthorizationDecision, AuthorizationRules, Authorizer } from "./authorizer.ts";
import { createNodeAuthorizer } from "./node-authorizer.ts";
import { createRbacAuthorizer } from "./rbac-authorizer.ts";
import { createRuleResolver } from "./rule-resolver.ts";

export const authorizationModes = ["Node", "RBAC", "AlwaysAllow", "AlwaysDeny"] as const;
export type AuthorizationMode = (typeof authorizationModes)[number];

export interface AuthorizerOptions {
  /** Default Node, RBAC. */
  readonly modes?: readonly AuthorizationMode[];
  readonly reader: AdmissionReader;
}

export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const modes = options.modes ?? ["Node", "RBAC"];
  return unionAuthorizer([superuserAuthorizer, ...modes.map((mode) => authorizerOf(mode, options.reader))]);
}

function authorizerOf(mode: AuthorizationMode, reader: AdmissionReader): Authorizer {
  switch (mode) {
    case "Node":
      return createNodeAuthorizer(reader);
    case "RBAC":
      return createRbacAuthorizer(createRuleResolver(reader));
    case "AlwaysAllow":
      return alwaysAllow;
    case "AlwaysDeny":
      return alwaysDeny;
  }
}

const allowed: AuthorizationDecision = { decision: "allow", reason: "" };
const noOpinion: AuthorizationDecision = { decision: "no-opinion", reason: "" };
const everything: AuthorizationRules = {
  resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }],
  nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
  incomplete: false,
};

const alwaysAllow: Authorizer = { authorize: () => allowed, rulesFor: async () => everything };

const alwaysDeny: Authorizer = {
  authorize: () => ({ decision: "no-opinion", reason: "Everything is forbidden." }),
  rulesFor: async () => ({ resourceRules: [], nonResourceRules: [], incomplete: false }),
};

/** Members of system:masters may do everything, also while there are no roles yet. */
const superuserAuthorizer: Authorizer = {
  authorize: ({ user }) => (user.groups.includes("system:masters") ? allowed : noOpinion),
};

function unionAuthorizer(authorizers: readonly Authorizer[]): Authorizer {
  return {
    authorize(attributes) {
      // Nearly all decisions are made at once: a promise is only made where an authorizer needs one.
      const reasons: string[] = [];
      for (const [i, authorizer] of authorizers.entries()) {
        const answer = authorizer.authorize(attributes);
        if (answer instanceof Promise) return answer.then((first) => decideFrom(first, authorizers.slice(i + 1), attributes, reasons));
        if (answer.decision !== "no-opinion") return answer;
        if (answer.reason !== "") reasons.push(answer.reason);
      }
      return { decision: "no-opinion", reason: reasons.join("\n") };
    },
    async rulesFor(user, namespace) {
      const found = await Promise.all(authorizers.map((a) => a.rulesFor?.(user, namespace)));
      const errors = found.flatMap((f) => f?.evaluationError ?? []);
      const evaluationError = errors.length > 1 ? `[${errors.join(", ")}]` : errors[0];
      return {
        resourceRules: found.flatMap((f) => f?.resourceRules ?? []),
        nonResourceRules: found.flatMap((f) => f?.nonResourceRules ?? []),
        incomplete: found.some((f) => f?.incomplete),
        ...(evaluationError === undefined ? {} : { evaluationError }),
      };
    },
  };
}

async function decideFrom(
  first: AuthorizationDecision,
  others: readonly Authorizer[],
  attributes: Parameters<Authorizer["authorize"]>[0],
  reasons: string[],
): Promise<AuthorizationDecision> {
  if (first.decision !== "no-opinion") return first;
  if (first.reason !== "") reasons.push(first.reason);
  const rest = await unionAuthorizer(others).authorize(attributes);
  return rest.decision === "no-opinion" ? { ...rest, reason: [...reasons, ...(rest.reason === "" ? [] : [rest.reason])].join("\n") } : rest;
}
