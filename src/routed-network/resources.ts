// The objects by which addresses of pods are managed: Calico's, of the group crd.projectcalico.org/v1, so that what has been
// written for it is understood, and its tools read what is written here. Fields that are not used here are kept by the server
// (definitions.ts) and left out below.
import type { KubernetesObject } from "../api/meta/object.ts";
import type { ResourceType } from "../api/resource-type.ts";

export const calicoGroup = "crd.projectcalico.org";

export type EncapsulationMode = "Never" | "Always" | "CrossSubnet";

export interface IPPool extends KubernetesObject {
  readonly spec: {
    readonly cidr: string;
    /** Prefix length of the blocks nodes get; default 26, and 122 for IPv6. */
    readonly blockSize?: number;
    readonly ipipMode?: EncapsulationMode;
    readonly vxlanMode?: EncapsulationMode;
    /** Packets to addresses outside of all pools carry the node's address. */
    readonly natOutgoing?: boolean;
    /** No new addresses are given out; those that have been stay routed. */
    readonly disabled?: boolean;
    readonly disableBGPExport?: boolean;
    /** Which nodes get blocks; default all(). */
    readonly nodeSelector?: string;
    /** "Workload", "Tunnel"; default both. */
    readonly allowedUses?: readonly string[];
    /** Manual: only for pods that name the pool. Default Automatic. */
    readonly assignmentMode?: "Automatic" | "Manual";
    /** Of objects from before there were the modes. */
    readonly ipip?: { readonly enabled?: boolean; readonly mode?: string };
    readonly "nat-outgoing"?: boolean;
  };
}

/** What is known of an address that has been given out. */
export interface AllocationAttributes {
  readonly handle_id?: string;
  /** "node", "pod", "namespace", "timestamp", "type". */
  readonly secondary?: Readonly<Record<string, string>>;
}

export interface IPAMBlockSpec {
  readonly cidr: string;
  /** "host:<node>"; absent where the block is no node's. */
  readonly affinity?: string;
  /** For each address of the block the index of its attributes; null where it is free. */
  readonly allocations: readonly (number | null)[];
  readonly attributes: readonly AllocationAttributes[];
  /** Places of free addresses, in the order they will be given out. */
  readonly unallocated: readonly number[];
  readonly strictAffinity: boolean;
  readonly deleted?: boolean;
  /** Grows with every write. */
  readonly sequenceNumber: number;
  /** By the place of the address: the block's number when it was given out. */
  readonly sequenceNumberForAllocation?: Readonly<Record<string, number>>;
}

export interface IPAMBlock extends KubernetesObject {
  readonly spec: IPAMBlockSpec;
}

/** That a node has, or is about to have, a block. */
export interface BlockAffinity extends KubernetesObject {
  readonly spec: {
    readonly cidr: string;
    readonly node: string;
    readonly state: "pending" | "confirmed" | "pendingDeletion";
    readonly type?: string;
    /** A text, as it has always been. */
    readonly deleted: "true" | "false";
  };
}

/** From whoever has addresses (a pod's sandbox, a node's tunnel) to the blocks they are in. */
export interface IPAMHandle extends KubernetesObject {
  readonly spec: {
    readonly handleID: string;
    /** How many addresses it has, by block. */
    readonly block: Readonly<Record<string, number>>;
    readonly deleted?: boolean;
  };
}

/** One object, "default", without which the defaults hold; "node.<name>" says some of it for one node: port, communities. */
export interface IPAMConfig extends KubernetesObject {
  readonly spec: {
    /** Whether nodes give out addresses of their own blocks alone. Default false. */
    readonly strictAffinity: boolean;
    readonly autoAllocateBlocks?: boolean;
    /** 0 is without limit. */
    readonly maxBlocksPerHost?: number;
  };
}

/** A router that nodes speak BGP with besides each other: at an address, or nodes chosen by their labels. */
export interface BGPPeer extends KubernetesObject {
  readonly spec: {
    /** The node it is for, or an expression over nodes' labels; without both it is for all. */
    readonly node?: string;
    readonly nodeSelector?: string;
    /** "192.0.2.254", "192.0.2.254:1179", "[fd00::1]:1179". */
    readonly peerIP?: string;
    readonly asNumber?: number;
    /** Nodes to speak with, in place of an address. */
    readonly peerSelector?: string;
    /** In a secret of kube-system. */
    readonly password?: { readonly secretKeyRef?: SecretKeyRef };
    readonly keepOriginalNextHop?: boolean;
    /** None: whatever address the way to the peer has. Default UseNodeIP. */
    readonly sourceAddress?: "UseNodeIP" | "None";
    /** How long routes stay while the peer starts again: "120s". */
    readonly maxRestartTime?: string;
    /** How often this autonomous system may be in a route's path. */
    readonly numAllowedLocalASNumbers?: number;
    /** How many routers there are on the way, with packets from further away refused. */
    readonly ttlSecurity?: number;
    /** Names of BGPFilter objects, whose rules hold one after the other. */
    readonly filters?: readonly string[];
  };
}

