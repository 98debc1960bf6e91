// DynamicResources: pods that claim devices go where the devices of their allocated claims are, or where devices for the
// others can be found. What was found for the chosen node is counted at once and written before the pod is bound. Extended
// resources with a device class behind them are claims, too. Pods without claims cost a look at two fields.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { isControlledBy, keyOf } from "../../api/meta/object.ts";
import { hasClaims, isReservedFor } from "../../api/semantics/pod-claims.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { AllocationResult, ResourceClaim } from "../../api/types/resource-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { EventSeriesRecorder } from "../../client/event-series-recorder.ts";
import { allocationOf } from "../devices/allocation-result.ts";
import { bindClaims } from "../devices/bind-claims.ts";
import { hasTimedOut, readinessOf } from "../devices/binding-conditions.ts";
import { deallocateClaim, deleteExtendedClaim, unreserveClaim } from "../devices/claim-binding.ts";
import type { DeviceClaims } from "../devices/device-claims.ts";
import { AllocationError } from "../devices/device-requests.ts";
import { DeviceSearch } from "../devices/device-search.ts";
import { DeviceSelectors } from "../devices/device-selectors.ts";
import {
  extendedOnNode,
  isTemporary,
  type NodeAllocation,
  namedClaims,
  type PodDeviceClaims,
  podDeviceClaims,
  rejected,
} from "../devices/pod-device-claims.ts";
import { defaultNormalize, type Plugin, type PostFilterOutcome, type Rejection, type SchedulingCycle } from "../framework.ts";
import type { NodeInfo } from "../node-info.ts";
import type { SchedulerMetrics } from "../scheduler-metrics.ts";

const name = "DynamicResources";
const maxAlternatives = 8;

export interface DynamicResourcesDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: Pick<EventSeriesRecorder, "record">;
  readonly devices: DeviceClaims;
  readonly metrics?: Pick<SchedulerMetrics, "claimCreated" | "waitedForDevices">;
  /** For finding devices, for all nodes of a cycle together: nothing else is scheduled meanwhile. 0: no limit. */
  readonly filterTimeoutMs: number;
  /** For devices to be made ready. */
  readonly bindingTimeoutMs: number;
}

interface CycleState {
  /** Undefined for a pod that has nothing to do with devices. */
  readonly claims: PodDeviceClaims | undefined;
  /** On the monotonic clock. */
  readonly deadlineMs: number;
}

const nothing: CycleState = { claims: undefined, deadlineMs: 0 };
// Nobody else writes under this plugin's name.
const stateOf = ({ state }: SchedulingCycle): CycleState | undefined => state.get(name) as CycleState | undefined;
const claimsOf = (cycle: SchedulingCycle): PodDeviceClaims | undefined => stateOf(cycle)?.claims;

