// What policies need of the server, and which requests they never see.
import { namespaces } from "../../../api/resources.generated.ts";
import type { Namespace } from "../../../api/types/core-v1.ts";
import type { Authorizer } from "../../authz/authorizer.ts";
import type { AdmissionRequest } from "../admission.ts";
import { findNamespace } from "../find-namespace.ts";
import type { MatchDependencies } from "./match-resources.ts";

export interface PolicyDependencies extends MatchDependencies {
  readonly authorizer: Authorizer;
}

const excluded = new Set([
  ...[
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
  ].map((resource) => `${resource}.admissionregistration.k8s.io`),
  ...["selfsubjectreviews", "tokenreviews"].map((resource) => `${resource}.authentication.k8s.io`),
  ...["localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"].map(
    (resource) => `${resource}.authorization.k8s.io`,
  ),
]);

/** Nobody could repair a policy that refuses everything, and reviews ask only. */
export const isExcluded = ({ resource }: AdmissionRequest): boolean => excluded.has(`${resource.resource}.${resource.group}`);

/** The namespace that expressions see; namespaces themselves have none. Throws StatusError. */
export async function namespaceSeen(deps: PolicyDependencies, { kind, namespace }: AdmissionRequest): Promise<Namespace | undefined> {
  const isNamespace = kind.group === "" && kind.kind === namespaces.kind;
  return namespace === "" || isNamespace ? undefined : findNamespace(deps, namespace);
}
