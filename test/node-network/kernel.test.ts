// The network between nodes on the real kernel: nodes are network namespaces, pods addresses in them, and what one pod sees of
// another is what a program there sees. The API is one in memory.
import { spawn } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodes } from "../../src/api/resources.generated.ts";
import { realClock } from "../../src/base/clock.ts";
import { StopStack } from "../../src/base/lifecycle.ts";
import { silentLogger } from "../../src/base/log.ts";
import { createClient } from "../../src/client/create-client.ts";
import { createInformerFactory } from "../../src/client/informer-factory.ts";
import { renderResolver } from "../../src/cmd/node-resolver.ts";
import { renderMasquerade } from "../../src/cni/masquerade.ts";
import { podBridgeName, vxlanDeviceName } from "../../src/cni/network-config.ts";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { createIpTool } from "../../src/linux/ip-tool.ts";
import { createNamespace, namespacePath, removeNamespace } from "../../src/linux/network-namespaces.ts";
import { createNftables } from "../../src/linux/nftables.ts";
import type { PodNetworkMode } from "../../src/node-network/cluster-network.ts";
import { routeProtocol } from "../../src/node-network/commands.ts";
import { startNodeNetwork } from "../../src/node-network/node-network.ts";
import { createFakeApi } from "../../src/testing/fake-api.ts";
import { mustRun, until } from "../support/processes.ts";

const reason = await whyNot();
if (reason) console.log(`the network between nodes is not tried on the kernel: ${reason}`);

