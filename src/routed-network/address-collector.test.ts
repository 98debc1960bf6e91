import { describe, expect, it } from "vitest";
import { conflict } from "../api/meta/status-error.ts";
import { nodes, pods } from "../api/resources.generated.ts";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { createClient } from "../client/create-client.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { startAddressCollector } from "./address-collector.ts";
import { affinityName, allocationsOf, assignNext, blockName, newBlock } from "./block.ts";
import { leakGraceMs } from "./garbage.ts";
import { blockaffinities, ipamblocks, ipamhandles, ippools, routedResources } from "./resources.ts";

async function setUp() {
  const clock = new VirtualClock();
  const api = createFakeApi(clock, routedResources);
  const client = createClient(api);
  const informers = createInformerFactory(client, { clock, logger: silentLogger, deepFreeze: true });
  const told: string[] = [];
  const recorder = {
    record: (about: object, { reason, message }: { reason: string; message: string }) =>
      void told.push(`${(about as { metadata: { name: string } }).metadata.name} ${reason}: ${message}`),
  };
  for (const name of ["a", "b"]) await client.create(nodes, { metadata: { name }, spec: {} });
  const start = () => {
    const collector = startAddressCollector(
      { client, informers, clock, logger: silentLogger, recorder },
      { reserved: [{ cidr: "10.96.0.0/12", what: "the services' range" }] },
    );
    informers.start();
    return collector;
  };
  const block = async (cidr: string, node: string, ...podNames: readonly string[]) => {
    let spec = newBlock(cidr, node);
    for (const pod of podNames) {
      const secondary = { node, namespace: "default", pod };
      spec = assignNext(spec, { handle_id: `net.${pod}`, secondary })?.block ?? spec;
      await client.create(ipamhandles, { metadata: { name: `net.${pod}` }, spec: { handleID: `net.${pod}`, block: { [cidr]: 1 } } });
    }
    await client.create(ipamblocks, { metadata: { name: blockName(cidr) }, spec });
    const affinity = { cidr, node, state: "confirmed", deleted: "false" } as const;
    await client.create(blockaffinities, { metadata: { name: affinityName(node, cidr) }, spec: affinity });
  };
  const pass = async (ms: number) => {
    for (let i = 0; i < 20; i++) await clock.advance(ms / 20);
  };
  const names = async (type: typeof ipamblocks | typeof blockaffinities | typeof ipamhandles) =>
    (await client.list(type as typeof ipamblocks)).items.map(({ metadata }) => metadata.name);
  return { clock, api, client, start, block, pass, names, told };
}

describe("startAddressCollector()", () => {
  it("gives back blocks, affinities and handles of a node that is deleted, within seconds", async () => {
    const { client, start, block, pass, names } = await setUp();
    await client.create(pods, { metadata: { name: "one", namespace: "default" }, spec: { nodeName: "a", containers: [] } });
    await block("10.0.0.0/29", "a", "one");
    await block("10.0.0.8/29", "b", "two");
    start();
    await pass(1_000);
    await client.delete(nodes, { name: "b" });
    await pass(20_000);
    expect(await names(ipamblocks)).toEqual(["10-0-0-0-29"]);
    expect(await names(blockaffinities)).toEqual(["a-10-0-0-0-29"]);
    await pass(leakGraceMs + 120_000);
    expect(await names(ipamhandles)).toEqual(["net.one"]);
  });

  it("gives back the address of a pod that is gone, and leaves the others", async () => {
    const { client, start, block, pass } = await setUp();
    await client.create(pods, { metadata: { name: "one", namespace: "default" }, spec: { nodeName: "a", containers: [] } });
    await block("10.0.0.0/29", "a", "one", "lost");
    start();
    await pass(leakGraceMs + 120_000);
    const found = await client.get(ipamblocks, { name: "10-0-0-0-29" });
    expect(allocationsOf(found.spec).map(({ handleId }) => handleId)).toEqual(["net.one"]);
    expect(found.spec.affinity).toBe("host:a");
  });

  it("leaves a block to whoever changes it in the meantime, and comes back to it", async () => {
    const { api, client, start, block, pass } = await setUp();
    await block("10.0.0.0/29", "a", "lost");
    let refusals = 1;
    api.intercept = ({ method }) => {
      if (method === "PUT" && refusals-- > 0) throw conflict(ipamblocks, "10-0-0-0-29", "changed");
    };
    start();
    await pass(leakGraceMs + 240_000);
    expect(refusals).toBeLessThan(0);
    expect(allocationsOf((await client.get(ipamblocks, { name: "10-0-0-0-29" })).spec)).toEqual([]);
  });

  it("tells of pools that cannot be used", async () => {
    const { client, start, pass, told } = await setUp();
    start();
    await pass(100);
    await client.create(ippools, { metadata: { name: "thief" }, spec: { cidr: "10.100.0.0/16" } });
    await pass(1_000);
    expect(told).toEqual([
      "thief InvalidIPPool: No addresses are given out: spec.cidr: 10.100.0.0/16 overlaps with the services' range, 10.96.0.0/12",
    ]);
  });
});
