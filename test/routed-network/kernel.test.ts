// A routed pod network on the real kernel, with real routing daemons: nodes and pods are network namespaces, and what one pod sees
// of another is what a program there sees.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodes } from "../../src/api/resources.generated.ts";
import { vxlanDeviceName } from "../../src/cni/network-config.ts";
import { CommandError, runCommand } from "../../src/linux/run-command.ts";
import { askBird } from "../../src/routed-network/bird.ts";
import { routeMetric } from "../../src/routed-network/bird-config.ts";
import { allocationsOf } from "../../src/routed-network/block.ts";
import { birdDirectory } from "../../src/routed-network/names.ts";
import { type EncapsulationMode, ipamblocks, ippools } from "../../src/routed-network/resources.ts";
import { until } from "../support/processes.ts";
import { RoutedLab, whyNoRoutedLab } from "./routed-lab.ts";

const reason = await whyNoRoutedLab();
if (reason) console.log(`the routed pod network is not tried on the kernel: ${reason}`);
const noIpip = reason ?? (await whyNoIpip());
if (noIpip && !reason) console.log(`IPIP is not tried on the kernel: ${noIpip}`);

/** Whether this kernel makes such tunnels, or can load what does. */
async function whyNoIpip(): Promise<string | undefined> {
  try {
    await runCommand("unshare", ["--net", "ip", "tunnel", "add", "probe", "mode", "ipip", "local", "192.0.2.1"]);
    return undefined;
  } catch (error) {
    if (error instanceof CommandError) return error.message;
    throw error;
  }
}

interface Route {
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly protocol?: string;
  readonly type?: string;
  readonly metric?: number;
}

const routesOf = async (lab: RoutedLab, name: string, family: 4 | 6 = 4): Promise<readonly Route[]> =>
  JSON.parse(await lab.inside(name, "ip", "-json", `-${family}`, "route", "show"));

const givenOut = async (lab: RoutedLab): Promise<readonly string[]> =>
  (await lab.client.list(ipamblocks)).items.flatMap(({ spec }) => allocationsOf(spec).map(({ address }) => address));

async function setMode(lab: RoutedLab, name: string, vxlanMode: EncapsulationMode): Promise<void> {
  const pool = await lab.client.get(ippools, { name });
  await lab.client.update(ippools, { ...pool, spec: { ...pool.spec, vxlanMode } });
}

/** Nodes on one link of a router, or each on its own. */
async function build(lab: RoutedLab, places: Readonly<Record<string, readonly string[]>>, oneLink: boolean): Promise<void> {
  await lab.namespace("router");
  if (oneLink) await lab.ip("router").apply(["link add name hub type bridge", "link set dev hub up", "address add 192.0.2.254/24 dev hub"]);
  for (const [name, addresses] of Object.entries(places)) {
    const gateway = addresses[0]?.replace(/\.\d+$/, ".254");
    await lab.node(name, addresses, oneLink ? ["link set master hub dev"] : [`address add ${gateway}/24 dev`]);
  }
}

