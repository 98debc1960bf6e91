// The network between nodes on the real kernel: routes between neighbours, VXLAN to others.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodes } from "../../src/api/resources.generated.ts";
import { renderResolver } from "../../src/cmd/node/node-resolver.ts";
import { namespacePath } from "../../src/linux/network-namespaces.ts";
import { createNftables } from "../../src/linux/nftables.ts";
import { routeProtocol } from "../../src/node-network/commands.ts";
import { mustRun, until } from "../support/processes.ts";
import { device, NodeLab, place, whyNoNodeLab } from "./node-lab.ts";

const reason = await whyNoNodeLab();
if (reason) console.log(`the network between nodes is not tried on the kernel: ${reason}`);

describe.runIf(reason === undefined)("nodes on one link", () => {
  const lab = new NodeLab("one");
  const [a, b] = [place("a", 1, "192.0.2.1"), place("b", 2, "192.0.2.2")];
  beforeAll(async () => {
    await lab.namespace("router");
    await lab.ip("router").apply(["link add name hub type bridge", "link set dev hub up", "address add 192.0.2.254/24 dev hub"]);
    for (const node of [a, b]) await lab.node(node, "192.0.2.254", ["link set master hub dev"]);
    // As an earlier run has left it, that has crashed: of a node that is no more, and of another cluster.
    await lab
      .ip("a")
      .apply([
        `route add 10.244.9.0/24 via 192.0.2.9 dev eth0 proto ${routeProtocol}`,
        `route add 10.99.9.0/24 via 192.0.2.9 dev eth0 proto ${routeProtocol}`,
      ]);
  });
  afterAll(() => lab.remove());

  it("auto: pods of neighbours are reached by routes, under their own addresses", async () => {
    for (const node of [a, b]) lab.run(node, "auto");
    const hasRoute = async (name: string, dst: string, gateway: string): Promise<boolean> =>
      (await lab.routes(name)).some((route) => route.dst === dst && route.gateway === gateway);
    await until("the route to b", () => hasRoute("a", "10.244.2.0/24", "192.0.2.2"));
    await until("the route to a", () => hasRoute("b", "10.244.1.0/24", "192.0.2.1"));
    const [from, to] = [
      { node: "a", address: "10.244.1.5" },
      { node: "b", address: "10.244.2.5" },
    ];
    expect(await lab.addressSeen(from, to)).toBe("10.244.1.5");
    expect(await lab.addressSeen(to, from)).toBe("10.244.2.5");
    expect(await lab.addressSeen(from, to, "udp")).toBe("10.244.1.5");
    expect(await lab.addressSeen({ node: "a", address: "192.0.2.1" }, to, "udp"), "from a node to a pod").toBe("192.0.2.1");
    expect(await lab.addressSeen(from, { node: "b", address: "192.0.2.2" }), "a node sees the pod's own address").toBe("10.244.1.5");
  });

  it("IPv6 pods go through the VXLAN where the link has IPv4 alone", async () => {
    await until("the other end is known", async () => (await lab.ip("a").neighbours(device)).some((n) => n.dst === "fd00:10:244:2::"));
    const [from, to] = [
      { node: "a", address: "fd00:10:244:1::5" },
      { node: "b", address: "fd00:10:244:2::5" },
    ];
    await until("the route to the other node", async () => (await lab.routes("b")).some((r) => r.dst === "fd00:10:244:1::/64"));
    expect(await lab.addressSeen(from, to)).toBe("fd00:10:244:1::5");
  });

  it("what an earlier run has left is gone, and what is another cluster's is not", async () => {
    const left = async () => (await lab.routes("a")).map(({ dst }) => dst);
    await until("no route to the node that is no more", async () => !(await left()).includes("10.244.9.0/24"));
    expect(await left()).toContain("10.99.9.0/24");
  });

  it("a node that leaves takes its routes with it", async () => {
    await lab.client.delete(nodes, { name: "b" });
    await until("no route to the node", async () => (await lab.routes("a")).every(({ dst }) => dst === "10.99.9.0/24"));
    await until("no VXLAN, since nobody is behind it", async () => (await lab.ip("a").vxlan(device)) === undefined);
  });
});

describe.runIf(reason === undefined)("names in a namespace", () => {
  const lab = new NodeLab("dns");
  afterAll(() => lab.remove());

  it("what is sent to a stub on loopback reaches the resolver behind it", async () => {
    await lab.namespace("router");
    await lab.node(place("n", 1, "198.18.1.2"), "198.18.1.1", ["address add 198.18.1.1/24 dev"]);
    await lab.inside("n", "/bin/sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet");
    await createNftables({ netns: namespacePath(lab.netns("n")) }).apply(renderResolver(["127.0.0.53"], "198.18.1.1"));
    for (const protocol of ["tcp", "udp"] as const) {
      const seen = await lab.addressSeen(
        { node: "n", address: "" },
        { node: "router", address: "198.18.1.1", via: "127.0.0.53" },
        protocol,
        53,
      );
      expect(seen, protocol).toBe("198.18.1.2");
    }
  });
});

