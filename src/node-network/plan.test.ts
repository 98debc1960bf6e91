import { describe, expect, test } from "vitest";
import type { PodNetworkMode } from "./cluster-network.ts";
import type { NodePlace } from "./node-annotations.ts";
import { type LocalLink, planNetwork } from "./plan.ts";

const links: readonly LocalLink[] = [
  { device: "eth0", address: "192.0.2.1", prefixLength: 24 },
  { device: "eth0", address: "fd00::1", prefixLength: 64 },
  { device: "nodes", address: "172.29.0.1", prefixLength: 24 },
];
const self: NodePlace = { name: "self", podCidrs: ["10.244.0.0/24"], addresses: ["192.0.2.1"] };
const vtep = (address: string, last: string) => ({ mac: `02:00:00:00:00:${last}`, address, vni: 7 });

const udp = { device: "tun", address: "192.0.2.1", isOnly: false };

function plan(peers: readonly NodePlace[], mode: PodNetworkMode = "auto", own: NodePlace = self, isOnly = mode === "udp") {
  const network = { mode, vni: 7, port: 8472 };
  return planNetwork({
    self: own,
    peers,
    links,
    network,
    clusterCidrs: ["10.244.0.0/16", "fd00:10::/56"],
    device: "vx",
    udp: { ...udp, isOnly },
  });
}

const near: NodePlace = { name: "near", podCidrs: ["10.244.1.0/24"], addresses: ["192.0.2.7"], vtep: vtep("192.0.2.7", "01") };
const far: NodePlace = { name: "far", podCidrs: ["10.244.2.0/24"], addresses: ["198.51.100.9"], vtep: vtep("198.51.100.9", "02") };

