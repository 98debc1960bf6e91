import { describe, expect, it } from "vitest";
import { conflict } from "../api/meta/status-error.ts";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { createClient } from "../client/create-client.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { allocationsOf } from "./block.ts";
import { poolObject } from "./fixture.ts";
import { type AddressWish, NodeIpam } from "./node-ipam.ts";
import { poolsOf } from "./pools.ts";
import { blockaffinities, type IPAMConfig, type IPPool, ipamblocks, ipamhandles, routedResources } from "./resources.ts";

function setUp(pools: readonly IPPool[], config?: IPAMConfig["spec"]) {
  const clock = new VirtualClock();
  const api = createFakeApi(clock, routedResources);
  const client = createClient(api);
  const node = (name: string, labels = {}) => {
    const informers = createInformerFactory(client, { clock, logger: silentLogger, deepFreeze: true });
    const ipam = new NodeIpam(name, {
      ...{ client, clock, blocks: informers.informer(ipamblocks) },
      ...{ pools: () => poolsOf(pools).pools, labels: () => labels, config: () => config },
    });
    informers.start();
    return ipam;
  };
  /** Time passes until the work is done. */
  const settled = async <T>(work: Promise<T>): Promise<T> => {
    let isDone = false;
    const end = () => void (isDone = true);
    work.then(end, end);
    while (!isDone) await clock.advance(10);
    return work;
  };
  const blocks = async () => (await client.list(ipamblocks)).items;
  const handles = async () => (await client.list(ipamhandles)).items.map(({ spec }) => spec);
  return { clock, api, client, node, settled, blocks, handles };
}

const wish = (handleId: string, more: Partial<AddressWish> = {}): AddressWish => ({
  ...{ handleId, secondary: { pod: handleId, namespace: "default" }, use: "pod", families: [4], ...more },
});

const small = poolObject("small", { cidr: "10.0.0.0/29", blockSize: 30 });

