// The chain of authorizers of --authorization-mode: the superusers' group first, then each mode in the order given. The
// first that allows or denies decides; where none does, the request is refused with the reasons of all.
import type { AdmissionReader } from "../admission/admission.ts";
import type { CountDecision } from "./authorization-metrics.ts";
import type { AuthorizationDecision, AuthorizationRules, Authorizer } from "./authorizer.ts";
import { createNodeAuthorizer } from "./node-authorizer.ts";
import { createRbacAuthorizer } from "./rbac-authorizer.ts";
import { createRuleResolver } from "./rule-resolver.ts";

export const builtInModes = ["Node", "RBAC", "AlwaysAllow", "AlwaysDeny"] as const;
export type BuiltInMode = (typeof builtInModes)[number];

export interface AuthorizerOptions {
  /** Built-in ones by name, in order. Default Node, RBAC. */
  readonly modes?: readonly (BuiltInMode | Authorizer)[];
  readonly reader: AdmissionReader;
}

export function createAuthorizer({ modes = ["Node", "RBAC"], reader }: AuthorizerOptions): Authorizer {
  const chain = modes.map((mode) => (typeof mode === "string" ? createBuiltInAuthorizer(mode, reader) : mode));
  return unionAuthorizer([superuserAuthorizer, ...chain]);
}

export function createBuiltInAuthorizer(mode: BuiltInMode, reader: AdmissionReader, gatedNodeRules?: readonly string[]): Authorizer {
  switch (mode) {
    case "Node":
      return createNodeAuthorizer(reader, gatedNodeRules);
    case "RBAC":
      return createRbacAuthorizer(createRuleResolver(reader));
    case "AlwaysAllow":
      return alwaysAllow;
    case "AlwaysDeny":
      return alwaysDeny;
  }
}

/** Counts what it decides. */
export function countedAuthorizer(authorizer: Authorizer, count: CountDecision): Authorizer {
  const counted = (answer: AuthorizationDecision): AuthorizationDecision => {
    count(answer.decision);
    return answer;
  };
  const rulesFor = authorizer.rulesFor?.bind(authorizer);
  return {
    authorize(attributes) {
      const answer = authorizer.authorize(attributes);
      return answer instanceof Promise ? answer.then(counted) : counted(answer);
    },
    ...(rulesFor ? { rulesFor } : {}),
  };
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
      // Nearly all decisions are made at once and without a word: only what has something to keep makes something to keep it in.
      let collected: Collected | undefined;
      for (let i = 0; i < authorizers.length; i++) {
        const answer = (authorizers[i] as Authorizer).authorize(attributes);
        if (answer instanceof Promise) return decideFrom(i, answer, { authorizers, attributes, collected: collected ?? nothingYet() });
        if (answer.decision === "allow") return answer;
        if (answer === noOpinion) continue;
        collected ??= nothingYet();
        if (collect(answer, collected)) return answer;
      }
      return collected ? undecided(collected) : noOpinion;
    },
    async rulesFor(user, namespace) {
      const found = await Promise.all(authorizers.map((a) => a.rulesFor?.(user, namespace)));
      const evaluationError = joinErrors(found.flatMap((f) => f?.evaluationError ?? []));
      return {
        resourceRules: found.flatMap((f) => f?.resourceRules ?? []),
        nonResourceRules: found.flatMap((f) => f?.nonResourceRules ?? []),
        incomplete: found.some((f) => f?.incomplete),
        ...(evaluationError === undefined ? {} : { evaluationError }),
      };
    },
  };
}

interface Collected {
  readonly reasons: string[];
  readonly errors: string[];
}

const nothingYet = (): Collected => ({ reasons: [], errors: [] });

/** Whether the answer decides, alone, whatever others failed before it; else its reason and its error are kept. */
function collect({ decision, reason, error }: AuthorizationDecision, { reasons, errors }: Collected): boolean {
  if (decision !== "no-opinion") return true;
  if (error !== undefined) errors.push(error);
  if (reason !== "") reasons.push(reason);
  return false;
}

const undecided = (collected: Collected): AuthorizationDecision => ({
  decision: "no-opinion",
  reason: collected.reasons.join("\n"),
  ...errorOf(collected),
});

function errorOf({ errors }: Collected): { readonly error?: string } {
  const error = joinErrors(errors);
  return error === undefined ? {} : { error };
}

/** Several as one, each once. */
function joinErrors(errors: readonly string[]): string | undefined {
  const distinct = [...new Set(errors)];
  return distinct.length > 1 ? `[${distinct.join(", ")}]` : distinct[0];
}

interface Deciding {
  readonly authorizers: readonly Authorizer[];
  readonly attributes: Parameters<Authorizer["authorize"]>[0];
  readonly collected: Collected;
}

/** From an authorizer on that does not answer at once. */
async function decideFrom(
  index: number,
  first: Promise<AuthorizationDecision>,
  { authorizers, attributes, collected }: Deciding,
): Promise<AuthorizationDecision> {
  let answer = await first;
  for (let i = index + 1; ; i++) {
    if (collect(answer, collected)) return answer;
    const next = authorizers[i];
    if (!next) return undecided(collected);
    answer = await next.authorize(attributes);
  }
}
