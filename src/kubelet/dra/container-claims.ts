// Which claims of its pod a container uses, and which requests of them: those that it names, and those behind extended
// resources that it asks for, which the pod's status maps to requests of a claim of their own.
import { podClaimOf } from "../../api/semantics/pod-claims.ts";
import type { Container, Pod } from "../../api/types/core-v1.ts";

export interface ContainerClaim {
  readonly claimName: string;
  /** Undefined: all of them. */
  readonly request: string | undefined;
}

export function claimsOfContainer(pod: Pod, { name, resources }: Pick<Container, "name" | "resources">): readonly ContainerClaim[] {
  const found: ContainerClaim[] = [];
  for (const { name: podClaim, request } of resources?.claims ?? []) {
    const each = pod.spec.resourceClaims?.find((claim) => claim.name === podClaim);
    const claim = each && podClaimOf(pod, each);
    if (claim?.kind === "named") found.push({ claimName: claim.name, request: request || undefined });
  }
  const extended = pod.status?.extendedResourceClaimStatus;
  for (const { containerName, resourceName, requestName } of extended?.requestMappings ?? []) {
    const amount = resources?.requests?.[resourceName];
    if (containerName === name && amount !== undefined && String(amount) !== "0")
      found.push({ claimName: extended?.resourceClaimName ?? "", request: requestName });
  }
  return found;
}
