import { describe, expect, test } from "vitest";
import type { ListedInterface } from "../linux/ip-tool.ts";
import { addressesOf, findUnderlay, localLinks, tunnelMac, tunnelMtu } from "./place.ts";

const interfaces: readonly ListedInterface[] = [
  { ifname: "lo", mtu: 65_536, addr_info: [{ local: "127.0.0.1", prefixlen: 8, scope: "host" }] },
  {
    ifname: "eth0",
    mtu: 1400,
    addr_info: [
      { local: "192.0.2.1", prefixlen: 24, scope: "global" },
      { local: "fd00:0::1", prefixlen: 64, scope: "global" },
      { local: "fe80::1", prefixlen: 64, scope: "link" },
    ],
  },
  { ifname: "pods", addr_info: [{ local: "10.244.0.1", prefixlen: 24, scope: "global" }] },
  { ifname: "down" },
];

describe("where a node is", () => {
  test("findUnderlay() takes the first of the node's addresses that an interface has", () => {
    expect(findUnderlay(interfaces, ["198.51.100.1", "192.0.2.1"])).toEqual({ address: "192.0.2.1", device: "eth0", mtu: 1400 });
    expect(findUnderlay(interfaces, ["198.51.100.1"])).toBeUndefined();
  });

  test("localLinks() are the ranges of the interfaces that lead to nodes, and of no others", () => {
    expect(localLinks(interfaces, ["eth0", "nodes"])).toEqual([
      { device: "eth0", address: "192.0.2.1", prefixLength: 24 },
      { device: "eth0", address: "fd00::1", prefixLength: 64 },
    ]);
  });

  test("addressesOf() are those of one interface, none where it is not there", () => {
    expect(addressesOf(interfaces, "pods")).toEqual(["10.244.0.1"]);
    expect(addressesOf(interfaces, "")).toEqual([]);
  });

  test("tunnelMtu() leaves room for the outer headers", () => {
    expect(tunnelMtu({ address: "192.0.2.1", device: "eth0", mtu: 1500 }, "vxlan")).toBe(1450);
    expect(tunnelMtu({ address: "fd00::1", device: "eth0", mtu: 1500 }, "vxlan")).toBe(1430);
    expect(tunnelMtu({ address: "192.0.2.1", device: "eth0", mtu: 1500 }, "udp")).toBe(1472);
    expect(tunnelMtu({ address: "fd00::1", device: "eth0", mtu: 1500 }, "udp")).toBe(1452);
  });

  test("tunnelMac() is the same each time, another one for another node, and of no manufacturer", () => {
    expect(tunnelMac("n1", 7)).toBe(tunnelMac("n1", 7));
    expect(new Set([tunnelMac("n1", 7), tunnelMac("n2", 7), tunnelMac("n1", 8)]).size).toBe(3);
    expect(Number.parseInt(tunnelMac("n1", 7).slice(0, 2), 16) & 0b11).toBe(0b10);
  });
});
