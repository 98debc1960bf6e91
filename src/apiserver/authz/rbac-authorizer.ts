// Role-based access control: a request is allowed by the first rule bound to the user that matches it. Nothing is ever
// denied outright: where no rule matches, the next authorizer is asked.
import type { PolicyRule } from "../../api/types/rbac-v1.ts";
import type { AuthorizationDecision, Authorizer } from "./authorizer.ts";
import type { AppliedRule, RuleResolver } from "./rule-resolver.ts";
import { ruleAllows } from "./rules.ts";

export function createRbacAuthorizer(resolver: RuleResolver): Authorizer {
  return {
    authorize(attributes): AuthorizationDecision {
      const errors: string[] = [];
      for (const applied of resolver.rulesFor(attributes.user, attributes.namespace)) {
        if ("error" in applied) errors.push(applied.error);
        else if (ruleAllows(applied.rule, attributes)) return { decision: "allow", reason: `RBAC: allowed by ${describeSource(applied)}` };
      }
      return { decision: "no-opinion", reason: errors.length === 0 ? "" : `RBAC: ${aggregate(errors)}` };
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