export function createDynamicResources(deps: DynamicResourcesDependencies): Plugin {
  const { client, clock, devices, logger } = deps;
  const selectors = new DeviceSelectors();
  const onNode = (cycle: SchedulingCycle, state: CycleState, node: NodeInfo): NodeAllocation | Rejection => {
    const claims = state.claims as PodDeviceClaims; // the filter is there for pods with claims alone
    const known = claims.allocations.get(node.name);
    if (known) return known;
    const found = allocateOn(cycle.pod, node, { ...deps, claims, selectors, deadlineMs: state.deadlineMs });
    claims.allocations.set(node.name, found);
    return found;
  };
  const inBackground = (what: string, claim: ResourceClaim, work: Promise<void>): void => {
    work.catch((error: unknown) => logger.error(what, { claim: keyOf(claim), error }));
  };
  return {
    name,
    preEnqueue(pod) {
      if (!pod.spec.resourceClaims?.length) return undefined;
      const claims = namedClaims(pod, devices);
      return "reasons" in claims ? claims : undefined;
    },
    preFilter(cycle) {
      cycle.state.set(name, nothing);
      const claims = podDeviceClaims(cycle.pod, devices);
      if (!claims || "reasons" in claims) return claims;
      const limit = deps.filterTimeoutMs;
      cycle.state.set(name, { claims, deadlineMs: limit > 0 ? clock.monotonic() + limit : Number.POSITIVE_INFINITY } satisfies CycleState);
      return undefined;
    },
    filter(cycle) {
      const state = stateOf(cycle);
      if (!state?.claims) return undefined;
      return (node) => {
        const found = onNode(cycle, state, node);
        return "reasons" in found ? found : undefined;
      };
    },
    filterSignature: (cycle) => (claimsOf(cycle) ? undefined : ""),
    postFilter(cycle, { signal }) {
      const state = stateOf(cycle);
      // Without its own PreFilter there is nothing to go by: an earlier plugin has rejected the pod for every node.
      if (!state) return { kind: "failed", message: "not found" };
      return state.claims ? makeFree(cycle, state.claims, signal) : { kind: "rejected", message: "no new claims to deallocate" };
    },
    score(cycle) {
      const claims = claimsOf(cycle);
      const hasAlternatives = claims?.claims.some(({ spec }) =>
        spec.devices?.requests?.some(({ firstAvailable }) => firstAvailable?.length),
      );
      if (!claims || !hasAlternatives) return undefined;
      return ({ name: nodeName }) => {
        const found = claims.allocations.get(nodeName);
        return found && !("reasons" in found) ? scoreOf(claims.claims, found) : 0;
      };
    },
    normalizeScore: (scores) => defaultNormalize(scores, false),
    reserve(cycle, nodeName) {
      const found = claimsOf(cycle)?.allocations.get(nodeName);
      if (found && !("reasons" in found)) for (const [uid, allocation] of found.results) devices.promise(uid, allocation);
      return undefined;
    },
    unreserve(cycle, nodeName) {
      const claims = claimsOf(cycle);
      const found = claims?.allocations.get(nodeName);
      if (!claims) return;
      if (found && !("reasons" in found)) for (const uid of found.results.keys()) devices.release(uid);
      for (const claim of claims.claims)
        if (claim.status?.allocation && isReservedFor(claim, cycle.pod))
          inBackground("Taking back a reservation failed", claim, unreserveClaim(claim, cycle.pod, client));
      const { extended } = claims;
      if (extended && !isTemporary(extended))
        inBackground("Deleting the claim for extended resources failed", extended, deleteExtendedClaim(extended, client));
    },
    preBind(cycle, nodeName, signal) {
      const claims = claimsOf(cycle);
      const found = claims?.allocations.get(nodeName);
      if (!claims || !found || "reasons" in found) return undefined;
      return bindClaims(cycle.pod, claims, { ...deps, nodeName, found, signal });
    },
    queueingHints: [
      { event: "NodeAdd" },
      { event: "NodeLabel" },
      { event: "NodeAllocatable" },
      {
        event: "ResourceClaim",
        concerns: (pod, before, after) => concernsClaim(pod, before as ResourceClaim, after as ResourceClaim | undefined),
      },
      { event: "UnscheduledPodUpdate", concerns: (pod) => !("reasons" in namedClaims(pod, devices)) },
      { event: "DeviceClass" },
      { event: "ResourceSlice" },
      // Devices that were promised to a pod which could not be bound are free again.
      { event: "AssignedPodDelete", concerns: (_pod, before) => hasClaims(before as Pod) },
    ],
  };

  /** Gives an allocation back that nobody uses and that keeps the pod from being placed. */
  async function makeFree(
    { pod }: SchedulingCycle,
    { unavailable, extended }: PodDeviceClaims,
    signal: AbortSignal,
  ): Promise<PostFilterOutcome> {
    for (const claim of unavailable) {
      const { reservedFor = [] } = claim.status ?? {};
      if (reservedFor.length > 1 || (reservedFor[0] && reservedFor[0].uid !== pod.metadata.uid)) continue;
      await deallocateClaim(claim, deps, signal);
      return { kind: "rejected", message: "deallocation of ResourceClaim completed" };
    }
    if (extended && !isTemporary(extended)) {
      await deleteExtendedClaim(extended, client);
      return { kind: "rejected", message: "deletion of ResourceClaim completed" };
    }
    return { kind: "rejected", message: "still not schedulable" };
  }

  function concernsClaim(pod: Pod, before: ResourceClaim | undefined, after: ResourceClaim | undefined): boolean {
    const claims = namedClaims(pod, devices);
    if ("reasons" in claims) return false;
    // Devices have become free, or what an earlier attempt of this pod had left is gone.
    if (before?.status?.allocation && !after?.status?.allocation) return true;
    if (!after) return before !== undefined && isControlledBy(before, pod);
    if (!claims.some(({ metadata }) => metadata.uid === after.metadata.uid)) return false;
    return !before || !semanticallyEqual(before.status, after.status);
  }
}

