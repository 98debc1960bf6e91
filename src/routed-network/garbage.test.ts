import { describe, expect, it } from "vitest";
import type { Pod } from "../api/types/core-v1.ts";
import { assignNext, newBlock, releasePlaces } from "./block.ts";
import { blockObject } from "./fixture.ts";
import { type GarbageInput, leakGraceMs, nodeGraceMs, planGarbage } from "./garbage.ts";
import type { BlockAffinity, IPAMBlockSpec, IPAMHandle } from "./resources.ts";

const secondary = (node: string, pod: string) => ({ node, namespace: "default", pod });

function filled(cidr: string, owner: string, ...pods: readonly (readonly [string, string])[]): IPAMBlockSpec {
  let block = newBlock(cidr, owner);
  for (const [node, pod] of pods) block = assignNext(block, { handle_id: `h-${pod}`, secondary: secondary(node, pod) })?.block ?? block;
  return block;
}

const metadata = (name: string) => ({ name, uid: `uid-${name}`, resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" });
const handle = (handleID: string): IPAMHandle => ({
  ...{ apiVersion: "crd.projectcalico.org/v1", kind: "IPAMHandle", metadata: metadata(handleID), spec: { handleID, block: {} } },
});
const affinity = (node: string, cidr: string): BlockAffinity => ({
  ...{ apiVersion: "crd.projectcalico.org/v1", kind: "BlockAffinity", metadata: metadata(`${node}-${cidr.replaceAll(/[./]/g, "-")}`) },
  spec: { node, cidr, state: "confirmed", deleted: "false" },
});
const pod = (name: string, nodeName: string, ...ips: readonly string[]): Pod =>
  ({
    metadata: { ...metadata(name), namespace: "default" },
    spec: { nodeName },
    status: { podIPs: ips.map((ip) => ({ ip })) },
  }) as unknown as Pod; // as far as it is looked at

/** Looks at the same things now and once more after a while. */
function plans(things: Partial<GarbageInput> & { readonly pods?: readonly Pod[] }, ...afterMs: readonly number[]) {
  const { pods = [], ...more } = things;
  let suspects: GarbageInput["suspects"] = new Map();
  return [0, ...afterMs].map((nowMs) => {
    const plan = planGarbage({
      ...{ nodes: new Set(["a", "b"]), blocks: [], affinities: [], handles: [], ...more, suspects, nowMs },
      podOf: (key) => pods.find(({ metadata: m }) => `${m.namespace}/${m.name}` === key),
    });
    suspects = plan.suspects;
    return plan;
  });
}

describe("planGarbage()", () => {
  const block = blockObject(filled("10.0.0.0/29", "a", ["a", "one"], ["a", "two"]));

  it("leaves addresses of pods alone, and of pods that have not reported theirs yet", () => {
    const pods = [pod("one", "a", "10.0.0.0"), pod("two", "a")];
    const [, later] = plans({ blocks: [block], pods, affinities: [affinity("a", "10.0.0.0/29")] }, leakGraceMs);
    expect(later).toMatchObject({ blocks: [], affinities: [], handles: [] });
  });

  it.each([
    ["is not there", []],
    ["has another address", [pod("one", "a", "10.0.0.7")]],
    ["is on another node", [pod("one", "b", "10.0.0.0")]],
    ["has ended", [{ ...pod("one", "a", "10.0.0.0"), status: { phase: "Succeeded", podIPs: [{ ip: "10.0.0.0" }] } }]],
  ] as const)("gives back the address of a pod that %s, after a while", (_what, pods) => {
    const all = [...(pods as readonly Pod[]), pod("two", "a", "10.0.0.1")];
    const [now, soon, later] = plans({ blocks: [block], pods: all }, leakGraceMs - 1, leakGraceMs);
    expect(now?.blocks).toEqual([]);
    expect(soon?.blocks).toEqual([]);
    expect(later?.blocks).toEqual([{ block, release: [0], orphan: false, remove: false }]);
  });

  it("gives back everything of a node that is gone and stays so", () => {
    const pods = [pod("one", "gone", "10.0.0.8"), pod("three", "b", "10.0.0.9")];
    const shared = blockObject(filled("10.0.0.8/29", "gone", ["gone", "one"], ["b", "three"]));
    const alone = blockObject(filled("10.0.0.16/29", "gone", ["gone", "four"]));
    const affinities = [affinity("gone", "10.0.0.8/29"), affinity("gone", "10.0.0.16/29"), affinity("a", "10.0.0.0/29")];
    const things = { pods: [...pods, pod("one", "a", "10.0.0.0"), pod("two", "a")], blocks: [block, shared, alone], affinities };
    const [now, later] = plans(things, nodeGraceMs);
    expect(now).toMatchObject({ blocks: [], affinities: [] });
    expect(later?.blocks).toEqual([
      { block: alone, release: [0], orphan: true, remove: true },
      { block: shared, release: [0], orphan: true, remove: false },
    ]);
    expect(later?.affinities.map(({ metadata: m }) => m.name)).toEqual(["gone-10-0-0-8-29", "gone-10-0-0-16-29"]);
  });

  it("forgets that a node was gone when it comes back", () => {
    const input = { podOf: () => undefined, blocks: [block], affinities: [], handles: [] };
    const { suspects } = planGarbage({ ...input, nodes: new Set(), suspects: new Map(), nowMs: 0 });
    const back = planGarbage({ ...input, nodes: new Set(["a"]), suspects, nowMs: nodeGraceMs - 1 });
    const again = planGarbage({ ...input, nodes: new Set(), suspects: back.suspects, nowMs: nodeGraceMs });
    expect(again.blocks).toEqual([]);
  });

  it("removes blocks that are nobody's and empty, and a node's empty ones but one of each family", () => {
    const { affinity: _none, ...orphaned } = releasePlaces(filled("10.0.0.24/29", "a", ["a", "x"]), [0]);
    const empty = ["10.0.0.32/29", "10.0.0.40/29", "fd00::/125"].map((cidr) => blockObject(newBlock(cidr, "a")));
    const [now, later] = plans({ blocks: [blockObject(orphaned), ...empty] }, leakGraceMs);
    const names = (plan: typeof now) => plan?.blocks.filter(({ remove }) => remove).map(({ block: b }) => b.spec.cidr);
    expect(names(now)).toEqual(["10.0.0.24/29"]);
    expect(names(later)).toEqual(["10.0.0.24/29", "10.0.0.40/29"]);
  });

  it("removes what a crash has left between two writes", () => {
    const things = { blocks: [block], pods: [pod("one", "a"), pod("two", "a")], handles: [handle("h-one"), handle("h-lost")] };
    const affinities = [affinity("a", "10.0.0.0/29"), affinity("b", "10.0.0.64/29")];
    const [now, later] = plans({ ...things, affinities }, leakGraceMs);
    expect(now).toMatchObject({ affinities: [], handles: [] });
    expect(later?.handles.map(({ spec }) => spec.handleID)).toEqual(["h-lost"]);
    expect(later?.affinities.map(({ spec }) => spec.node)).toEqual(["b"]);
  });

  it("leaves alone what is a node's itself, as its end of a tunnel", () => {
    const tunnel = assignNext(newBlock("10.0.0.0/29", "a"), {
      handle_id: "vxlan-tunnel-addr-a",
      secondary: { node: "a", type: "vxlanTunnelAddress" },
    });
    const [, later] = plans({ blocks: tunnel ? [blockObject(tunnel.block)] : [] }, leakGraceMs);
    expect(tunnel).toBeDefined();
    expect(later?.blocks).toEqual([]);
  });
});
