import { describe, expect, it } from "vitest";
import { assignNext, newBlock } from "./block.ts";
import { poolObject } from "./fixture.ts";
import { planRouted, type RoutedInput, type RoutedNode } from "./plan.ts";
import { poolsOf } from "./pools.ts";
import type { IPPool } from "./resources.ts";

const vtep = (address: string, last: string) => ({ mac: `02:00:00:00:00:${last}`, address, vni: 7 });
const node = (name: string, addresses: readonly string[], more: Partial<RoutedNode> = {}): RoutedNode => ({
  ...{ name, podCidrs: [], addresses, vxlanAddresses: [], ...more },
});

const self = node("self", ["192.0.2.1", "fd01::1"], { vtep: vtep("192.0.2.1", "01") });
const near = node("near", ["192.0.2.7", "fd01::7"], { vtep: vtep("192.0.2.7", "07"), vxlanAddresses: ["10.244.1.9"] });
const far = node("far", ["198.51.100.9"], { vtep: vtep("198.51.100.9", "09"), vxlanAddresses: ["10.244.2.9"] });
const links = [
  { device: "eth0", address: "192.0.2.1", prefixLength: 24 },
  { device: "eth0", address: "fd01::1", prefixLength: 64 },
];
const blocks = [
  newBlock("10.244.0.0/26", "self"),
  newBlock("10.244.1.0/26", "near"),
  newBlock("10.244.2.0/26", "far"),
  newBlock("fd00::/122", "self"),
  newBlock("fd00::40/122", "near"),
];

function plan(spec: Partial<IPPool["spec"]>, more: Partial<RoutedInput> = {}) {
  const { pools } = poolsOf([poolObject("four", { cidr: "10.244.0.0/16", ...spec }), poolObject("six", { cidr: "fd00::/64" })]);
  return planRouted({ ...{ self, peers: [near, far], links, pools, blocks, vni: 7, devices: { vxlan: "vx", ipip: "ipip" } }, ...more });
}

