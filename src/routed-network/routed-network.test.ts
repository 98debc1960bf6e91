import { describe, expect, it } from "vitest";
import { nodes } from "../api/resources.generated.ts";
import { VirtualClock } from "../base/clock.ts";
import { createLogger } from "../base/log.ts";
import { createClient } from "../client/create-client.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import type { MasqueradeOptions } from "../cni/masquerade.ts";
import { vxlanDeviceName } from "../cni/network-config.ts";
import type { IpTool, ListedInterface } from "../linux/ip-tool.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { assignNext, blockName, newBlock } from "./block.ts";
import { type IPPool, ipamblocks, ippools, routedResources } from "./resources.ts";
import { startRoutedNetwork } from "./routed-network.ts";

const dataDir = "/data/routed";

/** A kernel and a routing daemon that remember what they were told. */
async function setUp(pool: Partial<IPPool["spec"]> = {}, attached?: readonly string[]) {
  const clock = new VirtualClock();
  const client = createClient(createFakeApi(clock, routedResources));
  const commands: string[] = [];
  const configs: string[] = [];
  const masquerades: MasqueradeOptions[] = [];
  const problems: string[] = [];
  let hasEnded = false;
  const eth0: ListedInterface = { ifname: "eth0", mtu: 1500, addr_info: [{ local: "192.0.2.1", prefixlen: 24, scope: "global" }] };
  const ip: IpTool = {
    ...{ addresses: async () => [eth0], routes: async () => [], neighbours: async () => [], forwarding: async () => [] },
    vxlan: async () => undefined,
    apply: async (given) => void commands.push(...given),
    applyBridge: async (given) => void commands.push(...given.map((command) => `bridge ${command}`)),
  };
  const logger = createLogger("test", { write: (line) => void (/^[WE]/.test(line) && problems.push(line.slice(line.indexOf("]") + 2))) });
  const informers = createInformerFactory(client, { clock, logger, deepFreeze: true });
  await client.create(ippools, { metadata: { name: "p" }, spec: { cidr: "10.244.0.0/16", natOutgoing: true, ...pool } });
  const node = (name: string, address: string, annotations = {}) =>
    client.create(nodes, { metadata: { name, annotations }, spec: {}, status: { addresses: [{ type: "InternalIP", address }] } });
  const block = (cidr: string, owner: string) =>
    client.create(ipamblocks, { metadata: { name: blockName(cidr) }, spec: newBlock(cidr, owner) });
  const start = () => {
    const network = startRoutedNetwork(
      {
        ...{ client, informers, clock, logger, ip, masquerade: async (options) => void masquerades.push(options) },
        remember: async (_directory, { ranges }) => ranges,
        daemon: {
          hasEnded: async () => hasEnded,
          async apply(config) {
            hasEnded = false;
            configs.push(config);
          },
        },
      },
      {
        ...{ nodeName: "self", dataDir, network: { mode: "routed", vni: 7, port: 8472 }, reserved: [] },
        ...(attached ? { attached: { network: "net", containers: async () => attached } } : {}),
      },
    );
    informers.start();
    return network;
  };
  const settle = async (ms = 1_000) => {
    for (let i = 0; i < 20; i++) await clock.advance(ms / 20);
    return commands.splice(0);
  };
  const endDaemon = () => void (hasEnded = true);
  return { clock, client, configs, masquerades, problems, node, block, start, settle, endDaemon };
}

