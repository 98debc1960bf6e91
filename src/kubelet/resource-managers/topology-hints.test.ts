import { expect, test } from "vitest";
import { topologyOf } from "./cpu-topology.ts";
import { masksOf } from "./node-mask.ts";
import { preferSockets, socketCpus } from "./socket-alignment.ts";
import { decideTopology, hintsFor, type TopologyHint } from "./topology-hints.ts";

const [node0, node1, both] = [0b01, 0b10, 0b11];
const hint = (nodes: number | undefined, preferred = true): TopologyHint => ({ nodes, preferred });

test("masksOf() lists every set, the smaller ones first", () => {
  expect([...masksOf([2, 0, 1])]).toEqual([0b001, 0b010, 0b100, 0b011, 0b101, 0b110, 0b111]);
});

test("hintsFor() prefers the fewest nodes that could ever hold so many", () => {
  const all = [1, 1, 2, 2].map((nodes) => ({ nodes }));
  expect(hintsFor(2, [0, 1], { all, available: all })).toEqual([hint(node0), hint(node1), hint(both, false)]);
  // One of the first node is taken: two would fit on that node, but not now.
  expect(hintsFor(2, [0, 1], { all, available: all.slice(1) })).toEqual([hint(node1), hint(both, false)]);
  expect(hintsFor(3, [0, 1], { all, available: all })).toEqual([hint(both)]);
  expect(hintsFor(5, [0, 1], { all, available: all })).toEqual([]);
});

test("hintsFor() keeps to the nodes of what must be reused", () => {
  const all = [1, 1, 2, 2].map((nodes) => ({ nodes }));
  expect(hintsFor(2, [0, 1], { all, available: all.slice(1), mustHave: [{ nodes: 1 }] })).toEqual([hint(node0), hint(both, false)]);
});

test("without a policy every pod is admitted, and no place is preferred", () => {
  expect(decideTopology("none", [0, 1], [{ cpu: [] }])).toEqual({ hint: hint(undefined, false), admit: true });
});

test("resources that can be on one node are put there together", () => {
  const providers = [{ cpu: [hint(node0), hint(node1), hint(both, false)] }, { "example.com/nic": [hint(node1), hint(both, false)] }];
  for (const policy of ["best-effort", "restricted", "single-numa-node"] as const)
    expect(decideTopology(policy, [0, 1], providers)).toEqual({ hint: hint(node1), admit: true });
});

test("of equally good nodes the lower one is taken", () => {
  expect(decideTopology("restricted", [0, 1], [{ cpu: [hint(node1), hint(node0)] }, {}]).hint).toEqual(hint(node0));
});

test("resources on different nodes are refused by restricted and single-numa-node alone", () => {
  const providers = [{ cpu: [hint(node0), hint(both, false)] }, { "example.com/nic": [hint(node1), hint(both, false)] }];
  expect(decideTopology("best-effort", [0, 1], providers)).toMatchObject({ admit: true, hint: { preferred: false } });
  expect(decideTopology("restricted", [0, 1], providers).admit).toBe(false);
  expect(decideTopology("single-numa-node", [0, 1], providers).admit).toBe(false);
});

test("what needs two nodes is admitted by restricted, and not by single-numa-node", () => {
  const providers = [{ cpu: [hint(both)] }];
  expect(decideTopology("restricted", [0, 1], providers)).toEqual({ hint: hint(both), admit: true });
  expect(decideTopology("single-numa-node", [0, 1], providers).admit).toBe(false);
});

test("what cannot be had anywhere is refused unless the policy is best-effort", () => {
  expect(decideTopology("best-effort", [0, 1], [{ cpu: [] }])).toEqual({ hint: hint(both, false), admit: true });
  expect(decideTopology("restricted", [0, 1], [{ cpu: [] }]).admit).toBe(false);
});

test("a resource without a preference leaves the choice to the others", () => {
  const providers = [{ "example.com/key": undefined }, { cpu: [hint(node1)] }, {}];
  expect(decideTopology("single-numa-node", [0, 1], providers)).toEqual({ hint: hint(node1), admit: true });
  // Nothing prefers a place: nothing is said about one.
  expect(decideTopology("single-numa-node", [0, 1], [{}])).toEqual({ hint: hint(undefined), admit: true });
});

test("nodes that are nearer to each other go before those with lower ids, where they are to", () => {
  const distances = new Map([
    [0, [10, 40, 20]],
    [1, [40, 10, 30]],
    [2, [20, 30, 10]],
  ]);
  const providers = [{ cpu: [hint(0b011), hint(0b101), hint(0b110), hint(0b111, false)] }];
  expect(decideTopology("restricted", [0, 1, 2], providers).hint).toEqual(hint(0b011));
  expect(decideTopology("restricted", [0, 1, 2], providers, { distances }).hint).toEqual(hint(0b101));
  expect(decideTopology("best-effort", [0, 1, 2], [{ cpu: [hint(0b100), hint(0b001)] }], { distances }).hint).toEqual(hint(0b001));
});

test("by sockets, all nodes of no more sockets than are needed are preferred", () => {
  // Two sockets of two nodes, four CPUs on each.
  const topology = topologyOf(Array.from({ length: 16 }, (_, id) => ({ id, core: id, socket: id >> 3, node: id >> 2 })));
  const all = topology.cpus.map((cpu) => ({ nodes: 1 << cpu.node }));
  const preferred = (count: number): readonly (number | undefined)[] =>
    preferSockets(topology, hintsFor(count, [0, 1, 2, 3], { all, available: all }), count).flatMap((h) => (h.preferred ? [h.nodes] : []));
  expect(preferred(2)).toEqual([0b0001, 0b0010, 0b0100, 0b1000, 0b0011, 0b1100]);
  expect(preferred(6)).toEqual([0b0011, 0b0101, 0b1001, 0b0110, 0b1010, 0b1100]);
  expect(socketCpus(topology, 0b0010)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});