describe.runIf(reason === undefined)("a routed pod network of nodes on one link", () => {
  const lab = new RoutedLab();
  beforeAll(async () => {
    await build(lab, { a: ["192.0.2.1", "fd01::1"], b: ["192.0.2.2", "fd01::2"] }, true);
    await lab.pool("four", { cidr: "10.244.0.0/16", natOutgoing: true, vxlanMode: "CrossSubnet" });
    await lab.pool("six", { cidr: "fd00:10::/64" });
    // As another routing daemon on the machine has made it.
    await lab.ip("a").apply(["route add blackhole 10.99.0.0/16 metric 55 proto bird"]);
    await Promise.all([lab.run("a"), lab.run("b")]);
  });
  afterAll(() => lab.remove());

  it("pods reach each other under their own addresses, of both families, by what the daemons have told", async () => {
    const [one, two] = [await lab.pod("a", [4, 6]), await lab.pod("b", [4, 6])];
    const [address = "", six = ""] = two.addresses;
    const blockOfB = (await lab.client.list(ipamblocks)).items.find(({ spec }) => spec.affinity === "host:b" && !spec.cidr.includes(":"));
    const told = await until("the route to b's block", async () =>
      (await routesOf(lab, "a")).find(({ dst }) => dst === blockOfB?.spec.cidr),
    );
    expect(told).toMatchObject({ gateway: "192.0.2.2", dev: "eth0", protocol: "bird", metric: routeMetric(77) });
    await until("the route back", async () => (await routesOf(lab, "b")).some(({ gateway }) => gateway === "192.0.2.1"));
    expect(await lab.addressSeen(one.netns, two.netns, address)).toBe(one.addresses[0]);
    for (const name of ["a", "b"])
      await until("the IPv6 route", async () =>
        (await routesOf(lab, name, 6)).some(({ protocol, type }) => protocol === "bird" && type !== "blackhole"),
      );
    expect(await lab.addressSeen(one.netns, two.netns, six)).toBe(one.addresses[1]);
    expect(await lab.addressSeen("a", two.netns, address), "from a node to a pod elsewhere").toBe("192.0.2.1");
    expect(await lab.addressSeen(one.netns, "b", "192.0.2.2"), "nodes see the pod's own address").toBe(one.addresses[0]);
  });

  it("a pod has an address without a network, a gateway that the host answers for, and one route on the host", async () => {
    const [one, two] = [await lab.pod("a"), await lab.pod("a")];
    const [address = ""] = one.addresses;
    expect(JSON.parse(await lab.inside(one.netns, "ip", "-json", "-4", "address", "show", "dev", "eth0"))[0].addr_info).toMatchObject([
      { local: address, prefixlen: 32 },
    ]);
    expect((await routesOf(lab, one.netns)).map(({ dst, gateway }) => `${dst} ${gateway ?? ""}`)).toEqual([
      "default 169.254.1.1",
      "169.254.1.1 ",
    ]);
    expect((await routesOf(lab, "a")).filter(({ dst }) => dst === address)).toMatchObject([{ dev: one.result.interfaces?.[0]?.name }]);
    expect(await lab.addressSeen(one.netns, two.netns, two.addresses[0] ?? ""), "on the same node").toBe(address);
    expect(await lab.inside(one.netns, "ip", "neigh", "show", "169.254.1.1")).toContain("ee:ee:ee:ee:ee:ee");
    expect(await lab.addressSeen("a", one.netns, address), "from its own node").not.toBe(address);
  });

  it("packets that leave the cluster carry the node's address, where the pool says so", async () => {
    const pod = await lab.pod("a");
    expect(await lab.addressSeen(pod.netns, "router", "192.0.2.254")).toBe("192.0.2.1");
  });

  it("a pod that goes gives its address back, and its route is gone", async () => {
    const pod = await lab.pod("b");
    const [address = ""] = pod.addresses;
    expect(await givenOut(lab)).toContain(address);
    await pod.remove();
    await pod.remove();
    expect(await givenOut(lab)).not.toContain(address);
    expect((await routesOf(lab, "b")).map(({ dst }) => dst)).not.toContain(address);
  });

  it("addresses of the block that nobody has lead nowhere, and routes of others stay", async () => {
    const routes = await routesOf(lab, "a");
    const block = (await lab.client.list(ipamblocks)).items.find(({ spec }) => spec.affinity === "host:a" && !spec.cidr.includes(":"));
    expect(routes.find(({ dst }) => dst === block?.spec.cidr)).toMatchObject({ type: "blackhole", protocol: "bird" });
    expect(routes.find(({ dst }) => dst === "10.99.0.0/16")).toMatchObject({ type: "blackhole", metric: 55 });
  });

  it("a node's process that starts anew finds the daemon, the routes and the pods' addresses as they were", async () => {
    const pod = await lab.pod("a");
    const directory = birdDirectory(lab.dataDir("a"));
    const pid = async () => (await readFile(join(directory, "bird.pid"), "utf8")).trim();
    const before = { pid: await pid(), routes: await routesOf(lab, "a") };
    await lab.stopNode("a");
    expect(await routesOf(lab, "a")).toEqual(before.routes);
    await lab.run("a");
    expect({ pid: await pid(), routes: await routesOf(lab, "a") }).toEqual(before);
    expect((await lab.pod("a")).addresses).not.toEqual(pod.addresses);
  });

  it("a daemon that was killed comes back, and its routes have not gone", async () => {
    const directory = birdDirectory(lab.dataDir("a"));
    const before = await readFile(join(directory, "bird.pid"), "utf8");
    process.kill(Number(before), "SIGKILL");
    expect((await routesOf(lab, "a")).some(({ gateway }) => gateway === "192.0.2.2")).toBe(true);
    lab.refresh("a");
    await until("another daemon", async () => {
      const now = await readFile(join(directory, "bird.pid"), "utf8").catch(() => "");
      return now !== "" && now !== before;
    });
    await until("the session", async () => / Established/.test(await askBird(directory, "show", "protocols")));
    expect((await routesOf(lab, "a")).some(({ gateway }) => gateway === "192.0.2.2")).toBe(true);
  });

  it("a pool may want the VXLAN between neighbours too", async () => {
    const [one, two] = [await lab.pod("a"), await lab.pod("b")];
    await setMode(lab, "four", "Always");
    for (const name of ["a", "b"]) {
      const device = vxlanDeviceName(lab.dataDir(name));
      await until("the routes are those of the VXLAN", async () => {
        const routes = await routesOf(lab, name);
        return (
          routes.some(({ dev }) => dev === device) &&
          !routes.some(({ gateway, protocol }) => gateway?.startsWith("192.0.2.") && protocol === "bird")
        );
      });
    }
    expect(await lab.addressSeen(one.netns, two.netns, two.addresses[0] ?? "")).toBe(one.addresses[0]);
    await setMode(lab, "four", "CrossSubnet");
    await until("the routes of the daemon again", async () => (await routesOf(lab, "a")).some(({ gateway }) => gateway === "192.0.2.2"));
  });

  it("a node that is gone takes its routes with it", async () => {
    await lab.client.delete(nodes, { name: "b" });
    await until("no route to it", async () => (await routesOf(lab, "a")).every(({ gateway }) => gateway !== "192.0.2.2"));
  });
});

