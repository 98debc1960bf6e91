// What nodes may read besides what belongs to their own pods: the kubelet is not alone on a node; the service proxy, the
// network between nodes and network policies see the whole cluster. Upstream runs those as daemon sets, whose service
// accounts' tokens are on every node as well; here they speak as the node. Also the config map with the cluster's network.
import type { KubernetesObject, New } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { clusterrolebindings, clusterroles, configmaps, rolebindings, roles } from "../../api/resources.generated.ts";
import type { Client } from "../../client/client.ts";
import { AddressPool, parseRange } from "../../load-balancer/address-pool.ts";
import { type ClusterNetwork, clusterNetworkMap, readClusterNetwork, writeClusterNetwork } from "../../node-network/cluster-network.ts";
import { CommandError } from "../command-error.ts";
import type { NodeOptions } from "./start-node.ts";

const roleName = "coracle:node-network";
const group = "rbac.authorization.k8s.io";
const reading = ["get", "list", "watch"];
const ofGroup = (name: string) => ({ kind: "Group", apiGroup: group, name });

const clusterRole = {
  metadata: { name: roleName },
  rules: [
    { apiGroups: [""], resources: ["nodes", "services", "endpoints", "pods", "namespaces"], verbs: reading },
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: reading },
    { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies", "servicecidrs"], verbs: reading },
  ],
};

const { namespace, name: mapName } = clusterNetworkMap;

const mapRole = {
  metadata: { namespace, name: mapName },
  rules: [{ apiGroups: [""], resources: ["configmaps"], resourceNames: [mapName], verbs: ["get"] }],
};

/** Makes the objects, or changes them to what they should be. `client` speaks as an administrator. */
export async function publishClusterNetwork(client: Client, network: ClusterNetwork): Promise<void> {
  const bound = (kind: string, name: string) => ({ apiGroup: group, kind, name });
  await Promise.all([
    put(client, clusterroles, clusterRole),
    put(client, clusterrolebindings, {
      metadata: { name: roleName },
      roleRef: bound("ClusterRole", roleName),
      subjects: [ofGroup("system:nodes")],
    }),
    put(client, roles, mapRole),
    put(client, rolebindings, {
      metadata: mapRole.metadata,
      roleRef: bound("Role", mapName),
      // Those that have nothing but a bootstrap token are about to become nodes.
      subjects: [ofGroup("system:nodes"), ofGroup("system:bootstrappers")],
    }),
    put(client, configmaps, { metadata: clusterNetworkMap, data: writeClusterNetwork(network) }),
  ]);
}

/** What a node has to know about the cluster's network. Throws CommandError where the cluster has not published it. */
export async function fetchClusterNetwork(client: Client): Promise<ClusterNetwork> {
  try {
    const map = await client.get(configmaps, clusterNetworkMap);
    return readClusterNetwork(map.data ?? {});
  } catch (error) {
    throw new CommandError(`the config map ${namespace}/${mapName}`, { cause: error });
  }
}

/** What a node is started with, of what the cluster says. */
export function nodeNetworkOptions(network: ClusterNetwork): NodeNetworkOptions {
  const { clusterCidrs, podNetwork, clusterDns, clusterDomain, loadBalancerPool: ranges, serviceCidrs: reservedCidrs } = network;
  const pool = ranges.length === 0 ? {} : { loadBalancerPool: new AddressPool(ranges.map(parseRange)) };
  return { clusterCidrs, podNetwork, clusterDns, clusterDomain, reservedCidrs, ...pool };
}

type NodeNetworkOptions = Pick<
  NodeOptions,
  "clusterCidrs" | "podNetwork" | "clusterDns" | "clusterDomain" | "loadBalancerPool" | "reservedCidrs"
>;

async function put<T extends KubernetesObject>(client: Client, type: ResourceType<T>, object: New<T>): Promise<void> {
  try {
    await client.create(type, object);
  } catch (error) {
    if (!isStatus(error, "AlreadyExists")) throw error;
    const { metadata, ...fields } = object;
    await client.patch(type, metadata as { readonly name: string; readonly namespace?: string }, fields, { type: "merge" });
  }
}
