// DynamicResources: pods that claim devices. Devices are not allocated by this scheduler, so a pod waits until its claims
// have been allocated by somebody else, and then goes where the devices are. Like upstream's, the plugin is asked before
// preemption whether an unused claim could be given back; there is never one.
import { compileNodeSelector, type NodeMatcher } from "../../api/semantics/node-affinity.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { ResourceClaim } from "../../api/types/resource-v1.ts";
import type { Plugin, Rejection, SchedulingCycle } from "../framework.ts";

const name = "DynamicResources";

export function createDynamicResources(claim: (key: string) => ResourceClaim | undefined): Plugin {
  return {
    name,
    preFilter(cycle) {
      const { pod } = cycle;
      const places: NodeMatcher[] = [];
      cycle.state.set(name, places);
      for (const reference of pod.spec.resourceClaims ?? []) {
        const found = findClaim(pod, reference.name, claim);
        if ("reasons" in found) return found;
        const allocation = found.status?.allocation;
        if (!allocation) return { reasons: ["cannot allocate all claims"], unresolvable: true };
        if (allocation.nodeSelector) places.push(compileNodeSelector(allocation.nodeSelector));
      }
      return undefined;
    },
    filter(cycle) {
      const places = placesOf(cycle) ?? [];
      if (places.length === 0) return undefined;
      const rejection: Rejection = { reasons: ["resourceclaim not available on the node"], unresolvable: true };
      return ({ node }) => (node && places.every((admits) => admits(node)) ? undefined : rejection);
    },
    postFilter(cycle) {
      // Without its own PreFilter there is nothing to go by: an earlier plugin has rejected the pod for every node.
      if (placesOf(cycle) === undefined) return { kind: "failed", message: "not found" };
      return { kind: "rejected", message: "no new claims to deallocate" };
    },
    queueingHints: [
      { event: "UnscheduledPodUpdate" },
      { event: "ResourceClaim", concerns: (pod) => (pod.spec.resourceClaims ?? []).length > 0 },
    ],
  };
}

const placesOf = ({ state }: SchedulingCycle): readonly NodeMatcher[] | undefined => state.get(name) as readonly NodeMatcher[] | undefined; // nobody else writes under this plugin's name

function findClaim(pod: Pod, name: string, claim: (key: string) => ResourceClaim | undefined): ResourceClaim | Rejection {
  const reference = pod.spec.resourceClaims?.find((r) => r.name === name);
  const status = pod.status?.resourceClaimStatuses?.find((s) => s.name === name);
  const claimName = reference?.resourceClaimName ?? status?.resourceClaimName;
  const missing = (what: string): Rejection => ({ reasons: [what], unresolvable: true });
  if (!claimName) {
    const { namespace, name: podName } = pod.metadata;
    return missing(`pod "${namespace}/${podName}": ResourceClaim not created yet`);
  }
  return claim(`${pod.metadata.namespace}/${claimName}`) ?? missing(`resourceclaim "${claimName}" not found`);
}