describe("planRouted()", () => {
  it("speaks BGP with nodes on the same link, and says which are out of reach", () => {
    const { neighbours, announced, accepted, routes, problems, usesVxlan } = plan({});
    expect(neighbours).toEqual([
      { name: "near", family: 4, address: "192.0.2.7", local: "192.0.2.1" },
      { name: "near", family: 6, address: "fd01::7", local: "fd01::1" },
    ]);
    expect(announced).toEqual(["10.244.0.0/26", "fd00::/122"]);
    expect(accepted).toEqual([
      { cidr: "10.244.0.0/16", blockSize: 26 },
      { cidr: "fd00::/64", blockSize: 122 },
    ]);
    expect(routes).toEqual([]);
    expect(usesVxlan).toBe(false);
    expect(problems.get("far")).toBe("none of its addresses is on a link of this node, as the IP pool four needs it without encapsulation");
  });

  it("CrossSubnet: tunnels to nodes behind a router, BGP with neighbours", () => {
    const { neighbours, routes, tunnels, usesVxlan, directAddresses } = plan({ vxlanMode: "CrossSubnet" });
    expect(neighbours).toHaveLength(2);
    expect(routes).toEqual([{ destination: "10.244.2.0/26", gateway: "10.244.2.9", device: "vx", onlink: true }]);
    expect(tunnels).toEqual([{ mac: "02:00:00:00:00:09", remote: "198.51.100.9", gateways: ["10.244.2.9"] }]);
    expect(usesVxlan).toBe(true);
    expect(directAddresses).toEqual(["192.0.2.7", "fd01::7"]);
  });

  it("Always: tunnels to neighbours too, and tells them nothing of the pool", () => {
    const { neighbours, announced, accepted, routes, tunnels } = plan({ vxlanMode: "Always" });
    expect(neighbours.map(({ family }) => family)).toEqual([6]);
    expect(announced).toEqual(["fd00::/122"]);
    expect(accepted.map(({ cidr }) => cidr)).toEqual(["fd00::/64"]);
    expect(routes.map(({ destination, gateway }) => `${destination} ${gateway}`)).toEqual([
      "10.244.1.0/26 10.244.1.9",
      "10.244.2.0/26 10.244.2.9",
    ]);
    expect(tunnels).toHaveLength(2);
  });

  it("IPIP: routes by the other node's address", () => {
    const { routes, usesIpip, usesVxlan } = plan({ ipipMode: "CrossSubnet" });
    expect(routes).toEqual([{ destination: "10.244.2.0/26", gateway: "198.51.100.9", device: "ipip", onlink: true }]);
    expect([usesIpip, usesVxlan]).toEqual([true, false]);
  });

  it("waits for a node that has no address in the VXLAN yet, and wants one itself", () => {
    const { routes, usesVxlan, problems } = plan({ vxlanMode: "CrossSubnet" }, { peers: [{ ...far, vxlanAddresses: [] }] });
    expect(routes).toEqual([]);
    expect(usesVxlan).toBe(true);
    expect(problems.get("far")).toBe("node far has no IPv4 address in the VXLAN yet");
  });

  it("does not tell of pools that are not to be exported", () => {
    expect(plan({ disableBGPExport: true }).announced).toEqual(["fd00::/122"]);
  });

  it("has routes of their own for borrowed addresses", () => {
    const attributes = (name: string) => ({ handle_id: `h-${name}`, secondary: { node: name } });
    const shared = assignNext(newBlock("10.244.2.0/26", "far"), attributes("self"));
    const both = shared && assignNext(shared.block, attributes("far"));
    const own = assignNext(newBlock("10.244.0.0/26", "self"), attributes("far"));
    if (!both || !own) throw new Error("no address");
    const { announced, routes } = plan({ vxlanMode: "CrossSubnet" }, { blocks: [both.block, own.block] });
    expect(announced).toEqual(["10.244.0.0/26", "10.244.2.0/32"]);
    expect(routes.map(({ destination }) => destination)).toEqual(["10.244.0.0/32", "10.244.2.0/26"]);
  });

  it("leaves out blocks of no pool and of no node", () => {
    const { affinity: _none, ...orphan } = newBlock("10.244.3.0/26", "near");
    const { blocks: own, routes } = plan(
      { vxlanMode: "Always" },
      { blocks: [newBlock("10.9.0.0/26", "self"), newBlock("10.9.1.0/26", "far"), orphan] },
    );
    expect([own, routes]).toEqual([[], []]);
  });

  describe("nodes within a machine", () => {
    const inner = node("inner", ["172.29.0.2"], { behind: "near" });

    it("are reached by the machine, as the machine is", () => {
      const extra = [...blocks, newBlock("10.244.3.0/26", "inner")];
      expect(plan({}, { peers: [near, inner], blocks: extra }).routes).toEqual([
        { destination: "10.244.3.0/26", gateway: "192.0.2.7", device: "eth0", onlink: false },
      ]);
      const tunnelled = plan({ vxlanMode: "Always" }, { peers: [near, inner], blocks: extra });
      expect(tunnelled.routes.find(({ destination }) => destination === "10.244.3.0/26")?.gateway).toBe("10.244.1.9");
    });

    it("speak BGP with the machine and with each other, and reach other machines by it", () => {
      const machine = node("machine", ["192.0.2.1", "172.29.0.1"]);
      const sibling = node("sibling", ["172.29.0.3"], { behind: "machine" });
      const { neighbours, routes } = plan(
        {},
        {
          self: node("me", ["172.29.0.2"], { behind: "machine" }),
          peers: [machine, sibling, near],
          links: [{ device: "eth0", address: "172.29.0.2", prefixLength: 24 }],
          blocks: [newBlock("10.244.1.0/26", "near"), newBlock("10.244.4.0/26", "sibling")],
        },
      );
      expect(neighbours.map(({ name, address }) => `${name} ${address}`)).toEqual(["machine 172.29.0.1", "sibling 172.29.0.3"]);
      expect(routes).toEqual([{ destination: "10.244.1.0/26", gateway: "172.29.0.1", device: "eth0", onlink: false }]);
    });
  });
});
