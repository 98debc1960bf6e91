// Which nodes may take a load balancer's traffic, and at which addresses. Pure.
import type { Node } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { IPFamily } from "./address-pool.ts";
import { familyOf } from "./balanced-service.ts";

const excludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers";
const leavingTaint = "ToBeDeletedByClusterAutoscaler";

/** No more nodes are named for one service. */
const maxNodes = 100;

/** Those that are ready; all that could be where none is: a node that comes back keeps its services. */
export function balancingNodes(nodes: Iterable<Node>): readonly Node[] {
  const possible = [...nodes].filter(
    ({ metadata, spec }) =>
      metadata.deletionTimestamp === undefined &&
      metadata.labels?.[excludeLabel] === undefined &&
      !spec?.taints?.some(({ key }) => key === leavingTaint),
  );
  const ready = possible.filter((node) => node.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True"));
  const chosen = ready.length > 0 ? ready : possible;
  return chosen.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)).slice(0, maxNodes);
}

/** Where the network outside reaches a node: its external addresses, or else its internal ones. */
export function nodeAddresses({ status }: Node, families: readonly IPFamily[]): readonly string[] {
  const ofType = (wanted: string): readonly string[] =>
    (status?.addresses ?? []).flatMap(({ type, address }) => (type === wanted && families.includes(familyOf(address)) ? [address] : []));
  const external = ofType("ExternalIP");
  return external.length > 0 ? external : ofType("InternalIP");
}

/** Names of the nodes on which a service has ready endpoints. */
export function nodesWithEndpoints(slices: readonly EndpointSlice[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (const { endpoints } of slices)
    for (const { nodeName, conditions } of endpoints ?? []) if (nodeName && conditions?.ready !== false) found.add(nodeName);
  return found;
}

/** What of a node matters here: a node writes its status every few seconds. */
export function balancingFacts({ metadata, spec, status }: Node): string {
  const ready = status?.conditions?.find(({ type }) => type === "Ready")?.status;
  const taints = spec?.taints?.some(({ key }) => key === leavingTaint);
  return JSON.stringify([metadata.deletionTimestamp, metadata.labels?.[excludeLabel], taints, ready, status?.addresses]);
}

/** The key of the service that a slice belongs to. */
export function serviceOfSlice({ metadata }: EndpointSlice): readonly string[] {
  const name = metadata.labels?.["kubernetes.io/service-name"];
  return name ? [`${metadata.namespace}/${name}`] : [];
}
