// Devices that have to be made ready before a pod that uses them can be bound: their drivers name conditions in the
// ResourceSlice, and report them in the claim's status. Until all are true the pod waits; when one of the conditions for
// failure is true, or it takes too long, another device has to be found.
import { findCondition } from "../../api/semantics/conditions.ts";
import type { AllocatedDeviceStatus, DeviceRequestAllocationResult, ResourceClaim } from "../../api/types/resource-v1.ts";

export type Readiness =
  | { readonly kind: "ready" }
  | { readonly kind: "pending" }
  /** Some device cannot be made ready. */
  | { readonly kind: "failed"; readonly message: string };

const resultsOf = ({ status }: ResourceClaim): readonly DeviceRequestAllocationResult[] => status?.allocation?.devices?.results ?? [];

/** Those that have such conditions. */
export const bindingResults = (claim: ResourceClaim): readonly DeviceRequestAllocationResult[] =>
  resultsOf(claim).filter(({ bindingConditions = [] }) => bindingConditions.length > 0);

export function readinessOf(claim: ResourceClaim): Readiness {
  if (!claim.status?.allocation) return { kind: "pending" };
  for (const result of bindingResults(claim)) {
    const status = claim.status.devices?.find((each) => isFor(each, result));
    if (!status) return { kind: "pending" };
    for (const type of result.bindingFailureConditions ?? []) {
      const failed = findCondition(status.conditions ?? [], type);
      if (failed?.status !== "True") continue;
      const why = `reason=${failed.reason}, message=${JSON.stringify(failed.message)}`;
      return { kind: "failed", message: `device binding failed: claim=${claim.metadata.name}, ${why}` };
    }
    const isTrue = (type: string): boolean => findCondition(status.conditions ?? [], type)?.status === "True";
    if (!result.bindingConditions?.every(isTrue)) return { kind: "pending" };
  }
  return { kind: "ready" };
}

const isFor = (status: AllocatedDeviceStatus, { driver, pool, device }: DeviceRequestAllocationResult): boolean =>
  status.device === device && status.driver === driver && status.pool === pool;

/** Whether a claim has waited for its devices longer than they may take. */
export function hasTimedOut(claim: ResourceClaim, { nowMs, timeoutMs }: { readonly nowMs: number; readonly timeoutMs: number }): boolean {
  const since = claim.status?.allocation?.allocationTimestamp;
  return since !== undefined && bindingResults(claim).length > 0 && Date.parse(since) + timeoutMs < nowMs;
}
