// The match conditions of webhooks, evaluated as expressions over the request.
import { compileMatchConditions } from "../../../api/cel/match-conditions.ts";
import type { Authorizer } from "../../authz/authorizer.ts";
import { accessOf, admissionInput } from "../policies/policy-input.ts";
import type { CompileMatchConditions } from "./match-conditions.ts";

export function webhookConditions(authorizer: Authorizer): CompileMatchConditions {
  return (conditions) => {
    const compiled = compileMatchConditions(conditions);
    return {
      async evaluate({ request, object, oldObject, matched }) {
        if (!compiled) return { matches: true };
        const access = accessOf(authorizer);
        const outcome = await compiled.evaluate(admissionInput({ request, matched, object, oldObject, access }));
        return outcome.kind === "failed" ? { problem: outcome.message } : { matches: outcome.kind === "matches" };
      },
    };
  };
}
