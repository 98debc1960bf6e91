// The seam between webhooks and the expression language: what compiles the matchConditions of a webhook, and what a request
// is then asked by. Compiled once for each change of the configuration.
import type { KubernetesObject } from "../../../api/meta/object.ts";
import type { GroupVersionKind, ResourceType } from "../../../api/resource-type.ts";
import type { MatchCondition } from "../../../api/types/admissionregistration-v1.ts";
import type { AdmissionRequest } from "../admission.ts";

/** The request with its objects in the version that the webhook has asked for. */
export interface MatchedRequest {
  readonly request: AdmissionRequest;
  /** As what the webhook sees it. */
  readonly matched: { readonly resource: ResourceType; readonly kind: GroupVersionKind };
  readonly object: KubernetesObject | undefined;
  readonly oldObject: KubernetesObject | undefined;
}

export type MatchResult =
  | { readonly matches: boolean }
  /** Conditions that could not be evaluated, and none of the others was false: the failure policy decides. */
  | { readonly problem: string };

export interface MatchConditions {
  evaluate(matched: MatchedRequest): Promise<MatchResult> | MatchResult;
}

/** Never throws: what does not compile is a problem of each evaluation. */
export type CompileMatchConditions = (conditions: readonly MatchCondition[]) => MatchConditions;

/** For servers without the expression language: nothing that has conditions can be decided. */
export const withoutExpressions: CompileMatchConditions = () => ({
  evaluate: () => ({ problem: "this server does not evaluate match conditions" }),
});
