import { describe, expect, it } from "vitest";
import { nodes } from "../api/resources.generated.ts";
import type { Node } from "../api/types/core-v1.ts";
import { VirtualClock } from "../base/clock.ts";
import { createLogger } from "../base/log.ts";
import { createClient } from "../client/create-client.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import type { MasqueradeOptions } from "../cni/masquerade.ts";
import { nodeBridgeName, udpDeviceName, vxlanDeviceName } from "../cni/network-config.ts";
import type { IpTool, ListedInterface } from "../linux/ip-tool.ts";
import { CommandError } from "../linux/run-command.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import type { PodNetworkMode } from "./cluster-network.ts";
import { placeAnnotations } from "./node-annotations.ts";
import { type NodeNetworkOptions, startNodeNetwork } from "./node-network.ts";
import type { createUdpTunnel, UdpTunnelDeps, WantedUdpTunnel } from "./udp-tunnel.ts";

const dataDir = "/data/a";
const device = vxlanDeviceName(dataDir);
const eth0: ListedInterface = { ifname: "eth0", mtu: 1500, addr_info: [{ local: "192.0.2.1", prefixlen: 24, scope: "global" }] };

/** A program that remembers what it was told. */
function fakeTunnel() {
  const told: (WantedUdpTunnel | undefined)[] = [];
  const tunnel = { isThere: true, retry: (): void => undefined };
  const create = ({ onRetry }: UdpTunnelDeps, name: string): ReturnType<typeof createUdpTunnel> => {
    tunnel.retry = onRetry;
    return {
      device: name,
      apply: async (wanted) => {
        told.push(wanted);
        return wanted !== undefined && tunnel.isThere;
      },
      stop: async () => void told.push(undefined),
    };
  };
  return { told, tunnel, create };
}

/** A kernel that remembers commands and has nothing. */
function fakeKernel() {
  const commands: string[] = [];
  const interfaces: ListedInterface[] = [eth0];
  let failure: Error | undefined;
  let makesVxlan = true;
  const record = async (tool: string, given: readonly string[]): Promise<void> => {
    if (failure && given.length > 0) throw failure;
    if (given[0]?.endsWith("dstport 0")) {
      if (makesVxlan) return;
      throw new CommandError("ip -batch -: exit code 2", { exitCode: 2, stderr: "Error: Unknown device type.\n" });
    }
    commands.push(...given.map((command) => `${tool}${command}`));
  };
  const ip: IpTool = {
    addresses: async () => interfaces,
    routes: async () => [],
    neighbours: async () => [],
    forwarding: async () => [],
    vxlan: async () => undefined,
    apply: (given) => record("", given),
    applyBridge: (given) => record("bridge ", given),
  };
  return {
    ip,
    commands,
    interfaces,
    fail: (error: Error | undefined) => void (failure = error),
    lackVxlan: () => void (makesVxlan = false),
  };
}

async function setUp(mode: PodNetworkMode = "auto", more: Partial<NodeNetworkOptions> = {}) {
  const clock = new VirtualClock();
  const api = createFakeApi(clock);
  const client = createClient(api);
  const problems: string[] = [];
  const logger = createLogger("test", { write: (line) => void (/^[WE]/.test(line) && problems.push(line.slice(line.indexOf("]") + 2))) });
  const informers = createInformerFactory(client, { clock, logger, deepFreeze: true });
  const kernel = fakeKernel();
  const udp = fakeTunnel();
  const masquerades: MasqueradeOptions[] = [];
  const addNode = (name: string, address: string, podCIDR: string | undefined, annotations: Node["metadata"]["annotations"] = {}) =>
    client.create(nodes, {
      metadata: { name, annotations },
      spec: podCIDR === undefined ? {} : { podCIDR, podCIDRs: [podCIDR] },
      status: { addresses: [{ type: "InternalIP", address }] },
    });
  const start = () => {
    const network = startNodeNetwork(
      {
        client,
        informers,
        clock,
        logger,
        ip: kernel.ip,
        udpTunnel: udp.create,
        masquerade: async (options) => void masquerades.push(options),
      },
      { nodeName: "self", dataDir, clusterCidrs: ["10.244.0.0/16"], network: { mode, vni: 7, port: 8472 }, ...more },
    );
    informers.start();
    return network;
  };
  const settle = async () => {
    for (let i = 0; i < 10; i++) await clock.advance(10);
    return kernel.commands.splice(0);
  };
  return { clock, client, kernel, udp, problems, masquerades, addNode, start, settle };
}

const farVtep = { mac: "02:00:00:00:00:02", address: "198.51.100.9", vni: 7 };

