// What the rules take from the node: its addresses, where node ports answer, and how its pods' packets are known.
import { describe, expect, it } from "vitest";
import type { Node } from "../api/types/core-v1.ts";
import { localMatch } from "./detect-local.ts";
import { nodePortAddresses } from "./node-port-addresses.ts";
import { isEligible, viewOfNode } from "./node-view.ts";

const node = {
  metadata: { name: "n", labels: { "topology.kubernetes.io/zone": "a" } },
  spec: { podCIDRs: ["10.244.3.0/24", "fd44:3::/64"] },
  status: {
    addresses: [
      { type: "Hostname", address: "n" },
      { type: "ExternalIP", address: "203.0.113.5" },
      { type: "InternalIP", address: "192.168.7.1" },
      { type: "InternalIP", address: "192.168.8.1" },
      { type: "InternalIP", address: "FD07::0001" },
    ],
  },
} as unknown as Node;

describe("viewOfNode()", () => {
  it("takes the first internal address of each family, before external ones", () => {
    expect(viewOfNode(node, "0.0.0.0")).toEqual({
      zone: "a",
      podCidrs: ["10.244.3.0/24", "fd44:3::/64"],
      addresses: { IPv4: "192.168.7.1", IPv6: "fd07::1" },
    });
  });

  it("takes the bound address where it means one, and nothing from a node that is not there", () => {
    expect(viewOfNode(node, "192.168.9.9").addresses).toEqual({ IPv4: "192.168.9.9", IPv6: "fd07::1" });
    expect(viewOfNode(undefined, "::")).toEqual({ zone: undefined, podCidrs: [], addresses: {} });
  });
});

describe("isEligible()", () => {
  it("is false for a node that is going, or not there", () => {
    expect(isEligible(node)).toBe(true);
    expect(isEligible(undefined)).toBe(false);
    expect(isEligible({ ...node, metadata: { ...node.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } } as Node)).toBe(false);
    const taints = [{ key: "ToBeDeletedByClusterAutoscaler", effect: "NoSchedule" }];
    expect(isEligible({ ...node, spec: { ...node.spec, taints } } as Node)).toBe(false);
  });
});

describe("nodePortAddresses()", () => {
  const view = viewOfNode(node, "0.0.0.0");
  const local = ["127.0.0.1", "192.168.7.1", "192.168.8.1", "10.244.3.1", "fd07::1", "fd07::2", "::1"];
  it.each([
    [["primary"], "IPv4", ["192.168.7.1"]],
    [["primary"], "IPv6", ["fd07::1"]],
    [[], "IPv4", "all"],
    [["0.0.0.0/0"], "IPv4", "all"],
    [["192.168.0.0/16"], "IPv4", ["192.168.7.1", "192.168.8.1"]],
    // A range of one family says nothing about the other.
    [["192.168.0.0/16"], "IPv6", "all"],
    [["fd07::2/128", "127.0.0.0/8"], "IPv6", ["fd07::2"]],
    [["127.0.0.0/8"], "IPv4", []],
  ] as const)("%j in %s", (wanted, family, expected) => {
    expect(nodePortAddresses({ wanted, node: view, local }, family)).toEqual(expected);
  });

  it("has none as long as the node's address is not known", () => {
    expect(nodePortAddresses({ wanted: ["primary"], node: viewOfNode(undefined, "0.0.0.0"), local }, "IPv4")).toEqual([]);
  });
});

describe("localMatch()", () => {
  const podCidrs = ["10.244.3.0/24", "fd44:3::/64"];
  it.each([
    [{ mode: "ClusterCIDR", clusterCidrs: ["10.244.9.9/16", "fd44::/16"] }, "IPv4", "ip saddr != 10.244.0.0/16"],
    [{ mode: "ClusterCIDR", clusterCidrs: ["10.244.0.0/16", "fd44::/16"] }, "IPv6", "ip6 saddr != fd44::/16"],
    [{ mode: "ClusterCIDR", clusterCidrs: ["10.244.0.0/16"] }, "IPv6", undefined],
    [{ mode: "NodeCIDR" }, "IPv4", "ip saddr != 10.244.3.0/24"],
    [{ mode: "BridgeInterface", interface: "cni0" }, "IPv4", 'iifname != "cni0"'],
    [{ mode: "InterfaceNamePrefix", prefix: "veth" }, "IPv6", 'iifname != "veth*"'],
  ] as const)("%j in %s", (detect, family, expected) => {
    const match = localMatch(detect, family, podCidrs);
    expect(match?.notFromPods).toBe(expected);
    expect(match?.fromPods).toBe(expected?.replace("!= ", ""));
  });
});
