import { describe, expect, test } from "vitest";
import { type ClusterNetwork, readClusterNetwork, writeClusterNetwork } from "./cluster-network.ts";

describe("the cluster's network in a config map", () => {
  test("is read as it was written", () => {
    const network: ClusterNetwork = {
      clusterCidrs: ["10.244.0.0/16", "fd00:10:244::/56"],
      serviceCidrs: ["10.96.0.0/16"],
      podNetwork: { mode: "vxlan", vni: 77, port: 4789, udpPort: 8300, nodeCidrs: ["172.29.0.0/24"] },
      clusterDns: ["10.96.0.10"],
      clusterDomain: "example.test",
      loadBalancerPool: ["192.0.2.10-192.0.2.50", "2001:db8::/120"],
    };
    expect(readClusterNetwork(writeClusterNetwork(network))).toEqual(network);
  });

  test("what is not said has its default", () => {
    expect(readClusterNetwork({})).toMatchObject({
      podNetwork: { mode: "auto", vni: 1, port: 8472 },
      clusterDns: [],
      clusterDomain: "cluster.local",
    });
  });

  test.each([
    [{ podNetwork: "ipip" }, 'podNetwork: expected auto, host-gw, vxlan, udp, routed, none, not "ipip"'],
    [{ vxlanId: "0" }, 'vxlanId: expected a whole number from 1 to 16777215, not "0"'],
    [{ udpPort: "70000" }, 'udpPort: expected a whole number from 1 to 65535, not "70000"'],
    [{ vxlanPort: "x" }, 'vxlanPort: expected a whole number from 1 to 65535, not "x"'],
  ])("refuses %j", (data, message) => {
    expect(() => readClusterNetwork(data)).toThrow(message);
  });
});
