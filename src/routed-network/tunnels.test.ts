import { describe, expect, it } from "vitest";
import type { Node } from "../api/types/core-v1.ts";
import { poolObject } from "./fixture.ts";
import { poolsOf } from "./pools.ts";
import type { IPPool } from "./resources.ts";
import { ipipCommands, podMtuFor, routedNodeOf, tunnelAnnotations } from "./tunnels.ts";

describe("a node's ends of tunnels", () => {
  const node = (annotations: Record<string, string>): Node => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "a", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z", annotations },
    spec: {},
  });

  it("are published under Calico's names, and read again", () => {
    const annotations = tunnelAnnotations({ vxlan: ["10.244.0.1", "fd00::1"], ipip: ["10.244.0.2"] });
    expect(annotations).toEqual({
      "projectcalico.org/IPv4VXLANTunnelAddr": "10.244.0.1",
      "projectcalico.org/IPv6VXLANTunnelAddr": "fd00::1",
      "projectcalico.org/IPv4IPIPTunnelAddr": "10.244.0.2",
    });
    expect(routedNodeOf(node(annotations as Record<string, string>)).vxlanAddresses).toEqual(["10.244.0.1", "fd00::1"]);
  });

  it("are taken away when there are none, and nonsense is none", () => {
    expect(Object.values(tunnelAnnotations({ vxlan: [], ipip: [] }))).toEqual([null, null, null]);
    expect(routedNodeOf(node({ "projectcalico.org/IPv4VXLANTunnelAddr": "10.0.0.1; reboot" })).vxlanAddresses).toEqual([]);
  });
});

describe("podMtuFor()", () => {
  const underlay = { address: "192.0.2.1", device: "eth0", mtu: 1500 };
  it.each([
    [{}, 1500],
    [{ vxlanMode: "CrossSubnet" }, 1450],
    [{ ipipMode: "Always" }, 1480],
  ] as const)("leaves room for what pools ask for: %j", (spec: Partial<IPPool["spec"]>, mtu) => {
    const { pools } = poolsOf([poolObject("p", { cidr: "10.244.0.0/16", ...spec }), poolObject("q", { cidr: "10.99.0.0/16" })]);
    expect(podMtuFor(underlay, pools)).toBe(mtu);
  });
});

describe("ipipCommands()", () => {
  const wanted = { local: "192.0.2.1", mtu: 1500, addresses: ["10.244.0.2"] };
  const made = ["tunnel add ti mode ipip local 192.0.2.1 ttl 64", "link set dev ti mtu 1480 up", "address replace 10.244.0.2/32 dev ti"];

  it("makes the device, and keeps one that fits", () => {
    expect(ipipCommands(undefined, wanted, "ti")).toEqual(made);
    expect(ipipCommands({ ifname: "ti", address: "192.0.2.1", mtu: 1480 }, wanted, "ti")).toEqual(made.slice(2));
    expect(ipipCommands({ ifname: "ti", address: "192.0.2.1", mtu: 1400 }, wanted, "ti")).toEqual(made.slice(1));
  });

  it("makes one with another address anew, and removes one that is not wanted any more", () => {
    expect(ipipCommands({ ifname: "ti", address: "192.0.2.9", mtu: 1480 }, wanted, "ti")).toEqual(["link delete dev ti", ...made]);
    expect(ipipCommands({ ifname: "ti" }, undefined, "ti")).toEqual(["link delete dev ti"]);
    expect(ipipCommands(undefined, undefined, "ti")).toEqual([]);
  });
});
