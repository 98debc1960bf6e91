// The question authorization answers, asked by the authorization stage, impersonation, the review APIs and admission.
import type { LabelRequirement } from "../../api/meta/selectors.ts";
import type { UserInfo } from "../authn/user.ts";

export interface AuthorizationAttributes {
  readonly user: UserInfo;
  readonly verb: string;
  /** False for paths such as /healthz: then only `path` and `verb` count. */
  readonly isResourceRequest: boolean;
  readonly path: string;
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly fieldSelector?: string;
  /** The text of a query, or what a review requires, whose values keep their order. */
  readonly labelSelector?: string | readonly LabelRequirement[];
}

export interface AuthorizationDecision {
  /** "no-opinion" lets the next authorizer of the chain decide; at its end it is a denial. */
  readonly decision: "allow" | "deny" | "no-opinion";
  readonly reason: string;
  /** Why it could not be found out properly: where nobody allows the request, it fails with it. */
  readonly error?: string;
}

export interface Authorizer {
  authorize(attributes: AuthorizationAttributes): Promise<AuthorizationDecision> | AuthorizationDecision;
  /** What the user may do in a namespace, for SelfSubjectRulesReview. */
  rulesFor?(user: UserInfo, namespace: string): Promise<AuthorizationRules>;
}

export interface AuthorizationRules {
  readonly resourceRules: readonly {
    readonly verbs: readonly string[];
    readonly apiGroups?: readonly string[];
    readonly resources?: readonly string[];
    readonly resourceNames?: readonly string[];
  }[];
  readonly nonResourceRules: readonly { readonly verbs: readonly string[]; readonly nonResourceURLs?: readonly string[] }[];
  readonly incomplete: boolean;
  readonly evaluationError?: string;
}
