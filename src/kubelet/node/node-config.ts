// What a kubelet's options say of its node, and what it reads of the machine for its pods' resolver files.
import { readFile } from "node:fs/promises";
import { parseResolvConf, type ResolverConfig } from "../../base/resolv-conf.ts";
import type { ResolvedOptions } from "../options.ts";
import type { NodeConfig } from "./node-status.ts";

/** What this kubelet can do that an older one may not, sorted: the API server lets pods be changed so only then. */
const declaredFeatures = (gates: ResolvedOptions["gates"]): readonly string[] => [
  ...(gates.enabled("ExtendWebSocketsToKubelet") ? ["ExtendWebSocketsToKubelet"] : []),
  "InPlacePodLevelResourcesVerticalScaling",
  "InPlacePodVerticalScalingInitContainers",
  "RestartAllContainersOnContainerExits",
];

export function nodeConfigOf(options: ResolvedOptions): NodeConfig {
  const { kubeletVersion, maxPods, port, labels, taints, unschedulable, podsPerCore, providerID, protection, gates } = options;
  return {
    ...{ kubeletVersion, maxPods, port, labels, taints, unschedulable, podsPerCore, providerID, reservations: protection },
    register: options.registerNode,
    statusUpdateMs: options.nodeStatusUpdateFrequencyMs,
    statusReportMs: options.nodeStatusReportFrequencyMs,
    maxImages: options.nodeStatusMaxImages,
    ...(gates.enabled("NodeDeclaredFeatures") ? { declaredFeatures: declaredFeatures(gates) } : {}),
    controllerAttaches: options.enableControllerAttachDetach,
    externalCloud: options.cloudProvider === "external",
    addressesGiven: options.nodeIPs !== undefined,
  };
}

export async function readResolver(path: string): Promise<ResolverConfig> {
  if (path === "") return { servers: ["127.0.0.1"], searches: ["."], options: [] };
  return parseResolvConf(await readFile(path, "utf8").catch(() => ""));
}