describe("planNetwork()", () => {
  test("makes a neighbour the router to its pods, and answers it without translation", () => {
    expect(plan([near])).toEqual({
      routes: [{ destination: "10.244.1.0/24", gateway: "192.0.2.7", device: "eth0", onlink: false }],
      tunnels: [],
      tunnelAddresses: [],
      udpAddresses: [],
      directAddresses: ["192.0.2.7"],
      problems: new Map(),
    });
  });

  test("takes the address that is on a link of this node, whichever it is", () => {
    const beside = { ...far, addresses: ["198.51.100.9", "172.29.0.3"] };
    expect(plan([beside]).routes).toEqual([{ destination: "10.244.2.0/24", gateway: "172.29.0.3", device: "nodes", onlink: false }]);
  });

  test("sends what is for a node elsewhere through the VXLAN", () => {
    expect(plan([near, far])).toMatchObject({
      routes: [
        { destination: "10.244.1.0/24", device: "eth0" },
        { destination: "10.244.2.0/24", gateway: "10.244.2.0", device: "vx", onlink: true },
      ],
      tunnels: [{ mac: "02:00:00:00:00:02", remote: "198.51.100.9", gateways: ["10.244.2.0"] }],
      tunnelAddresses: ["10.244.0.0"],
      directAddresses: ["192.0.2.7"],
    });
  });

  test("vxlan: neighbours too", () => {
    const { routes, directAddresses } = plan([near], "vxlan");
    expect(routes).toEqual([{ destination: "10.244.1.0/24", gateway: "10.244.1.0", device: "vx", onlink: true }]);
    expect(directAddresses).toEqual([]);
  });

  test("vxlan: has its address from the start", () => {
    expect(plan([], "vxlan").tunnelAddresses).toEqual(["10.244.0.0"]);
    expect(plan([]).tunnelAddresses).toEqual([]);
  });

  test("host-gw: says which nodes are out of reach", () => {
    const { routes, tunnels, problems } = plan([near, far], "host-gw");
    expect(routes.map((r) => r.destination)).toEqual(["10.244.1.0/24"]);
    expect(tunnels).toEqual([]);
    expect([...problems]).toEqual([["far", "none of its addresses (198.51.100.9) is on a link of this node, as host-gw needs it"]]);
  });

  test("decides for each family by itself: IPv6 pods of a neighbour without IPv6 go through the VXLAN", () => {
    const own = { ...self, podCidrs: ["10.244.0.0/24", "fd00:10::/64"] };
    const dual = { ...near, podCidrs: ["10.244.1.0/24", "fd00:10:0:1::/64"] };
    expect(plan([dual], "auto", own)).toMatchObject({
      routes: [
        { destination: "10.244.1.0/24", gateway: "192.0.2.7" },
        { destination: "fd00:10:0:1::/64", gateway: "fd00:10:0:1::", device: "vx", onlink: true },
      ],
      tunnels: [{ gateways: ["fd00:10:0:1::"] }],
      tunnelAddresses: ["10.244.0.0", "fd00:10::"],
    });
    expect(plan([{ ...dual, addresses: ["192.0.2.7", "fd00::7"] }], "auto", own).routes[1]).toEqual({
      ...{ destination: "fd00:10:0:1::/64", gateway: "fd00::7", device: "eth0", onlink: false },
    });
  });

  describe("nodes within a machine", () => {
    const inside: NodePlace = { ...far, name: "inside", podCidrs: ["10.244.3.0/24"], addresses: ["172.31.0.2"], behind: "far" };
    const through = { gateway: "10.244.2.0", device: "vx", onlink: true };

    test("are reached by the machine, as the machine is", () => {
      expect(plan([inside, far])).toMatchObject({
        routes: [
          { destination: "10.244.3.0/24", ...through },
          { destination: "10.244.2.0/24", ...through },
        ],
        tunnels: [{ remote: "198.51.100.9", gateways: ["10.244.2.0"] }],
        problems: new Map(),
      });
      expect(plan([near, { ...inside, behind: "near" }], "host-gw").routes[1]).toEqual({
        ...{ destination: "10.244.3.0/24", gateway: "192.0.2.7", device: "eth0", onlink: false },
      });
    });

    test("reach the others by it, and their neighbours directly", () => {
      const own = { ...self, behind: "host" };
      const host = { ...near, name: "host", addresses: ["192.0.2.50", "172.29.0.9"] };
      const sibling = { ...near, name: "sibling", podCidrs: ["10.244.4.0/24"], addresses: ["172.29.0.3"], behind: "host" };
      expect(plan([host, sibling, far, inside], "auto", own)).toMatchObject({
        routes: [
          { destination: "10.244.1.0/24", gateway: "192.0.2.50" },
          { destination: "10.244.4.0/24", gateway: "172.29.0.3" },
          { destination: "10.244.2.0/24", gateway: "192.0.2.50" },
          { destination: "10.244.3.0/24", gateway: "192.0.2.50" },
        ],
        tunnels: [],
      });
    });

    describe("and have addresses in the nodes' range", () => {
      const network = { mode: "auto", vni: 7, port: 8472, nodeCidrs: ["172.30.0.0/24", "fd00:30::/64"] } as const;
      const inner = { ...inside, addresses: ["172.30.0.2"] };
      const routesTo = (peers: readonly NodePlace[], more: Partial<Parameters<typeof planNetwork>[0]> = {}) =>
        planNetwork({ self, peers, links, network, clusterCidrs: ["10.244.0.0/16"], device: "vx", udp, ...more }).routes.filter(
          ({ destination }) => !destination.startsWith("10.244."),
        );

      test("are reached by their machine themselves, as its pods are", () => {
        expect(routesTo([far, inner])).toEqual([{ destination: "172.30.0.2/32", gateway: "10.244.2.0", device: "vx", onlink: true }]);
        const beside = { ...inner, behind: "near" };
        expect(routesTo([near, beside])).toEqual([{ destination: "172.30.0.2/32", gateway: "192.0.2.7", device: "eth0", onlink: false }]);
      });

      test("but not at addresses elsewhere, at those of an older node, or in a network of this machine", () => {
        expect(routesTo([far, { ...inner, addresses: ["8.8.8.8", "172.30.1.2", "10.244.0.1"] }])).toEqual([]);
        expect(routesTo([far, near, inner, { ...inner, name: "thief", behind: "near" }])).toMatchObject([{ gateway: "10.244.2.0" }]);
        const ownRanges = [{ device: "other", address: "172.30.0.1", prefixLength: 24 }];
        expect(routesTo([far, inner], { ownRanges })).toEqual([]);
      });

      test("and not from within this machine", () => {
        expect(routesTo([{ ...inner, behind: "self" }])).toEqual([]);
        expect(routesTo([far, inner], { self: { ...self, behind: "host" } })).toEqual([]);
      });
    });

    test("are out of reach where the machine is", () => {
      expect(plan([inside]).problems.get("inside")).toBe("the way to it is by node far, which is not reached");
    });
  });

  test("leaves out nodes that have no pod range yet, and those that publish no end of this VXLAN", () => {
    const { vtep: _, ...silent } = far;
    expect(plan([{ ...near, podCidrs: [] }]).routes).toEqual([]);
    expect(plan([silent])).toMatchObject({ routes: [], problems: new Map([["far", "it takes no part in the VXLAN 7"]]) });
    expect(plan([{ ...far, vtep: { ...vtep("198.51.100.9", "02"), vni: 8 } }]).routes).toEqual([]);
  });

  test.each([
    ["this node's", ["10.244.0.128/25"], "its pod range 10.244.0.128/25 overlaps with that of node self"],
    ["an older node's", ["10.244.1.0/24"], "its pod range 10.244.1.0/24 overlaps with that of node near"],
    ["one outside of the cluster", ["0.0.0.0/0"], "its pod range 0.0.0.0/0 is not in the cluster's (10.244.0.0/16, fd00:10::/56)"],
    ["nonsense", ["10.244.9.0"], "its pod range 10.244.9.0 is none"],
  ])("refuses a range that is %s", (_what, podCidrs, problem) => {
    const thief = { ...near, name: "thief", podCidrs };
    const { routes, problems } = plan([near, thief]);
    expect(routes).toHaveLength(1);
    expect(problems.get("thief")).toBe(problem);
  });

  test("never takes this node for another one: an address that is its own is no gateway", () => {
    expect(plan([{ ...far, addresses: ["192.0.2.1", "198.51.100.9"] }]).routes[0]?.device).toBe("vx");
  });
});