describe("NodeIpam", () => {
  it("claims a block for the node and gives out its addresses", async () => {
    const { node, settled, blocks, handles, client } = setUp([poolObject("p", { cidr: "10.0.0.0/16" })]);
    const ipam = node("a");
    const [first] = await settled(ipam.assign(wish("One")));
    const [second] = await settled(ipam.assign(wish("two")));
    expect(first?.pool).toBe("p");
    expect(second?.address).not.toBe(first?.address);
    const [block, ...others] = await blocks();
    expect(others).toEqual([]);
    expect(block?.spec.affinity).toBe("host:a");
    expect(block && allocationsOf(block.spec)).toMatchObject([
      { address: first?.address, handleId: "One", secondary: { node: "a", pod: "One", namespace: "default" } },
      { address: second?.address, handleId: "two" },
    ]);
    expect((await client.list(blockaffinities)).items.map(({ metadata, spec }) => [metadata.name, spec])).toEqual([
      [`a-${block?.metadata.name}`, { cidr: block?.spec.cidr, node: "a", state: "confirmed", type: "host", deleted: "false" }],
    ]);
    const cidr = block?.spec.cidr ?? "";
    expect(await handles()).toMatchObject([
      { handleID: "One", block: { [cidr]: 1 } },
      { handleID: "two", block: { [cidr]: 1 } },
    ]);
    expect((await client.get(ipamhandles, { name: "one" })).spec.handleID).toBe("One");
  });

  it("gives one address of each family, the same when it is asked again", async () => {
    const { node, settled, handles } = setUp([poolObject("four", { cidr: "10.0.0.0/16" }), poolObject("six", { cidr: "fd00::/64" })]);
    const ipam = node("a");
    const given = await settled(ipam.assign(wish("h", { families: [4, 6] })));
    expect(given.map(({ pool }) => pool)).toEqual(["four", "six"]);
    expect(await settled(ipam.assign(wish("h", { families: [4, 6] })))).toEqual(given);
    expect(Object.values((await handles())[0]?.block ?? {})).toEqual([1, 1]);
  });

  it("gives addresses back, and all of a handle's", async () => {
    const { node, settled, blocks, handles } = setUp([small]);
    const ipam = node("a");
    const [given] = await settled(ipam.assign(wish("h")));
    expect(await settled(ipam.release("h"))).toEqual([given?.address]);
    expect(await settled(ipam.release("h"))).toEqual([]);
    expect((await blocks()).flatMap(({ spec }) => allocationsOf(spec))).toEqual([]);
    expect(await handles()).toEqual([]);
  });

  it("gives back what an earlier process of the node has given out", async () => {
    const { node, settled } = setUp([small]);
    const [given] = await settled(node("a").assign(wish("h")));
    expect(await settled(node("a").release("h"))).toEqual([given?.address]);
  });

  it("gives many at once different addresses, and claims a further block when one is full", async () => {
    const { node, settled, blocks } = setUp([poolObject("p", { cidr: "10.0.0.0/24", blockSize: 29 })]);
    const ipam = node("a");
    const given = await settled(Promise.all(Array.from({ length: 20 }, (_, i) => ipam.assign(wish(`h${i}`)))));
    expect(new Set(given.flat().map(({ address }) => address)).size).toBe(20);
    expect(await blocks()).toHaveLength(3);
  });

  it("never gives two nodes the same address, whoever claims first", async () => {
    const { node, settled, blocks } = setUp([poolObject("p", { cidr: "10.0.0.0/27", blockSize: 29 })]);
    const nodes = ["a", "b", "c"].map((name) => node(name));
    const given = await settled(Promise.all(nodes.flatMap((ipam, n) => [0, 1, 2, 3].map((i) => ipam.assign(wish(`h${n}-${i}`))))));
    expect(new Set(given.flat().map(({ address }) => address)).size).toBe(12);
    expect((await blocks()).map(({ spec }) => spec.affinity).sort()).toEqual(["host:a", "host:b", "host:c"]);
  });

  it("looks again where another one has changed the block in the meantime", async () => {
    const { node, settled, api } = setUp([small]);
    const ipam = node("a");
    await settled(ipam.assign(wish("h1")));
    let failures = 2;
    api.intercept = ({ method, path }) => {
      if (method === "PUT" && path.includes("/ipamblocks/") && failures-- > 0) throw conflict(ipamblocks, "b", "changed");
    };
    expect(await settled(ipam.assign(wish("h2")))).toHaveLength(1);
    expect(failures).toBeLessThan(0);
  });

  it("borrows of another node's block where no block is left", async () => {
    const { node, settled, blocks } = setUp([small]);
    const [a, b, c] = [node("a"), node("b"), node("c")];
    await settled(a.assign(wish("a1")));
    await settled(b.assign(wish("b1")));
    const [given] = await settled(c.assign(wish("c1")));
    const owner = (await blocks()).find(({ spec }) => allocationsOf(spec).some(({ address }) => address === given?.address));
    expect(owner?.spec.affinity).toMatch(/^host:[ab]$/);
    expect(await settled(c.release("c1"))).toEqual([given?.address]);
  });

  it("says which pools are exhausted, and keeps nothing", async () => {
    const { node, settled, handles } = setUp([
      poolObject("tiny", { cidr: "10.0.0.0/31", blockSize: 31 }),
      poolObject("six", { cidr: "fd00::/64" }),
    ]);
    const ipam = node("a");
    for (const handle of ["h1", "h2"]) await settled(ipam.assign(wish(handle)));
    await expect(settled(ipam.assign(wish("h3", { families: [6, 4] })))).rejects.toThrow(
      "no IPv4 address is left for pods of node a in the IP pools tiny (10.0.0.0/31): all are in use",
    );
    expect((await handles()).map(({ handleID }) => handleID).sort()).toEqual(["h1", "h2"]);
    expect(ipam.addressesOf("h3")).toEqual([]);
    await settled(ipam.release("h1"));
    expect(await settled(ipam.assign(wish("h3")))).toHaveLength(1);
  });

  it("with strictAffinity gives out addresses of its own blocks alone", async () => {
    const { node, settled } = setUp([small], { strictAffinity: true });
    for (const name of ["a", "b"]) await settled(node(name).assign(wish(name)));
    await expect(settled(node("c").assign(wish("c1")))).rejects.toThrow("strictAffinity forbids addresses of other nodes' blocks");
  });

  it("has no more blocks than maxBlocksPerHost", async () => {
    const { node, settled, blocks } = setUp([poolObject("p", { cidr: "10.0.0.0/24", blockSize: 31 })], {
      strictAffinity: true,
      maxBlocksPerHost: 1,
    });
    const ipam = node("a");
    for (const handle of ["h1", "h2"]) await settled(ipam.assign(wish(handle)));
    await expect(settled(ipam.assign(wish("h3")))).rejects.toThrow("no IPv4 address is left");
    expect(await blocks()).toHaveLength(1);
  });

  it("takes pools that are for the node, or that the pod names", async () => {
    const west = poolObject("west", { cidr: "10.1.0.0/16", nodeSelector: "zone == 'west'" });
    const extra = poolObject("extra", { cidr: "10.2.0.0/16", assignmentMode: "Manual" });
    const { node, settled } = setUp([west, extra]);
    const ipam = node("a", { zone: "west" });
    expect(await settled(ipam.assign(wish("h1")))).toMatchObject([{ pool: "west" }]);
    expect(await settled(ipam.assign(wish("h2", { named: new Map([[4, ["extra"]]]) })))).toMatchObject([{ pool: "extra" }]);
    await expect(settled(node("b").assign(wish("h3")))).rejects.toThrow("there is no IP pool with IPv4 addresses for node b");
  });

  it("gives the very address that is asked for, once", async () => {
    const { node, settled } = setUp([poolObject("p", { cidr: "10.0.0.0/16" })]);
    const ipam = node("a");
    expect(await settled(ipam.assign(wish("h1", { addresses: ["10.0.7.9"] })))).toEqual([{ address: "10.0.7.9", pool: "p" }]);
    await expect(settled(node("b").assign(wish("h2", { addresses: ["10.0.7.9"] })))).rejects.toThrow("the address 10.0.7.9 is in use");
    await expect(settled(ipam.assign(wish("h3", { addresses: ["10.7.7.9"] })))).rejects.toThrow("is in no IP pool that can be used");
  });

  it("takes over a block that is no node's any more", async () => {
    const { node, settled, blocks, client } = setUp([small]);
    await settled(node("a").assign(wish("a1")));
    await settled(node("b").assign(wish("b1")));
    const [block] = (await blocks()).filter(({ spec }) => spec.affinity === "host:a");
    if (!block) throw new Error("no block of a");
    const { affinity: _gone, ...spec } = block.spec;
    await client.update(ipamblocks, { ...block, spec });
    await settled(node("c").assign(wish("c1")));
    expect((await client.get(ipamblocks, { name: block.metadata.name })).spec.affinity).toBe("host:c");
  });
});