describe.runIf(reason === undefined)("a routed pod network of nodes behind a router", () => {
  const lab = new RoutedLab();
  beforeAll(async () => {
    await build(lab, { a: ["198.18.1.2"], b: ["198.18.2.2"] }, false);
    await lab.pool("four", { cidr: "10.244.0.0/26", blockSize: 28, vxlanMode: "CrossSubnet" });
    await Promise.all([lab.run("a"), lab.run("b")]);
  });
  afterAll(() => lab.remove());

  it("pods reach each other through the VXLAN, in packets that leave it room", async () => {
    const [one, two] = [await lab.pod("a"), await lab.pod("b")];
    const device = vxlanDeviceName(lab.dataDir("a"));
    for (const name of ["a", "b"])
      await until("the route through the VXLAN", async () =>
        (await routesOf(lab, name)).some(({ dev }) => dev === vxlanDeviceName(lab.dataDir(name))),
      );
    expect(await lab.addressSeen(one.netns, two.netns, two.addresses[0] ?? "")).toBe(one.addresses[0]);
    const [link] = JSON.parse(await lab.inside(one.netns, "ip", "-json", "link", "show", "dev", "eth0"));
    expect(link.mtu).toBe(1450);
    const own = (await lab.ip("a").addresses()).find(({ ifname }) => ifname === device)?.addr_info?.find(({ family }) => family === "inet");
    expect(await lab.addressSeen("a", two.netns, two.addresses[0] ?? ""), "a node speaks from its end of the tunnel").toBe(own?.local);
    expect((await lab.client.get(nodes, { name: "a" })).metadata.annotations).toMatchObject({
      "projectcalico.org/IPv4VXLANTunnelAddr": own?.local,
    });
  });

  it("a borrowed address is reached where it is", async () => {
    const own = async () => (await lab.client.list(ipamblocks)).items.filter(({ spec }) => spec.affinity === "host:b");
    const block = (await own())[0]?.spec;
    const free = block?.unallocated[0] ?? 0;
    const wanted = block?.cidr.replace(/\.(\d+)\/\d+$/, (_, first) => `.${Number(first) + free}`) ?? "";
    const borrowed = await lab.pod("a", [4], { "cni.projectcalico.org/ipAddrs": JSON.stringify([wanted]) });
    expect(borrowed.addresses).toEqual([wanted]);
    const other = await lab.pod("b");
    await until("a route of its own", async () => (await routesOf(lab, "b")).some(({ dst, dev }) => dst === wanted && dev !== undefined));
    expect(await lab.addressSeen(other.netns, borrowed.netns, wanted)).toBe(other.addresses[0]);
  });

  it("a pool whose addresses are used up says so, and gives one out again when it is free", async () => {
    await lab.pool("tiny", { cidr: "10.245.0.0/31", blockSize: 31, assignmentMode: "Manual" });
    const annotations = { "cni.projectcalico.org/ipv4pools": '["tiny"]' };
    const first = await until("the pool is known", () => lab.pod("a", [4], annotations).catch(() => undefined));
    await lab.pod("a", [4], annotations);
    await expect(lab.pod("b", [4], annotations)).rejects.toThrow(/no IPv4 address is left for pods of node b in the IP pools tiny/);
    await first.remove();
    expect((await until("an address that is free again", () => lab.pod("a", [4], annotations).catch(() => undefined))).addresses).toEqual(
      first.addresses,
    );
  });

  it("without a pool that needs it there is no VXLAN", async () => {
    await setMode(lab, "four", "Never");
    await until("no VXLAN", async () => (await lab.ip("a").vxlan(vxlanDeviceName(lab.dataDir("a")))) === undefined);
  });
});

