// The profile of property tests and benchmarks: the plugins that decide by nodes and pods alone, as the default profile has them.
import type { Profile } from "./framework.ts";
import { createInterPodAffinity } from "./plugins/inter-pod-affinity.ts";
import { nodeAffinity, nodeName, nodePorts, nodeUnschedulable, taintToleration } from "./plugins/node.ts";
import { createPodTopologySpread } from "./plugins/pod-topology-spread.ts";
import { imageLocality, nodeResourcesBalancedAllocation, nodeResourcesFit } from "./plugins/resources.ts";
import { noWorkloads } from "./test-objects.ts";

/** `workloads`: what pods belong to. Default: they belong to none. */
export function testProfile(workloads: Partial<Parameters<typeof createPodTopologySpread>[0]> = {}): Profile {
  return {
    schedulerName: "default-scheduler",
    plugins: [
      nodeUnschedulable,
      nodeName,
      taintToleration,
      nodeAffinity,
      nodePorts,
      nodeResourcesFit,
      createPodTopologySpread({ ...noWorkloads, ...workloads }),
      createInterPodAffinity({ namespaceLabels: () => ({}) }),
      nodeResourcesBalancedAllocation,
      imageLocality,
    ],
    scoreWeights: { TaintToleration: 3, NodeAffinity: 2, PodTopologySpread: 2, InterPodAffinity: 2 },
  };
}