/** What a node has published that takes part in a tunnel. */
function published(publicIp: string, end: Pick<Parameters<typeof placeAnnotations>[0], "vtep" | "udp">): Record<string, string> {
  const all = Object.entries(placeAnnotations({ publicIp, linkAddresses: [], ...end }));
  return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== null));
}

describe("startNodeNetwork()", () => {
  it("publishes the node's place, before the node has a pod range", async () => {
    const { client, addNode, start, settle } = await setUp();
    await addNode("self", "192.0.2.1", undefined);
    start();
    expect(await settle()).toEqual([]);
    expect((await client.get(nodes, { name: "self" })).metadata.annotations).toMatchObject({
      "flannel.alpha.coreos.com/backend-type": "vxlan",
      "flannel.alpha.coreos.com/public-ip": "192.0.2.1",
    });
  });

  it("keeps routes to nodes that come and go", async () => {
    const { client, addNode, start, settle, masquerades } = await setUp();
    await addNode("self", "192.0.2.1", "10.244.0.0/24");
    start();
    await settle();
    await addNode("near", "192.0.2.7", "10.244.1.0/24");
    expect(await settle()).toEqual(["route replace 10.244.1.0/24 via 192.0.2.7 dev eth0 proto 196"]);
    expect(masquerades.map((m) => m.nodeAddresses)).toEqual([[], ["192.0.2.7"]]);
    await client.delete(nodes, { name: "near" });
    await settle();
    expect(masquerades.at(-1)).toMatchObject({ podCidrs: ["10.244.0.0/24"], clusterCidrs: ["10.244.0.0/16"], nodeAddresses: [] });
  });

  it("makes the VXLAN from below to above", async () => {
    const { addNode, start, settle } = await setUp();
    await addNode("self", "192.0.2.1", "10.244.0.0/24");
    await addNode("far", "198.51.100.9", "10.244.2.0/24", published("198.51.100.9", { vtep: farVtep }));
    start();
    const [made, ...rest] = await settle();
    expect(made).toMatch(
      new RegExp(`^link add name ${device} address .* type vxlan id 7 dstport 8472 local 192.0.2.1 dev eth0 nolearning$`),
    );
    expect(rest.slice(0, 5)).toEqual([
      `link set dev ${device} mtu 1450 up`,
      `bridge fdb replace 02:00:00:00:00:02 dev ${device} dst 198.51.100.9 self permanent`,
      `address replace 10.244.0.0/32 dev ${device}`,
      `neigh replace 10.244.2.0 lladdr 02:00:00:00:00:02 dev ${device} nud permanent`,
      `route replace 10.244.2.0/24 via 10.244.2.0 dev ${device} proto 196 onlink`,
    ]);
  });

  it("is not disturbed by heartbeats", async () => {
    const { client, addNode, start, settle } = await setUp();
    await addNode("self", "192.0.2.1", "10.244.0.0/24");
    const near = await addNode("near", "192.0.2.7", "10.244.1.0/24");
    start();
    await settle();
    // This kernel has forgotten the route: whoever looked would set it again.
    await client.updateStatus(nodes, { ...near, status: { ...near.status, conditions: [{ type: "Ready", status: "True" }] } });
    expect(await settle()).toEqual([]);
  });

  it("looks again once a minute, whatever others have done to the kernel", async () => {
    const { clock, addNode, start, settle } = await setUp();
    await addNode("self", "192.0.2.1", "10.244.0.0/24");
    await addNode("near", "192.0.2.7", "10.244.1.0/24");
    start();
    await settle();
    await clock.advance(60_000);
    expect(await settle()).toEqual(["route replace 10.244.1.0/24 via 192.0.2.7 dev eth0 proto 196"]);
  });

  it("tries again when the kernel refuses", async () => {
    const { clock, addNode, start, settle, kernel, problems } = await setUp();
    await addNode("self", "192.0.2.1", "10.244.0.0/24");
    await addNode("near", "192.0.2.7", "10.244.1.0/24");
    kernel.fail(new Error("RTNETLINK answers: Operation not permitted"));
    start();
    expect(await settle()).toEqual([]);
    expect(problems[0]).toMatch(/^Failed, trying again .*Operation not permitted/);
    kernel.fail(undefined);
    await clock.advance(1000);
    expect(await settle()).toContain("route replace 10.244.1.0/24 via 192.0.2.7 dev eth0 proto 196");
  });

  it("says once that a node is out of reach", async () => {
    const { clock, addNode, start, settle, problems } = await setUp("host-gw");
    await addNode("self", "192.0.2.1", "10.244.0.0/24");
    await addNode("starting", "198.51.100.8", "10.244.1.0/24");
    await addNode("far", "198.51.100.9", "10.244.2.0/24", published("198.51.100.9", {}));
    start();
    await settle();
    await clock.advance(300_000);
    expect(problems).toEqual([expect.stringMatching(/^The pods of a node cannot be reached node="far" problem=".*host-gw/)]);
  });

  it("publishes the addresses of a link that appears later, when it is told to look", async () => {
    const linkInterface = nodeBridgeName(dataDir);
    const { client, addNode, start, settle, kernel } = await setUp("auto", { linkInterface });
    await addNode("self", "192.0.2.1", "10.244.0.0/24");
    const network = start();
    await settle();
    const links = async () => (await client.get(nodes, { name: "self" })).metadata.annotations?.["network.coracle.local/link-addresses"];
    expect(await links()).toBeUndefined();
    kernel.interfaces.push({ ifname: linkInterface, addr_info: [{ local: "172.29.0.1", prefixlen: 24, scope: "global" }] });
    network.refresh();
    await settle();
    expect(await links()).toBe("172.29.0.1");
    await addNode("beside", "172.29.0.2", "10.244.3.0/24");
    expect(await settle()).toContain(`route replace 10.244.3.0/24 via 172.29.0.2 dev ${linkInterface} proto 196`);
  });

  it("wraps packets in plain UDP where the kernel makes no VXLAN, and says so to the others", async () => {
    const { client, addNode, start, settle, kernel, udp } = await setUp();
    kernel.lackVxlan();
    await addNode("self", "192.0.2.1", "10.244.0.0/24");
    await addNode("far", "198.51.100.9", "10.244.2.0/24", published("198.51.100.9", { vtep: farVtep }));
    start();
    const tun = udpDeviceName(dataDir);
    expect((await settle()).slice(0, 3)).toEqual([
      `link set dev ${tun} mtu 1472 up`,
      `address replace 10.244.0.0/32 dev ${tun}`,
      `route replace 10.244.2.0/24 via 10.244.2.0 dev ${tun} proto 196 onlink`,
    ]);
    expect(udp.told.at(-1)).toEqual({ local: "192.0.2.1", port: 8285, ways: [{ destination: "10.244.2.0/24", remote: "198.51.100.9" }] });
    expect((await client.get(nodes, { name: "self" })).metadata.annotations).toMatchObject({
      "flannel.alpha.coreos.com/backend-type": "udp",
      "flannel.alpha.coreos.com/public-ip": "192.0.2.1",
    });
    await client.delete(nodes, { name: "far" });
    await settle();
    expect(udp.told.at(-1), "nobody is behind it").toBeUndefined();
  });

  it("keeps the other routes while the program of the UDP tunnel is not there, and sets the rest when it is", async () => {
    const { addNode, start, settle, udp } = await setUp();
    udp.tunnel.isThere = false;
    await addNode("self", "192.0.2.1", "10.244.0.0/24");
    await addNode("near", "192.0.2.7", "10.244.1.0/24");
    await addNode("lacking", "203.0.113.5", "10.244.3.0/24", published("203.0.113.5", { udp: true }));
    start();
    expect(new Set(await settle())).toEqual(new Set(["route replace 10.244.1.0/24 via 192.0.2.7 dev eth0 proto 196"]));
    udp.tunnel.isThere = true;
    udp.tunnel.retry();
    expect(await settle()).toContain(`route replace 10.244.3.0/24 via 10.244.3.0 dev ${udpDeviceName(dataDir)} proto 196 onlink`);
  });

  it("vxlan: does not look for another way where the kernel makes none", async () => {
    const { client, addNode, start, settle, kernel } = await setUp("vxlan");
    kernel.lackVxlan();
    await addNode("self", "192.0.2.1", "10.244.0.0/24");
    start();
    await settle();
    expect((await client.get(nodes, { name: "self" })).metadata.annotations).toMatchObject({
      "flannel.alpha.coreos.com/backend-type": "vxlan",
    });
  });

  it.each([
    ["auto", 1500],
    ["host-gw", 1500],
    ["vxlan", 1450],
    ["udp", 1472],
  ] as const)("%s: packets of pods may have %d bytes", async (mode, mtu) => {
    const { addNode, start } = await setUp(mode);
    await addNode("self", "192.0.2.1", undefined);
    expect(await start().podMtu()).toBe(mtu);
  });

  it("refuses an MTU for a node whose address no interface has", async () => {
    const { addNode, start } = await setUp();
    await addNode("self", "198.51.100.1", undefined);
    await expect(start().podMtu()).rejects.toThrow("no interface of this machine has an address of node self (198.51.100.1)");
  });
});