async function whyNot(): Promise<string | undefined> {
  if (process.platform !== "linux") return `it needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "it needs root";
  const tools = ["ip", "bridge", "nft", "nsenter"];
  const found = await Promise.all(tools.map(findExecutable));
  const missing = tools.filter((_, i) => found[i] === undefined);
  return missing.length > 0 ? `not installed: ${missing.join(", ")}` : undefined;
}

const dataDir = `/kernel-test/${process.pid}`;
const device = vxlanDeviceName(dataDir);
const bridge = podBridgeName(dataDir);
const clusterCidrs = ["10.244.0.0/16", "fd00:10:244::/56"];

/** A node of the test: its address, its pod ranges, and a pod's address of each family. */
interface Place {
  readonly name: string;
  readonly address: string;
  readonly podCidrs: readonly string[];
  readonly pods: readonly string[];
}

const place = (name: string, number: number, address: string): Place => ({
  name,
  address,
  podCidrs: [`10.244.${number}.0/24`, `fd00:10:244:${number}::/64`],
  pods: [`10.244.${number}.5`, `fd00:10:244:${number}::5`],
});

/** An address, and the node it is on; "" is any. */
interface Socket {
  readonly node: string;
  readonly address: string;
}

/** The server says that it listens, and who speaks to it; the client ends with 0 when it was answered. */
const programs = {
  tcp: {
    server: `require("net").createServer((s) => { console.log(s.remoteAddress); process.exit(0); })
      .listen(Number(process.argv[2]), process.argv[1], () => console.log("listens"))`,
    client: `const end = (code) => () => process.exit(code);
      require("net").connect({ host: process.argv[1], port: Number(process.argv[3]), localAddress: process.argv[2] || undefined, timeout: 5000 })
      .on("connect", end(0)).on("timeout", end(1)).on("error", end(1))`,
  },
  udp: {
    server: `const s = require("dgram").createSocket("udp4");
      s.on("message", (m, from) => s.send(m, from.port, from.address, () => { console.log(from.address); process.exit(0); }));
      s.bind(Number(process.argv[2]), process.argv[1], () => console.log("listens"))`,
    client: `const s = require("dgram").createSocket("udp4");
      s.on("message", () => process.exit(0));
      s.bind(0, process.argv[2] || undefined, () => s.send("hello", Number(process.argv[3]), process.argv[1]));
      setTimeout(() => process.exit(1), 5000)`,
  },
} as const;

/** Several nodes on cables of a router, in namespaces of the test's own. */
class Lab {
  readonly #stack = new StopStack();
  readonly #api = createFakeApi(realClock);
  readonly client = createClient(this.#api);
  readonly #prefix: string;

  constructor(name: string) {
    this.#prefix = `ct${process.pid}-${name}`;
  }

  netns(name: string): string {
    return `${this.#prefix}-${name}`;
  }

  ip(name: string) {
    return createIpTool({ netns: this.netns(name) });
  }

  async namespace(name: string): Promise<void> {
    await createNamespace(this.netns(name));
    this.#stack.defer(() => removeNamespace(this.netns(name)));
    await this.ip(name).apply(["link set lo up"]);
    await this.inside(name, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
  }

  /** A namespace with a cable into the router, a pod's addresses, and its object. */
  async node(at: Place, gateway: string, onRouter: readonly string[]): Promise<void> {
    await this.namespace(at.name);
    await this.ip("router").apply([
      `link add name n-${at.name} type veth peer name eth0 netns ${this.netns(at.name)}`,
      `link set dev n-${at.name} up`,
      ...onRouter.map((command) => `${command} n-${at.name}`),
    ]);
    await this.settle(at, gateway);
  }

  /** What a node has inside: its address, its pods' ones, and its object. */
  async settle(at: Place, gateway: string): Promise<void> {
    await this.ip(at.name).apply([
      "link set dev eth0 up",
      `address add ${at.address}/24 dev eth0`,
      `route add default via ${gateway}`,
      `link add name ${bridge} type bridge`,
      `link set dev ${bridge} up`,
      ...at.pods.map((pod) => `address add ${pod}/${pod.includes(":") ? "64 nodad" : "24"} dev ${bridge}`),
    ]);
    await this.client.create(nodes, {
      metadata: { name: at.name },
      spec: { podCIDRs: at.podCidrs },
      status: { addresses: [{ type: "InternalIP", address: at.address }] },
    });
  }

  /** Runs the network of a node as the node itself would. */
  run(at: Place, mode: PodNetworkMode, behind?: string): StopStack {
    const stack = new StopStack();
    this.#stack.add(stack);
    const informers = stack.add(createInformerFactory(this.client, { clock: realClock, logger: silentLogger }));
    const nft = createNftables({ netns: namespacePath(this.netns(at.name)) });
    stack.add(
      startNodeNetwork(
        {
          ...{ client: this.client, informers, clock: realClock, logger: silentLogger, ip: this.ip(at.name) },
          masquerade: (options) => nft.apply(renderMasquerade(options)),
        },
        {
          nodeName: at.name,
          dataDir,
          clusterCidrs,
          network: { mode, vni: 77, port: 8472, nodeCidrs: ["172.29.0.0/24"] },
          behind,
          linkInterface: "inner",
        },
      ),
    );
    informers.start();
    return stack;
  }

  routes(name: string) {
    return Promise.all([this.ip(name).routes(4, routeProtocol), this.ip(name).routes(6, routeProtocol)]).then((all) => all.flat());
  }

  /** What a server at `to` sees as the address of a client at `from`. */
  async addressSeen(from: Socket, to: Socket & { readonly via?: string }, protocol: "tcp" | "udp" = "tcp", port = 7777): Promise<string> {
    const { server, client } = programs[protocol];
    const serving = spawn("nsenter", [
      `--net=${namespacePath(this.netns(to.node))}`,
      process.execPath,
      "-e",
      server,
      to.address,
      String(port),
    ]);
    let output = "";
    serving.stdout.on("data", (chunk) => (output += chunk));
    try {
      await until("the server listens", () => output.includes("listens"), 10_000);
      await this.inside(from.node, process.execPath, "-e", client, to.via ?? to.address, from.address, String(port));
      return await until("the server has seen the client", () => output.split("\n")[1] || undefined, 10_000);
    } finally {
      serving.kill("SIGKILL");
    }
  }

  async remove(): Promise<void> {
    await this.#stack.stop();
    await this.#api.close();
  }

  /** Runs a program in a namespace; resolves with what it printed. */
  inside(name: string, command: string, ...args: readonly string[]): Promise<string> {
    return mustRun("nsenter", [`--net=${namespacePath(this.netns(name))}`, command, ...args]);
  }
}

describe.runIf(reason === undefined)("nodes on one link", () => {
  const lab = new Lab("one");
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
  const lab = new Lab("dns");
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
  const lab = new Lab("two");
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
  const lab = new Lab("three");
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
    const running = [lab.run(a, mode), lab.run(b, mode), lab.run(inner, mode, "a")];
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
