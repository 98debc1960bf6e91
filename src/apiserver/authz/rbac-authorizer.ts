// Role-based access control: a request is allowed by the first rule bound to the user that matches it. Nothing is ever
// denied outright: where no rule matches, the next authorizer is asked. What the rules say to a user's requests of one kind is
// remembered until a role or a binding changes.
import type { PolicyRule } from "../../api/types/rbac-v1.ts";
import type { UserInfo } from "../authn/user.ts";
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer } from "./authorizer.ts";
import type { AppliedRule, RuleResolver } from "./rule-resolver.ts";
import { ruleAllowsSome } from "./rules.ts";

/** A rule that allows requests of one kind, perhaps only for some names, or why a binding gives none. */
type Step = { readonly names: readonly string[] | undefined; readonly decision: AuthorizationDecision } | { readonly error: string };

/** Kinds of requests that are remembered of one user. */
const maxRemembered = 1024;
/** Paths may name a resource or namespace of a megabyte: what cannot be there is not remembered. */
const maxKeyCharacters = 1024;

export function createRbacAuthorizer(resolver: RuleResolver): Authorizer {
  // Users that come again (components of this process, static tokens, connections) are the same object each time.
  let remembered = new WeakMap<UserInfo, Map<string, readonly Step[]>>();
  let generation = resolver.generation;
  const stepsFor = (attributes: AuthorizationAttributes): readonly Step[] => {
    if (generation !== resolver.generation) {
      remembered = new WeakMap();
      generation = resolver.generation;
    }
    const { user, verb, apiGroup, resource, subresource, namespace } = attributes;
    let ofUser = remembered.get(user);
    if (!ofUser) {
      ofUser = new Map();
      remembered.set(user, ofUser);
    }
    const key = `${verb} ${apiGroup}/${resource}/${subresource} ${namespace}`;
    let steps = ofUser.get(key);
    if (!steps) {
      steps = stepsOf(resolver, attributes);
      if (key.length > maxKeyCharacters) return steps;
      if (ofUser.size >= maxRemembered) ofUser.clear();
      ofUser.set(key, steps);
    }
    return steps;
  };
  return {
    authorize(attributes): AuthorizationDecision {
      const steps = attributes.isResourceRequest ? stepsFor(attributes) : stepsOf(resolver, attributes);
      let errors: string[] | undefined;
      for (const step of steps) {
        if ("error" in step) (errors ??= []).push(step.error);
        else if (!step.names || step.names.includes(attributes.name)) return step.decision;
      }
      return errors ? { decision: "no-opinion", reason: `RBAC: ${aggregate(errors)}` } : noOpinion;
    },
    async rulesFor(user, namespace) {
      const rules: PolicyRule[] = [];
      const errors: string[] = [];
      for (const applied of resolver.rulesFor(user, namespace)) {
        if ("error" in applied) errors.push(applied.error);
        else rules.push(applied.rule);
      }
      return {
        resourceRules: rules.filter((r) => r.resources?.length).map(({ nonResourceURLs: _, ...rule }) => rule),
        nonResourceRules: rules
          .filter((r) => r.nonResourceURLs?.length)
          .map(({ verbs, nonResourceURLs = [] }) => ({ verbs, nonResourceURLs })),
        incomplete: false,
        ...(errors.length > 0 ? { evaluationError: aggregate(errors) } : {}),
      };
    },
  };
}

/** What there is to say of requests that differ in the object's name alone, up to the first rule that allows them all. */
function stepsOf(resolver: RuleResolver, attributes: AuthorizationAttributes): readonly Step[] {
  const steps: Step[] = [];
  for (const applied of resolver.rulesFor(attributes.user, attributes.namespace)) {
    if ("error" in applied) {
      steps.push(applied);
      continue;
    }
    const names = attributes.isResourceRequest && applied.rule.resourceNames?.length ? applied.rule.resourceNames : undefined;
    if (!ruleAllowsSome(applied.rule, attributes)) continue;
    steps.push({ names, decision: { decision: "allow", reason: `RBAC: allowed by ${describeSource(applied)}` } });
    if (!names) break;
  }
  return steps;
}

const noOpinion: AuthorizationDecision = { decision: "no-opinion", reason: "" };

/** Several errors as upstream joins them: without repetition, in brackets. */
function aggregate(errors: readonly string[]): string {
  const distinct = [...new Set(errors)];
  return distinct.length === 1 ? (distinct[0] ?? "") : `[${distinct.join(", ")}]`;
}

/** ClusterRoleBinding "x" of ClusterRole "y" to Group "z" */
function describeSource({ binding, subject }: Exclude<AppliedRule, { readonly error: string }>): string {
  const namespace = binding.metadata.namespace ?? "";
  const name = namespace === "" ? binding.metadata.name : `${binding.metadata.name}/${namespace}`;
  const who = subject.kind === "ServiceAccount" ? `${subject.name}/${subject.namespace || namespace}` : subject.name;
  const q = JSON.stringify;
  return `${binding.kind} ${q(name)} of ${binding.roleRef.kind} ${q(binding.roleRef.name)} to ${subject.kind} ${q(who)}`;
}
