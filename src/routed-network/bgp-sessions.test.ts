import { describe, expect, it } from "vitest";
import { type BgpInput, type BgpNode, planBgp } from "./bgp-sessions.ts";
import type { BGPConfiguration, BGPPeer } from "./resources.ts";

const links = [
  { device: "eth0", address: "192.0.2.1", prefixLength: 24 },
  { device: "eth0", address: "fd01::1", prefixLength: 64 },
];
const node = (name: string, address: string, more: Partial<BgpNode> = {}): BgpNode => ({ name, labels: {}, addresses: [address], ...more });
const self = node("self", "192.0.2.1", { labels: { rack: "one" } });

const peer = (name: string, spec: BGPPeer["spec"]): BGPPeer => ({
  ...{
    apiVersion: "crd.projectcalico.org/v1",
    kind: "BGPPeer",
    metadata: { name, uid: name, resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" },
  },
  spec,
});
const configured = (spec: BGPConfiguration["spec"]): BGPConfiguration => ({
  ...{
    apiVersion: "crd.projectcalico.org/v1",
    kind: "BGPConfiguration",
    metadata: { name: "default", uid: "c", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" },
  },
  spec,
});
const plan = (peers: readonly BGPPeer[], more: Partial<BgpInput> = {}) =>
  planBgp({ self, others: [], links, meshed: new Set(), configuration: undefined, peers, ...more });

describe("planBgp()", () => {
  it("without objects is one autonomous system whose nodes speak with each other", () => {
    expect(plan([])).toEqual({
      as: 64_512,
      port: 179,
      mesh: {},
      sessions: [],
      asOfNodes: new Map(),
      portOfNodes: new Map(),
      problems: new Map(),
    });
  });

  it("a node may have a port of its own, at which the others find it", () => {
    const ofNodes = new Map([["a", configured({ listenPort: 1179 })]]);
    const others = [node("a", "192.0.2.7"), node("b", "192.0.2.8")];
    const peers = [peer("all", { peerSelector: "all()", filters: ["f"] })];
    const ofOthers = plan(peers, { others, ofNodes, configuration: configured({ listenPort: 178 }) });
    expect([ofOthers.port, ofOthers.portOfNodes]).toEqual([178, new Map([["a", 1179]])]);
    expect(ofOthers.sessions).toMatchObject([
      { name: "all.a", port: 1179, filters: ["f"] },
      { name: "all.b", port: 178 },
    ]);
    const own = plan([], { others, ofNodes: new Map([["self", configured({ listenPort: 1180 })]]) });
    expect([own.port, own.portOfNodes]).toEqual([
      1180,
      new Map([
        ["a", 179],
        ["b", 179],
      ]),
    ]);
  });

  it("speaks with a router on its link, and with one behind another", () => {
    const { sessions } = plan([
      peer("beside", { peerIP: "192.0.2.254", asNumber: 65_001 }),
      peer("far", { peerIP: "198.51.100.9:1179", asNumber: 65_002, keepOriginalNextHop: true, numAllowedLocalASNumbers: 2 }),
      peer("six", { peerIP: "[fd01::9]:1180", asNumber: 65_003, maxRestartTime: "1m30s", ttlSecurity: 1 }),
    ]);
    expect(sessions).toEqual([
      { name: "beside", family: 4, address: "192.0.2.254", port: 179, as: 65_001, local: "192.0.2.1", isFar: false, keepsNextHop: false },
      {
        ...{ name: "far", family: 4, address: "198.51.100.9", port: 1179, as: 65_002, local: "192.0.2.1", isFar: true },
        ...{ keepsNextHop: true, allowedOwnAs: 2 },
      },
      {
        ...{ name: "six", family: 6, address: "fd01::9", port: 1180, as: 65_003, local: "fd01::1", isFar: false, keepsNextHop: false },
        ...{ restartSeconds: 90, hops: 1 },
      },
    ]);
  });

  it.each([
    [{ node: "self" }, 1],
    [{ node: "other" }, 0],
    [{ nodeSelector: "rack == 'one'" }, 1],
    [{ nodeSelector: "rack == 'two'" }, 0],
    [{}, 1],
  ])("is for the nodes of %j", (which, count) => {
    expect(plan([peer("p", { ...which, peerIP: "192.0.2.254", asNumber: 65_001 })]).sessions).toHaveLength(count);
  });

  it("chooses nodes to speak with, in both directions, and passes on to clients what it is told", () => {
    const reflector = node("reflector", "192.0.2.9", { labels: { reflects: "true" }, reflectorCluster: "1.0.0.1" });
    const peers = [peer("to-reflectors", { nodeSelector: "!has(reflects)", peerSelector: "has(reflects)" })];
    const configuration = configured({ nodeToNodeMeshEnabled: false, asNumber: 65_100 });
    const ofClient = plan(peers, { others: [reflector, node("beside", "192.0.2.8")], configuration });
    expect(ofClient.mesh).toBeUndefined();
    expect(ofClient.sessions).toMatchObject([{ name: "to-reflectors.reflector", address: "192.0.2.9", as: 65_100 }]);
    expect(ofClient.sessions[0]?.isClientOf).toBeUndefined();
    const ofReflector = plan(peers, { self: { ...reflector, addresses: ["192.0.2.1"] }, others: [node("a", "192.0.2.7")], configuration });
    expect(ofReflector.sessions).toMatchObject([{ name: "to-reflectors.a", address: "192.0.2.7", isClientOf: "1.0.0.1" }]);
  });

  it("has one session with an address: the mesh's before a peer's", () => {
    const twice = [peer("a", { peerIP: "192.0.2.9", asNumber: 65_001 }), peer("b", { peerIP: "192.0.2.9", asNumber: 65_002 })];
    expect(plan(twice).sessions).toMatchObject([{ name: "a" }]);
    expect(plan(twice, { meshed: new Set(["192.0.2.9"]) }).sessions).toEqual([]);
  });

  it("knows the autonomous systems of nodes", () => {
    const others = [node("a", "192.0.2.7", { asNumber: 65_007 }), node("b", "192.0.2.8")];
    expect(plan([], { others }).asOfNodes).toEqual(new Map([["a", 65_007]]));
    const differs = plan([], { others, self: { ...self, asNumber: 65_007 } });
    expect(differs).toMatchObject({ as: 65_007, asOfNodes: new Map([["b", 64_512]]) });
  });

  it.each([
    [{ peerIP: "192.0.2", asNumber: 1 }, 'its peerIP "192.0.2" is none'],
    [{ peerIP: "192.0.2.9:99999", asNumber: 1 }, 'its peerIP "192.0.2.9:99999" is none'],
    [{ peerIP: "192.0.2.9" }, "it has no asNumber"],
    [{}, "it has neither a peerIP nor a peerSelector"],
    [{ peerIP: "192.0.2.9", asNumber: 1, maxRestartTime: "soon" }, 'its maxRestartTime "soon" is not between 1s and 4095s'],
    [{ peerIP: "192.0.2.9", asNumber: 1, nodeSelector: "rack ==" }, "expected"],
  ])("leaves out the peer %j, and says why", (spec, problem) => {
    const { sessions, problems } = plan([peer("odd", spec), peer("well", { peerIP: "192.0.2.10", asNumber: 1 })]);
    expect(sessions.map(({ name }) => name)).toEqual(["well"]);
    expect(problems.get("odd")).toContain(problem);
  });
});