describe.runIf(reason === undefined)("nodes behind a router", () => {
  const lab = new NodeLab("two");
  const [a, b] = [place("a", 1, "198.18.1.2"), place("b", 2, "198.18.2.2")];
  const [podOfA, podOfB] = [
    { node: "a", address: "10.244.1.5" },
    { node: "b", address: "10.244.2.5" },
  ];
  beforeAll(async () => {
    await lab.namespace("router");
    for (const [i, node] of [a, b].entries()) await lab.node(node, `198.18.${i + 1}.1`, [`address add 198.18.${i + 1}.1/24 dev`]);
  });
  afterAll(() => lab.remove());

  it("auto: pods are reached through the VXLAN, under their own addresses, in packets that leave it room", async () => {
    const running = [a, b].map((node) => lab.run(node, "auto"));
    await until("routes of both nodes", async () => (await lab.routes("a")).length === 2 && (await lab.routes("b")).length === 2);
    expect((await lab.ip("a").vxlan(device))?.mtu).toBe(1450);
    expect(await lab.addressSeen(podOfA, podOfB)).toBe("10.244.1.5");
    expect(await lab.addressSeen(podOfB, podOfA)).toBe("10.244.2.5");
    expect(await lab.addressSeen(podOfA, podOfB, "udp")).toBe("10.244.1.5");
    const [six, otherSix] = [
      { node: "a", address: "fd00:10:244:1::5" },
      { node: "b", address: "fd00:10:244:2::5" },
    ];
    expect(await lab.addressSeen(six, otherSix)).toBe("fd00:10:244:1::5");
    expect(await lab.addressSeen(podOfA, { node: "b", address: "198.18.2.2" }), "a node elsewhere sees the pod's node").toBe("198.18.1.2");
    for (const each of running) await each.stop();
  });

  it("a second start changes nothing: the device is the same one", async () => {
    const index = async () => (await mustRun("ip", ["-n", lab.netns("a"), "-o", "link", "show", device])).split(":")[0];
    const before = await index();
    const restarted = lab.run(a, "auto");
    await lab.ip("a").apply([`route del 10.244.2.0/24 proto ${routeProtocol}`]);
    await restarted.stop();
    const again = lab.run(a, "auto");
    await until("the route that was missing", async () => (await lab.routes("a")).some(({ dst }) => dst === "10.244.2.0/24"));
    expect(await index()).toBe(before);
    await again.stop();
  });

  it("entries of a node that has gone are gone", async () => {
    lab.run(a, "auto");
    await lab.client.delete(nodes, { name: "b" });
    await until("no VXLAN without others", async () => (await lab.ip("a").vxlan(device)) === undefined);
    expect(await lab.routes("a")).toEqual([]);
  });
});

describe.runIf(reason === undefined)("nodes within machines behind a router", () => {
  const lab = new NodeLab("three");
  const [a, b] = [place("a", 1, "198.18.1.2"), place("b", 2, "198.18.2.2")];
  const inner = place("i", 3, "172.29.0.2");
  beforeAll(async () => {
    await lab.namespace("router");
    for (const [i, node] of [a, b].entries()) await lab.node(node, `198.18.${i + 1}.1`, [`address add 198.18.${i + 1}.1/24 dev`]);
    await lab.namespace("i");
    await lab
      .ip("a")
      .apply([
        `link add name inner type veth peer name eth0 netns ${lab.netns("i")}`,
        "link set dev inner up",
        "address add 172.29.0.1/24 dev inner",
      ]);
    await lab.settle(inner, "172.29.0.1");
  });
  afterAll(() => lab.remove());

  it.each(["auto", "vxlan"] as const)("%s: pods of all of them reach each other, under their own addresses", async (mode) => {
    const running = [lab.run(a, mode), lab.run(b, mode), lab.run(inner, mode, { behind: "a" })];
    // b has one to the address of i as well, which is behind a.
    const counts = { a: 4, b: 5, i: 4 };
    for (const [name, count] of Object.entries(counts))
      await until(`the routes of ${name}`, async () => (await lab.routes(name)).length === count);
    const pods = { a: "10.244.1.5", b: "10.244.2.5", i: "10.244.3.5" };
    for (const [from, to] of [
      ["b", "i"],
      ["i", "b"],
      ["a", "i"],
      ["i", "a"],
    ] as const) {
      const seen = await lab.addressSeen({ node: from, address: pods[from] }, { node: to, address: pods[to] });
      expect(seen, `${from} to ${to}`).toBe(pods[from]);
    }
    // The node itself, from a pod and from a node of the other machine, which have no route of anybody's making to it.
    const itself = { node: "i", address: "172.29.0.2" };
    expect(await lab.addressSeen({ node: "b", address: pods.b }, itself), "a pod of b").toMatch(/^10\.244\.2\.[05]$/);
    expect(await lab.addressSeen({ node: "b", address: "" }, itself), "b").toBe("10.244.2.0");
    for (const each of running) await each.stop();
  });
});
