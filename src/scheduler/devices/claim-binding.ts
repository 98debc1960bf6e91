// Writes what a scheduling cycle has decided about claims: the finalizer that keeps an allocated claim from going, the
// allocation, and the reservation for the pod; makes the claim for extended resources and notes it in the pod's status. And
// takes it back: reservations of pods that could not be bound, allocations that keep a pod from going elsewhere.
import { keyOf } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { pods, resourceclaims } from "../../api/resources.generated.ts";
import { isReservedFor } from "../../api/semantics/pod-claims.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { AllocationResult, ResourceClaim } from "../../api/types/resource-v1.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import type { DeviceClaims } from "./device-claims.ts";
import type { NodeAllocation } from "./pod-device-claims.ts";

export const deleteProtection = "resource.kubernetes.io/delete-protection";

const maxConflicts = 5;

export interface ClaimBindingDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly devices: DeviceClaims;
  /** Whether a claim for extended resources could be created. */
  readonly created?: (ok: boolean) => void;
}

/** Allocates and reserves a claim; gives it as it is then. Throws what keeps the pod from being bound. */
export async function bindClaim(
  claim: ResourceClaim,
  { pod, allocation, signal }: { readonly pod: Pod; readonly allocation: AllocationResult | undefined; readonly signal: AbortSignal },
  deps: ClaimBindingDependencies,
): Promise<ResourceClaim> {
  let current = claim;
  for (let conflicts = 0; ; conflicts++) {
    try {
      const bound = await writeBinding(current, { pod, allocation, signal }, deps);
      deps.devices.written(bound);
      return bound;
    } catch (error) {
      if (!isStatus(error, "Conflict") || conflicts + 1 >= maxConflicts) throw error;
      const { namespace, name } = claim.metadata;
      current = await deps.client.get(resourceclaims, { namespace, name }, { signal });
      if (current.metadata.uid !== claim.metadata.uid) throw error;
    }
  }
}

async function writeBinding(
  claim: ResourceClaim,
  { pod, allocation, signal }: { readonly pod: Pod; readonly allocation: AllocationResult | undefined; readonly signal: AbortSignal },
  { client, clock }: ClaimBindingDependencies,
): Promise<ResourceClaim> {
  const refuse = (what: string): never => {
    throw new Error(`claim ${keyOf(claim)} ${what}`);
  };
  if (claim.metadata.deletionTimestamp !== undefined) refuse("got deleted in the meantime");
  if (allocation && claim.status?.allocation) refuse("got allocated elsewhere in the meantime");
  const given = allocation ?? claim.status?.allocation ?? refuse("got deallocated elsewhere in the meantime");
  const kept = allocation ? await protect(claim, client, signal) : claim;
  const { name, uid } = pod.metadata;
  const reservedFor = kept.status?.reservedFor ?? [];
  const status = {
    ...kept.status,
    allocation: { allocationTimestamp: formatTime(clock.now()), ...given },
    reservedFor: isReservedFor(kept, pod) ? reservedFor : [...reservedFor, { resource: "pods", name, uid }],
  };
  return client.updateStatus(resourceclaims, { ...kept, status }, { signal });
}

async function protect(claim: ResourceClaim, client: Client, signal: AbortSignal): Promise<ResourceClaim> {
  const { finalizers = [] } = claim.metadata;
  if (finalizers.includes(deleteProtection)) return claim;
  return client.update(
    resourceclaims,
    { ...claim, metadata: { ...claim.metadata, finalizers: [...finalizers, deleteProtection] } },
    { signal },
  );
}

/** Makes the claim for extended resources on the chosen node. */
export async function createExtendedClaim(
  { claim }: NonNullable<NodeAllocation["extended"]>,
  { client, created }: ClaimBindingDependencies,
  signal: AbortSignal,
): Promise<ResourceClaim> {
  const { namespace, generateName, ownerReferences, annotations } = claim.metadata;
  try {
    const metadata = { namespace, generateName, ownerReferences, annotations } as ResourceClaim["metadata"]; // the server names it
    const made = await client.create(resourceclaims, { metadata, spec: claim.spec }, { signal });
    created?.(true);
    return made;
  } catch (error) {
    created?.(false);
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`create claim for extended resources ${keyOf(claim)}: ${why}`, { cause: error });
  }
}

/** The kubelet finds the claim, and which container gets what of it, in the pod's status. */
export async function noteExtendedClaim(
  pod: Pod,
  { claim, mappings }: NonNullable<NodeAllocation["extended"]>,
  { client, signal }: { readonly client: Client; readonly signal: AbortSignal },
): Promise<void> {
  const { namespace, name, uid } = pod.metadata;
  const status = { extendedResourceClaimStatus: { requestMappings: mappings, resourceClaimName: claim.metadata.name } };
  await client.patch(pods, { namespace, name }, { metadata: { uid }, status }, { type: "strategic", subresource: "status", signal });
}

/** Takes a pod's reservation away, whatever else has changed in the claim. */
export async function unreserveClaim({ metadata }: ResourceClaim, pod: Pod, client: Client): Promise<void> {
  const { namespace, name, uid } = metadata;
  const patch = { metadata: { uid }, status: { reservedFor: [{ $patch: "delete", uid: pod.metadata.uid }] } };
  try {
    await client.patch(resourceclaims, { namespace, name }, patch, { type: "strategic", subresource: "status" });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
  }
}

/** Nobody uses the claim: its devices are free again. */
export async function deallocateClaim(claim: ResourceClaim, deps: ClaimBindingDependencies, signal: AbortSignal): Promise<void> {
  deps.devices.written(await deps.client.updateStatus(resourceclaims, { ...claim, status: {} }, { signal }));
}

/** Removes a claim that the scheduler made. */
export async function deleteExtendedClaim(claim: ResourceClaim, client: Client): Promise<void> {
  const { namespace, name, uid } = claim.metadata;
  try {
    for (let current = claim, tries = 1; ; tries++) {
      const finalizers = (current.metadata.finalizers ?? []).filter((each) => each !== deleteProtection);
      try {
        if (finalizers.length === current.metadata.finalizers?.length || current.metadata.finalizers === undefined) break;
        await client.update(resourceclaims, { ...current, metadata: { ...current.metadata, finalizers } });
        break;
      } catch (error) {
        if (!isStatus(error, "Conflict") || tries >= maxConflicts) throw error;
        current = await client.get(resourceclaims, { namespace, name });
      }
    }
    await client.delete(resourceclaims, { namespace, name }, { body: { preconditions: { uid } } });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
  }
}
