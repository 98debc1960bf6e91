// The claims of a stateful set's pods. They outlive pods, and as long as nothing else is asked for, the set too. What is to
// happen to them when the set is scaled down or deleted is carried out by the garbage collector: this file decides whose
// they are.
import { controllerRef, type KubernetesObject, type New } from "../../api/meta/object.ts";
import type { GroupVersionKind } from "../../api/resource-type.ts";
import { pods, statefulsets } from "../../api/resources.generated.ts";
import type { StatefulSet } from "../../api/types/apps-v1.ts";
import type { PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { OwnerReference } from "../../api/types/meta-v1.ts";
import { claimName, isInRange } from "./identity.ts";

/** By name. */
export type Claims = ReadonlyMap<string, PersistentVolumeClaim>;

/** The claims an ordinal is to have, as they are made. */
export function claimsFor(set: StatefulSet, ordinal: number): readonly New<PersistentVolumeClaim>[] {
  return (set.spec.volumeClaimTemplates ?? []).map((template) => {
    const labels = { ...template.metadata.labels, ...set.spec.selector.matchLabels };
    const owned = deletesWithSet(set) && isInRange(set, ordinal);
    return {
      metadata: {
        ...template.metadata,
        name: claimName(set, template, ordinal),
        namespace: set.metadata.namespace,
        ...(Object.keys(labels).length > 0 ? { labels } : {}),
        ...(owned ? { ownerReferences: [...(template.metadata.ownerReferences ?? []), controllerRef(set, statefulsets)] } : {}),
      },
      spec: template.spec,
    };
  });
}

const deletesWithSet = ({ spec }: StatefulSet): boolean => spec.persistentVolumeClaimRetentionPolicy?.whenDeleted === "Delete";
const deletesWhenScaled = ({ spec }: StatefulSet): boolean => spec.persistentVolumeClaimRetentionPolicy?.whenScaled === "Delete";

/** Claims of an earlier pod of this name are about to be deleted with it: a new pod must not be given them. */
export function hasDoomedClaim(set: StatefulSet, name: string, claims: readonly PersistentVolumeClaim[]): boolean {
  const isOfPod = names({ metadata: { name } }, pods);
  return deletesWhenScaled(set) && claims.some((claim) => claim.metadata.ownerReferences?.some(isOfPod));
}

export interface ClaimOwners {
  readonly claim: PersistentVolumeClaim;
  readonly owners: readonly OwnerReference[];
}

/**
 * A controller manages the claim that is neither the set nor the pod, or an earlier one of their names: the set's policy does
 * not reach it. Without a policy it may be anybody's.
 */
export function hasForeignController(set: StatefulSet, claim: PersistentVolumeClaim, pod: Pod): boolean {
  if (!deletesWithSet(set) && !deletesWhenScaled(set)) return false;
  const isSet = names(set, statefulsets);
  const isPod = names(pod, pods);
  return (claim.metadata.ownerReferences ?? []).some((reference) => {
    if (isSet(reference)) return reference.uid !== set.metadata.uid;
    if (isPod(reference)) return reference.uid !== pod.metadata.uid;
    return reference.controller === true;
  });
}

/**
 * The owners that the set's policy asks for; undefined where the claim has them. While an ordinal is in use its claims belong
 * to the set, if they go with it; when it is scaled away, to the pod that is leaving, if they go then. Claims that name an
 * earlier set or pod of the same name are left to the garbage collector.
 */
export function claimOwners(
  set: StatefulSet,
  claim: PersistentVolumeClaim,
  { pod, ordinal }: { readonly pod: Pod; readonly ordinal: number },
): ClaimOwners | undefined {
  const present = claim.metadata.ownerReferences ?? [];
  const isSet = names(set, statefulsets);
  const isPod = names(pod, pods);
  const isStale = present.some((r) => (isSet(r) && r.uid !== set.metadata.uid) || (isPod(r) && r.uid !== pod.metadata.uid));
  if (isStale) return undefined;
  const others = present.filter((reference) => !isSet(reference) && !isPod(reference));
  const owner = hasForeignController(set, claim, pod) ? undefined : policyOwner(set, pod, ordinal);
  const owners = owner ? [...others, owner] : others;
  const isRight =
    owners.length === present.length &&
    owners.every((wanted) => present.some((r) => r.uid === wanted.uid && (r.controller ?? false) === (wanted.controller ?? false)));
  return isRight ? undefined : { claim, owners };
}

function policyOwner(set: StatefulSet, pod: Pod, ordinal: number): OwnerReference | undefined {
  if (deletesWhenScaled(set) && !isInRange(set, ordinal)) return controllerRef(pod, pods);
  return deletesWithSet(set) ? controllerRef(set, statefulsets) : undefined;
}

/** Whether a reference is to an object of this name and kind, be it this one or an earlier one. */
function names(
  { metadata }: { readonly metadata: Pick<KubernetesObject["metadata"], "name"> },
  kind: GroupVersionKind,
): (reference: OwnerReference) => boolean {
  const apiVersion = kind.group === "" ? kind.version : `${kind.group}/${kind.version}`;
  return (reference) => reference.kind === kind.kind && reference.apiVersion === apiVersion && reference.name === metadata.name;
}
