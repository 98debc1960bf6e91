// What policies need of the server, and which requests they never see.
import { namespaces } from "../../../api/resources.generated.ts";
import type { Namespace } from "../../../api/types/core-v1.ts";
import type { Clock } from "../../../base/clock.ts";
import type { MetricsRegistry } from "../../../base/metrics.ts";
import type { Authorizer } from "../../authz/authorizer.ts";
import type { AdmissionRequest } from "../admission.ts";
import { findNamespace } from "../find-namespace.ts";
import type { MatchDependencies } from "./match-resources.ts";

export interface PolicyDependencies extends MatchDependencies {
  readonly authorizer: Authorizer;
  readonly clock: Clock;
  readonly metrics: MetricsRegistry;
}

const configurations = new Set(
  ["validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"].map(
    (resource) => `${resource}.admissionregistration.k8s.io`,
  ),
);

const reviews = new Set([
  ...["selfsubjectreviews", "tokenreviews"].map((resource) => `${resource}.authentication.k8s.io`),
  ...["localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"].map(
    (resource) => `${resource}.authorization.k8s.io`,
  ),
]);

const shortName = ({ resource }: AdmissionRequest): string => `${resource.resource}.${resource.group}`;

/** What only policies of files see: nobody could repair another that refuses everything. */
export const isConfiguration = (request: AdmissionRequest): boolean => configurations.has(shortName(request));

/** Reviews ask only. */
export function mayBeSeen(request: AdmissionRequest, hasFiles: boolean): boolean {
  return isConfiguration(request) ? hasFiles : !reviews.has(shortName(request));
}

/** The namespace that expressions see; namespaces themselves have none. Throws StatusError. */
export async function namespaceSeen(deps: PolicyDependencies, { kind, namespace }: AdmissionRequest): Promise<Namespace | undefined> {
  const isNamespace = kind.group === "" && kind.kind === namespaces.kind;
  return namespace === "" || isNamespace ? undefined : findNamespace(deps, namespace);
}