/** Which routes are taken from peers and told to them; of those that no rule fits, what would be without it. */
export interface BGPFilter extends KubernetesObject {
  readonly spec: {
    readonly exportV4?: readonly BGPFilterRule[];
    readonly importV4?: readonly BGPFilterRule[];
    readonly exportV6?: readonly BGPFilterRule[];
    readonly importV6?: readonly BGPFilterRule[];
  };
}

/** Fits a route of which all holds that it says. */
export interface BGPFilterRule {
  /** Accept or Reject. */
  readonly action?: string;
  readonly cidr?: string;
  /** Equal, NotEqual, In or NotIn. */
  readonly matchOperator?: string;
  /** Of routes within the range. Default all. */
  readonly prefixLength?: { readonly min?: number; readonly max?: number };
  /** RemotePeers: what peers have told. */
  readonly source?: string;
  /** A pattern of names: "cali*". */
  readonly interface?: string;
}

export interface SecretKeyRef {
  readonly name: string;
  readonly key: string;
}

/** One object, "default"; without it the defaults hold. */
export interface BGPConfiguration extends KubernetesObject {
  readonly spec: {
    /** Of nodes that say nothing else by the annotation projectcalico.org/ASNumber. Default 64512. */
    readonly asNumber?: number;
    /** Whether nodes on one link speak with each other, all with all. Default true. */
    readonly nodeToNodeMeshEnabled?: boolean;
    readonly nodeMeshPassword?: { readonly secretKeyRef?: SecretKeyRef };
    /** Default 179. */
    readonly listenPort?: number;
    /** Ranges of services' addresses that peers, though not the nodes of the mesh, are told of. */
    readonly serviceClusterIPs?: readonly CidrField[];
    readonly serviceExternalIPs?: readonly CidrField[];
    readonly serviceLoadBalancerIPs?: readonly CidrField[];
    /** Names for values: "65000:100", "65000:100:200". */
    readonly communities?: readonly { readonly name?: string; readonly value?: string }[];
    /** Routes within the range are told with these communities, by name or value. */
    readonly prefixAdvertisements?: readonly { readonly cidr?: string; readonly communities?: readonly string[] }[];
  };
}

interface CidrField {
  readonly cidr?: string;
}

export const bgpConfigurationName = "default";

export const bgpConfigurationNameOf = (node: string): string => `node.${node}`;

export const ipamConfigName = "default";

const ofCalico = <T>(kind: string, resource: string, singular: string): ResourceType<T> => ({
  ...{ group: calicoGroup, version: "v1", kind, resource, singular, namespaced: false, subresources: [] },
  verbs: ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
});

export const ippools = ofCalico<IPPool>("IPPool", "ippools", "ippool");
export const ipamblocks = ofCalico<IPAMBlock>("IPAMBlock", "ipamblocks", "ipamblock");
export const blockaffinities = ofCalico<BlockAffinity>("BlockAffinity", "blockaffinities", "blockaffinity");
export const ipamhandles = ofCalico<IPAMHandle>("IPAMHandle", "ipamhandles", "ipamhandle");
export const ipamconfigs = ofCalico<IPAMConfig>("IPAMConfig", "ipamconfigs", "ipamconfig");
export const bgppeers = ofCalico<BGPPeer>("BGPPeer", "bgppeers", "bgppeer");
export const bgpconfigurations = ofCalico<BGPConfiguration>("BGPConfiguration", "bgpconfigurations", "bgpconfiguration");
export const bgpfilters = ofCalico<BGPFilter>("BGPFilter", "bgpfilters", "bgpfilter");

export const routedResources: readonly ResourceType[] = [
  ...[ippools, ipamblocks, blockaffinities, ipamhandles, ipamconfigs],
  ...[bgppeers, bgpconfigurations, bgpfilters],
];
