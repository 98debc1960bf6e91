// Which ResourceClaims a pod has: those it names, and those made from templates, whose names stand in its status.
import { isControlledBy } from "../meta/object.ts";
import type { Pod, PodResourceClaim } from "../types/core-v1.ts";
import type { ResourceClaim } from "../types/resource-v1.ts";
import { isPodTerminal } from "./pod-status.ts";

export type PodClaim =
  /** `isOwned`: it was made for the pod and must belong to it. */
  | { readonly kind: "named"; readonly name: string; readonly isOwned: boolean }
  /** To be made from a template. */
  | { readonly kind: "missing" }
  | { readonly kind: "notNeeded" };

export function podClaimOf(pod: Pod, { name, resourceClaimName, resourceClaimTemplateName }: PodResourceClaim): PodClaim {
  if (resourceClaimName !== undefined) return { kind: "named", name: resourceClaimName, isOwned: false };
  if (resourceClaimTemplateName === undefined) return { kind: "notNeeded" };
  const status = pod.status?.resourceClaimStatuses?.find((each) => each.name === name);
  if (!status) return { kind: "missing" };
  return status.resourceClaimName === undefined ? { kind: "notNeeded" } : { kind: "named", name: status.resourceClaimName, isOwned: true };
}

/** Keys of the claims a pod has, that of its extended resources among them. */
export function claimKeysOf(pod: Pod): readonly string[] {
  const { namespace } = pod.metadata;
  const named = (pod.spec.resourceClaims ?? []).flatMap((each) => {
    const claim = podClaimOf(pod, each);
    return claim.kind === "named" ? [claim.name] : [];
  });
  const extended = pod.status?.extendedResourceClaimStatus?.resourceClaimName;
  return [...new Set(extended === undefined ? named : [...named, extended])].map((name) => `${namespace}/${name}`);
}

export const hasClaims = ({ spec, status }: Pod): boolean =>
  (spec.resourceClaims ?? []).length > 0 || status?.extendedResourceClaimStatus !== undefined;

/** None of its containers runs or ever will. */
export const isPodDone = (pod: Pod): boolean => isPodTerminal(pod) || (pod.metadata.deletionTimestamp !== undefined && !pod.spec.nodeName);

export const isReservedFor = (claim: ResourceClaim, pod: Pod): boolean =>
  claim.status?.reservedFor?.some(({ uid }) => uid === pod.metadata.uid) ?? false;

/** A claim that was made for a pod is only the pod's while the pod owns it. */
export const isUsable = (claim: ResourceClaim, pod: Pod, { isOwned }: { readonly isOwned: boolean }): boolean =>
  !isOwned || isControlledBy(claim, pod);