describe("planNetwork() where a kernel has no VXLAN", () => {
  const lacking: NodePlace = {
    name: "lacking",
    podCidrs: ["10.244.3.0/24", "fd00:10:0:3::/64"],
    addresses: ["203.0.113.5"],
    udp: "203.0.113.5",
  };

  test("wraps packets to that node in plain UDP, and to the others as before", () => {
    expect(plan([near, far, lacking])).toMatchObject({
      routes: [
        { destination: "10.244.1.0/24", device: "eth0" },
        { destination: "10.244.2.0/24", device: "vx" },
        { destination: "10.244.3.0/24", gateway: "10.244.3.0", device: "tun", onlink: true, remote: "203.0.113.5" },
        { destination: "fd00:10:0:3::/64", gateway: "fd00:10:0:3::", device: "tun", onlink: true, remote: "203.0.113.5" },
      ],
      tunnels: [{ remote: "198.51.100.9", gateways: ["10.244.2.0"] }],
      tunnelAddresses: ["10.244.0.0"],
      udpAddresses: ["10.244.0.0"],
      problems: new Map(),
    });
  });

  test("that node wraps everything in UDP, whatever the others have, but for its neighbours", () => {
    const { routes, tunnels, tunnelAddresses, udpAddresses } = plan([near, far], "auto", self, true);
    expect(routes).toEqual([
      { destination: "10.244.1.0/24", gateway: "192.0.2.7", device: "eth0", onlink: false },
      { destination: "10.244.2.0/24", gateway: "10.244.2.0", device: "tun", onlink: true, remote: "198.51.100.9" },
    ]);
    expect([tunnels, tunnelAddresses, udpAddresses]).toEqual([[], [], ["10.244.0.0"]]);
  });

  test("udp: neighbours too, and the device is there from the start", () => {
    expect(plan([near], "udp").routes).toMatchObject([{ destination: "10.244.1.0/24", device: "tun", remote: "192.0.2.7" }]);
    expect(plan([], "udp").udpAddresses).toEqual(["10.244.0.0"]);
  });

  test("nodes within such a machine are reached by it", () => {
    const inner: NodePlace = { name: "inner", podCidrs: ["10.244.4.0/24"], addresses: ["172.30.0.2"], behind: "lacking" };
    expect(plan([lacking, inner]).routes.at(-1)).toMatchObject({ destination: "10.244.4.0/24", device: "tun", remote: "203.0.113.5" });
  });

  const { udp: _none, ...unknown } = lacking;
  test.each([
    ["host-gw", unknown, false, /as host-gw needs it/],
    ["auto", { ...lacking, udp: "fd99::5" }, false, /takes packets in UDP at fd99::5, this node sends them from 192.0.2.1/],
    ["auto", unknown, true, /it takes no packets in UDP/],
    ["auto", { ...far, vtep: { ...vtep("198.51.100.9", "02"), vni: 8 } }, false, /it takes no part in the VXLAN 7/],
  ] as const)("%s: says why a node is not reached (case %#)", (mode, peer, isOnly, problem) => {
    const { routes, problems } = plan([peer], mode, self, isOnly);
    expect([routes, problems.get(peer.name)]).toEqual([[], expect.stringMatching(problem)]);
  });
});
