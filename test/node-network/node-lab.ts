// Nodes in network namespaces of a test's own, each with the network between nodes that real ones have; pods are addresses in them,
// and what one pod sees of another is what a program there sees. The API is one in memory.
import { spawn } from "node:child_process";
import { nodes } from "../../src/api/resources.generated.ts";
import { realClock } from "../../src/base/clock.ts";
import { StopStack } from "../../src/base/lifecycle.ts";
import { silentLogger } from "../../src/base/log.ts";
import { createClient } from "../../src/client/create-client.ts";
import { createInformerFactory } from "../../src/client/informer-factory.ts";
import { renderMasquerade } from "../../src/cni/masquerade.ts";
import { podBridgeName, udpDeviceName, vxlanDeviceName } from "../../src/cni/network-config.ts";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { createIpTool, type IpTool } from "../../src/linux/ip-tool.ts";
import { createNamespace, namespacePath, removeNamespace } from "../../src/linux/network-namespaces.ts";
import { createNftables } from "../../src/linux/nftables.ts";
import { CommandError } from "../../src/linux/run-command.ts";
import type { PodNetworkMode } from "../../src/node-network/cluster-network.ts";
import { routeProtocol } from "../../src/node-network/commands.ts";
import { startNodeNetwork } from "../../src/node-network/node-network.ts";
import { createUdpTunnel } from "../../src/node-network/udp-tunnel.ts";
import { createFakeApi } from "../../src/testing/fake-api.ts";
import { mustRun, until } from "../support/processes.ts";

/** Why it cannot be tried here; undefined when it can. */
export async function whyNoNodeLab(): Promise<string | undefined> {
  if (process.platform !== "linux") return `it needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "it needs root";
  const tools = ["ip", "bridge", "nft", "nsenter"];
  const found = await Promise.all(tools.map(findExecutable));
  const missing = tools.filter((_, i) => found[i] === undefined);
  return missing.length > 0 ? `not installed: ${missing.join(", ")}` : undefined;
}

export const dataDir = `/kernel-test/${process.pid}`;
export const device = vxlanDeviceName(dataDir);
export const udpDevice = udpDeviceName(dataDir);
const bridge = podBridgeName(dataDir);
const clusterCidrs = ["10.244.0.0/16", "fd00:10:244::/56"];

/** A node of the test: its address, its pod ranges, and a pod's address of each family. */
export interface Place {
  readonly name: string;
  readonly address: string;
  readonly podCidrs: readonly string[];
  readonly pods: readonly string[];
}

export const place = (name: string, number: number, address: string): Place => ({
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

/** A kernel that was built without VXLAN. */
function withoutVxlan(ip: IpTool): IpTool {
  return {
    ...ip,
    vxlan: async () => undefined,
    apply: async (commands) => {
      if (commands.some((command) => command.includes("type vxlan")))
        throw new CommandError("ip -batch -: exit code 2", { exitCode: 2, stderr: "Error: Unknown device type.\n" });
      await ip.apply(commands);
    },
  };
}

/** Several nodes on cables of a router, in namespaces of the test's own. */
export class NodeLab {
  readonly #stack = new StopStack();
  readonly #api = createFakeApi(realClock);
  readonly client = createClient(this.#api);
  readonly #prefix: string;

  constructor(name: string) {
    this.#prefix = `nl${process.pid}-${name}`;
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
      `address add ${at.address}${at.address.includes(":") ? "/64 nodad" : "/24"} dev eth0`,
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

  /** Runs the network of a node as the node itself would; on a kernel that knows no VXLAN where that is so. */
  run(
    at: Place,
    mode: PodNetworkMode,
    { behind, lacksVxlan = false }: { readonly behind?: string; readonly lacksVxlan?: boolean } = {},
  ): StopStack {
    const stack = new StopStack();
    this.#stack.add(stack);
    const informers = stack.add(createInformerFactory(this.client, { clock: realClock, logger: silentLogger }));
    const nft = createNftables({ netns: namespacePath(this.netns(at.name)) });
    stack.add(
      startNodeNetwork(
        {
          ...{
            client: this.client,
            informers,
            clock: realClock,
            logger: silentLogger,
            ip: lacksVxlan ? withoutVxlan(this.ip(at.name)) : this.ip(at.name),
          },
          udpTunnel: (deps, name) => createUdpTunnel({ ...deps, netns: namespacePath(this.netns(at.name)) }, name),
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