interface NodeSearch extends DynamicResourcesDependencies {
  readonly claims: PodDeviceClaims;
  readonly selectors: DeviceSelectors;
  readonly deadlineMs: number;
}

const cannotAllocate = rejected("cannot allocate all claims");

/** Throws what is wrong with claims or classes, and when there is no time left: then the pod is tried again later. */
function allocateOn(pod: Pod, node: NodeInfo, search: NodeSearch): NodeAllocation | Rejection {
  const { claims, devices } = search;
  if (claims.extended && !isTemporary(claims.extended)) return rejected("cannot schedule extended resource claim");
  const extended = extendedOnNode(pod, claims, node, devices);
  const problem = problemOfAllocated(node, search);
  if (problem) return problem;
  const wanted = [...claims.claims.filter(({ status }) => !status?.allocation), ...(extended ? [extended.claim] : [])];
  if (wanted.length === 0) return { results: new Map() };
  const picks = findDevices(wanted, node, search);
  if ("reasons" in picks) return picks;
  const results = new Map<string, AllocationResult>();
  for (const [i, claim] of wanted.entries()) results.set(claim.metadata.uid, allocationOf(claim, picks[i] ?? [], node.name));
  return { results, extended };
}

/** Whether the node can use what is allocated already. */
function problemOfAllocated(info: NodeInfo, { claims, clock, bindingTimeoutMs }: NodeSearch): Rejection | undefined {
  let isAvailable = true;
  for (const claim of claims.claims) {
    if (!claim.status?.allocation) continue;
    const admits = claims.places.get(claim.metadata.uid);
    const isHere = !admits || (info.node !== undefined && admits(info.node));
    const readiness = readinessOf(claim).kind;
    const isLate = readiness === "pending" && hasTimedOut(claim, { nowMs: clock.now(), timeoutMs: bindingTimeoutMs });
    if (isHere && readiness !== "failed" && !isLate) continue;
    claims.unavailable.add(claim);
    isAvailable = false;
  }
  return isAvailable ? undefined : rejected("resourceclaim not available on the node");
}

function findDevices(wanted: readonly ResourceClaim[], info: NodeInfo, { devices, selectors, clock, deadlineMs }: NodeSearch) {
  const fail = (problem: string): never => {
    throw new Error(`running "${name}" filter plugin: ${problem}`);
  };
  const { node } = info;
  if (!node) return cannotAllocate;
  const checkTime = (): void => {
    if (clock.monotonic() > deadlineMs) fail(`node ${node.metadata.name}: timed out trying to allocate devices`);
  };
  checkTime();
  const pools = devices.poolsFor(info);
  const classOf = (className: string) => devices.classes.get(className);
  try {
    const search = new DeviceSearch(wanted, { node, pools, allocated: devices.allocated, classOf, selectors, checkTime });
    const picks = search.run();
    if (picks) return picks;
    return pools.some(({ state }) => state === "invalid") ? rejected("invalid resource pools were encountered") : cannotAllocate;
  } catch (error) {
    if (error instanceof AllocationError) return fail(error.message);
    throw error;
  }
}

/** More for each request that gets one of its earlier alternatives. */
function scoreOf(claims: readonly ResourceClaim[], { results }: NodeAllocation): number {
  let score = 0;
  for (const claim of claims) {
    const allocation = claim.status?.allocation ?? results.get(claim.metadata.uid);
    const refs = new Set(allocation?.devices?.results?.map(({ request }) => request));
    for (const { name: request, firstAvailable = [] } of claim.spec.devices?.requests ?? [])
      for (const [i, each] of firstAvailable.entries()) if (refs.has(`${request}/${each.name}`)) score += maxAlternatives - i;
  }
  return score;
}
