// The default profile's plugins, in the order their points run, with upstream's weights.
import type { Client } from "../../client/client.ts";
import type { Profile } from "../framework.ts";
import { createDefaultBinder } from "./default-binder.ts";
import { nodeAffinity, nodeName, nodePorts, nodeUnschedulable, taintToleration } from "./node.ts";
import { prioritySort, schedulingGates } from "./queue.ts";
import { imageLocality, nodeResourcesBalancedAllocation, nodeResourcesFit } from "./resources.ts";

export function defaultProfile(client: Client): Profile {
  return {
    schedulerName: "default-scheduler",
    plugins: [
      schedulingGates,
      prioritySort,
      nodeUnschedulable,
      nodeName,
      taintToleration,
      nodeAffinity,
      nodePorts,
      nodeResourcesFit,
      nodeResourcesBalancedAllocation,
      imageLocality,
      createDefaultBinder(client),
    ],
    scoreWeights: { TaintToleration: 3, NodeAffinity: 2, NodeResourcesFit: 1, NodeResourcesBalancedAllocation: 1, ImageLocality: 1 },
  };
}