describe("startRoutedNetwork()", () => {
  it("gives the routing daemon this node's blocks and its neighbours", async () => {
    const { node, block, start, settle, configs, masquerades } = await setUp();
    await node("self", "192.0.2.1");
    await node("near", "192.0.2.7");
    await block("10.244.0.0/26", "self");
    start();
    await settle();
    expect(configs.at(-1)).toContain("route 10.244.0.0/26 blackhole;");
    expect(configs.at(-1)).toContain("neighbor 192.0.2.7 as 64512;");
    expect(masquerades).toMatchObject([{ podCidrs: ["10.244.0.0/16"], clusterCidrs: ["10.244.0.0/16"], nodeAddresses: ["192.0.2.7"] }]);
  });

  it("makes the VXLAN where a node is elsewhere, with an address of its own that it publishes", async () => {
    const { client, node, block, start, settle } = await setUp({ vxlanMode: "CrossSubnet" });
    await node("self", "192.0.2.1");
    await node("far", "198.51.100.9", {
      "flannel.alpha.coreos.com/backend-type": "vxlan",
      "flannel.alpha.coreos.com/backend-data": '{"VNI":7,"VtepMAC":"02:00:00:00:00:09"}',
      "flannel.alpha.coreos.com/public-ip": "198.51.100.9",
      "projectcalico.org/IPv4VXLANTunnelAddr": "10.244.2.0",
    });
    await block("10.244.2.0/26", "far");
    const network = start();
    const commands = await settle();
    const device = vxlanDeviceName(dataDir);
    const own = (await client.get(nodes, { name: "self" })).metadata.annotations?.["projectcalico.org/IPv4VXLANTunnelAddr"];
    expect(own).toMatch(/^10\.244\./);
    expect(commands).toEqual(
      expect.arrayContaining([
        `link set dev ${device} mtu 1450 up`,
        `bridge fdb replace 02:00:00:00:00:09 dev ${device} dst 198.51.100.9 self permanent`,
        `address replace ${own}/32 dev ${device}`,
        `neigh replace 10.244.2.0 lladdr 02:00:00:00:00:09 dev ${device} nud permanent`,
        `route replace 10.244.2.0/26 via 10.244.2.0 dev ${device} proto 196 onlink`,
      ]),
    );
    expect(await network.podMtu()).toBe(1450);
  });

  it("says once what does not work", async () => {
    const { client, node, block, start, settle, problems } = await setUp();
    await node("self", "192.0.2.1");
    await node("far", "198.51.100.9");
    await block("10.244.2.0/26", "far");
    await client.create(ippools, { metadata: { name: "thief" }, spec: { cidr: "10.244.7.0/24" } });
    start();
    await settle();
    await settle(180_000);
    expect(problems).toHaveLength(2);
    expect(problems.join("\n")).toMatch(/far.*none of its addresses[\s\S]*thief.*overlaps with/);
  });

  it("takes no heed of heartbeats and of addresses that are given out, and looks again when a pool changes", async () => {
    const { client, node, start, settle, block, configs, masquerades } = await setUp();
    await node("self", "192.0.2.1");
    const mine = await block("10.244.0.0/26", "self");
    start();
    await settle();
    const before = configs.length;
    const self = await client.get(nodes, { name: "self" });
    await client.updateStatus(nodes, { ...self, status: { ...self.status, phase: "Running" } });
    const given = assignNext(mine.spec, { handle_id: "h", secondary: { node: "self" } });
    if (given) await client.update(ipamblocks, { ...mine, spec: given.block });
    await settle();
    expect(configs).toHaveLength(before);
    const pool = await client.get(ippools, { name: "p" });
    await client.update(ippools, { ...pool, spec: { ...pool.spec, natOutgoing: false } });
    await settle();
    expect(masquerades.at(-1)).toMatchObject({ podCidrs: [], clusterCidrs: ["10.244.0.0/16"] });
  });

  it("gives a daemon that has ended its configuration again", async () => {
    const { node, start, settle, configs, endDaemon } = await setUp();
    await node("self", "192.0.2.1");
    start();
    await settle();
    const before = configs.length;
    endDaemon();
    await settle(12_000);
    expect(configs.length).toBe(before + 1);
  });

  it("gives back at the start what containers have that are attached no more", async () => {
    const { client, node, start, settle, block } = await setUp({}, ["alive"]);
    await node("self", "192.0.2.1");
    const mine = await block("10.244.0.0/26", "self");
    const secondary = { node: "self" };
    let { spec } = mine;
    for (const handle of ["net.alive", "net.ended", "other.ended"])
      spec = assignNext(spec, { handle_id: handle, secondary })?.block ?? spec;
    await client.update(ipamblocks, { ...mine, spec });
    start();
    await settle();
    const left = (await client.get(ipamblocks, { name: mine.metadata.name })).spec.attributes.map(({ handle_id: id }) => id);
    expect(left).toEqual(["net.alive", "other.ended"]);
  });

  it("waits where there is no pool yet", async () => {
    const { client, node, start, settle } = await setUp();
    await client.delete(ippools, { name: "p" });
    await node("self", "192.0.2.1");
    const network = start();
    let mtu: number | undefined;
    void network.podMtu().then((found) => (mtu = found));
    await settle();
    expect(mtu).toBeUndefined();
    await client.create(ippools, { metadata: { name: "later" }, spec: { cidr: "10.9.0.0/16" } });
    await settle();
    expect(mtu).toBe(1500);
  });
});