describe.runIf(reason === undefined)("a routed pod network of nodes within machines", () => {
  const lab = new RoutedLab();
  beforeAll(async () => {
    await build(lab, { a: ["198.18.1.2"], b: ["198.18.2.2"] }, false);
    await lab.innerNode("i", "a", { own: "172.29.0.2", machine: "172.29.0.1" });
    await lab.pool("four", { cidr: "10.244.0.0/24", blockSize: 28, vxlanMode: "CrossSubnet" });
    await Promise.all([lab.run("a"), lab.run("b"), lab.run("i", "a")]);
  });
  afterAll(() => lab.remove());

  it("pods reach each other through the machine, which speaks BGP with its own nodes and has a tunnel to the others", async () => {
    const pods = { a: await lab.pod("a"), b: await lab.pod("b"), i: await lab.pod("i") };
    const blocks = async (owner: string) =>
      (await lab.client.list(ipamblocks)).items.filter(({ spec }) => spec.affinity === `host:${owner}`).map(({ spec }) => spec.cidr);
    const isReached = async (from: string, to: string, by: Partial<Route>): Promise<boolean> => {
      const [block] = await blocks(to);
      const route = (await routesOf(lab, from)).find(({ dst }) => dst === block);
      return route !== undefined && Object.entries(by).every(([field, value]) => route[field as keyof Route] === value);
    };
    const vxlan = (name: string) => vxlanDeviceName(lab.dataDir(name));
    await until("i by BGP", () => isReached("a", "i", { gateway: "172.29.0.2", protocol: "bird" }));
    await until("b by the machine", () => isReached("i", "b", { gateway: "172.29.0.1" }));
    await until("i through the machine's tunnel", () => isReached("b", "i", { dev: vxlan("b") }));
    await until("b through the tunnel", () => isReached("a", "b", { dev: vxlan("a") }));
    for (const [from, to] of [
      ["b", "i"],
      ["i", "b"],
      ["a", "i"],
      ["i", "a"],
    ] as const)
      expect(await lab.addressSeen(pods[from].netns, pods[to].netns, pods[to].addresses[0] ?? ""), `${from} to ${to}`).toBe(
        pods[from].addresses[0],
      );
    // The node within the machine itself, which has an address that other machines know by the cluster alone.
    await until("a way to i", async () => (await routesOf(lab, "b")).some(({ dst, dev }) => dst === "172.29.0.2" && dev === vxlan("b")));
    const own = (await lab.ip("b").addresses())
      .find(({ ifname }) => ifname === vxlan("b"))
      ?.addr_info?.find(({ family }) => family === "inet");
    expect(await lab.addressSeen("b", "i", "172.29.0.2"), "from another machine").toBe(own?.local);
    expect(await lab.addressSeen(pods.b.netns, "i", "172.29.0.2"), "from its pods").toBe(pods.b.addresses[0]);
    expect(await lab.addressSeen("a", "i", "172.29.0.2"), "from its own machine").toBe("172.29.0.1");
  });
});

describe.runIf(noIpip === undefined)("a routed pod network with IPIP", () => {
  const lab = new RoutedLab();
  beforeAll(async () => {
    await build(lab, { a: ["198.18.1.2"], b: ["198.18.2.2"] }, false);
    await lab.pool("four", { cidr: "10.244.0.0/24", blockSize: 28, ipipMode: "CrossSubnet" });
    await Promise.all([lab.run("a"), lab.run("b")]);
  });
  afterAll(() => lab.remove());

  it("pods reach each other through it", async () => {
    const [one, two] = [await lab.pod("a"), await lab.pod("b")];
    for (const name of ["a", "b"])
      await until("the tunnel", async () => (await routesOf(lab, name)).some(({ dev }) => dev?.startsWith("corp-")));
    expect(await lab.addressSeen(one.netns, two.netns, two.addresses[0] ?? "")).toBe(one.addresses[0]);
  });
});
