// What all nodes of a cluster must agree on about its network, as it stands in the config map kube-system/coracle-network,
// so that a node that joins needs no flags about it.

/** How packets to pods of other nodes travel. */
export type PodNetworkMode = (typeof podNetworkModes)[number];

/**
 * Pods are on a bridge of their node, which has a range of addresses, or, with "routed", each on a cable of its own.
 * host-gw: by the other node as a router, which must be on the same link. vxlan: in UDP packets between the nodes. udp: the same
 * where kernels have no VXLAN, by a program. auto: each node by what its place and its kernel allow. routed: as IPPool objects say
 * (routed-network). none: the network is somebody else's, by CNI configuration of their own.
 */
export const podNetworkModes = ["auto", "host-gw", "vxlan", "udp", "routed", "none"] as const;

export interface PodNetwork {
  readonly mode: PodNetworkMode;
  /** Of the VXLAN, 1 to 2^24 - 1: the same on all nodes, another one for other clusters on the same machines. */
  readonly vni: number;
  /** UDP port of the VXLAN. */
  readonly port: number;
  /** UDP port of the tunnel without VXLAN. Default 8285. */
  readonly udpPort?: number;
  /** Ranges of the nodes within the machine of `coracle up`, which other machines reach by it. Default none are known. */
  readonly nodeCidrs?: readonly string[];
}

export interface ClusterNetwork {
  /** Ranges of all nodes' pods, at most one of each family. */
  readonly clusterCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly podNetwork: PodNetwork;
  /** Addresses of the cluster's DNS service; none where there is no such service. */
  readonly clusterDns: readonly string[];
  readonly clusterDomain: string;
  /** Ranges of addresses that load balancers get and nodes announce; none where nodes' own addresses are shared. */
  readonly loadBalancerPool: readonly string[];
}

export const clusterNetworkMap = { namespace: "kube-system", name: "coracle-network" } as const;

/** The kernel's and flannel's, not the registered 4789. */
export const vxlanPort = 8472;

/** Flannel's. */
export const defaultUdpPort = 8285;

export const defaultPodNetwork: PodNetwork = { mode: "auto", vni: 1, port: vxlanPort };

/** The data of the config map. */
export function writeClusterNetwork({ podNetwork, ...network }: ClusterNetwork): Readonly<Record<string, string>> {
  return {
    clusterCidrs: network.clusterCidrs.join(","),
    serviceCidrs: network.serviceCidrs.join(","),
    podNetwork: podNetwork.mode,
    vxlanId: String(podNetwork.vni),
    vxlanPort: String(podNetwork.port),
    ...(podNetwork.udpPort === undefined ? {} : { udpPort: String(podNetwork.udpPort) }),
    ...(podNetwork.nodeCidrs ? { nodeCidrs: podNetwork.nodeCidrs.join(",") } : {}),
    clusterDns: network.clusterDns.join(","),
    clusterDomain: network.clusterDomain,
    loadBalancerPool: network.loadBalancerPool.join(","),
  };
}

/** Throws where the data are not such a network's. */
export function readClusterNetwork(data: Readonly<Record<string, string>>): ClusterNetwork {
  const list = (key: string): readonly string[] => (data[key] ?? "").split(",").filter((part) => part !== "");
  const number = (key: string, [min, max]: readonly [number, number], absent: number): number => {
    const value = data[key] === undefined ? absent : Number(data[key]);
    if (!Number.isInteger(value) || value < min || value > max)
      throw new Error(`${key}: expected a whole number from ${min} to ${max}, not ${JSON.stringify(data[key])}`);
    return value;
  };
  const mode = podNetworkModes.find((known) => known === (data.podNetwork ?? "auto"));
  if (mode === undefined) throw new Error(`podNetwork: expected ${podNetworkModes.join(", ")}, not ${JSON.stringify(data.podNetwork)}`);
  return {
    clusterCidrs: list("clusterCidrs"),
    serviceCidrs: list("serviceCidrs"),
    podNetwork: {
      ...{ mode, vni: number("vxlanId", [1, 2 ** 24 - 1], 1), port: number("vxlanPort", [1, 65_535], vxlanPort) },
      ...(data.udpPort === undefined ? {} : { udpPort: number("udpPort", [1, 65_535], defaultUdpPort) }),
      ...(data.nodeCidrs === undefined ? {} : { nodeCidrs: list("nodeCidrs") }),
    },
    clusterDns: list("clusterDns"),
    clusterDomain: data.clusterDomain ?? "cluster.local",
    loadBalancerPool: list("loadBalancerPool"),
  };
}
