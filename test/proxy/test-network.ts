// A small cluster's network in namespaces of the test's own: a node with two pods on its bridge, and a neighbour, which is
// another node with a pod of its own and also a client outside of the cluster. Nothing of it touches the machine's network.
//
//   pod1 10.244.1.2 ─┐ bridge 10.244.1.1          192.168.7.1     192.168.7.2
//   pod2 10.244.1.3 ─┴─────────────── node ───────────────────── neighbour, with pod3 10.244.2.2
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { type Conntrack, createConntrack } from "../../src/linux/conntrack.ts";
import { createNftables, type Nftables } from "../../src/linux/nftables.ts";
import { mustRun } from "../support/processes.ts";

export const addresses = {
  bridge: "10.244.1.1",
  pod1: "10.244.1.2",
  pod2: "10.244.1.3",
  node: "192.168.7.1",
  neighbour: "192.168.7.2",
  pod3: "10.244.2.2",
} as const;

export const addresses6 = {
  pod1: "fd44:1::2",
  pod2: "fd44:1::3",
  node: "fd07::1",
  neighbour: "fd07::2",
  pod3: "fd44:2::2",
} as const;

type Place = "node" | "neighbour" | "pod1" | "pod2";

const places: readonly Place[] = ["node", "neighbour", "pod1", "pod2"];

/** Below /proc/sys. */
const routerSettings = {
  "net/ipv4/ip_forward": "1",
  "net/ipv6/conf/all/forwarding": "1",
  "net/bridge/bridge-nf-call-iptables": "1",
  // Many clients in one: refusals are not rationed here.
  "net/ipv4/icmp_ratelimit": "0",
  "net/ipv6/icmp/ratelimit": "0",
};

interface Ask {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs?: number;
  readonly localPort?: number;
  readonly localAddress?: string;
}

export class TestNetwork {
  readonly #prefix: string;
  readonly #directory: string;
  readonly #agents = new Map<Place, Agent>();

  private constructor(prefix: string, directory: string) {
    this.#prefix = prefix;
    this.#directory = directory;
  }

  static async create(name: string): Promise<TestNetwork> {
    const directory = await mkdtemp(join(tmpdir(), "coracle-network-"));
    const network = new TestNetwork(`${name}-${process.pid}`, directory);
    try {
      await network.#build();
    } catch (error) {
      await network.remove();
      throw error;
    }
    return network;
  }

  namespace(place: Place): string {
    return `${this.#prefix}-${place}`;
  }

  get path(): string {
    return `/run/netns/${this.namespace("node")}`;
  }

  /** Of the node. */
  get nftables(): Nftables {
    return createNftables({ netns: this.path });
  }

  get conntrack(): Conntrack {
    return createConntrack({ netns: this.path });
  }

  /** `name` below /proc/sys. */
  async setSysctl(place: Place, name: string, value: string): Promise<void> {
    await this.exec(place, "sh", "-c", 'echo "$2" > "/proc/sys/$1"', "sh", name, value);
  }

  exec(place: Place, ...command: readonly string[]): Promise<string> {
    return mustRun("ip", ["netns", "exec", this.namespace(place), ...command]);
  }

  serveTcp(place: Place, host: string, port: number, name: string): Promise<string> {
    return this.#agent(place).ask({ kind: "serveTcp", host, port, name });
  }

  serveUdp(place: Place, host: string, port: number, name: string): Promise<string> {
    return this.#agent(place).ask({ kind: "serveUdp", host, port, name });
  }

  /** "<server's name> <client's address as the server sees it>", "refused" or "timeout". */
  tcp(place: Place, ask: Ask): Promise<string> {
    return this.#agent(place).ask({ kind: "tcp", ...ask });
  }

  udp(place: Place, ask: Ask): Promise<string> {
    return this.#agent(place).ask({ kind: "udp", ...ask });
  }

  async remove(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.stop()));
    for (const place of places) await mustRun("ip", ["netns", "delete", this.namespace(place)]).catch(() => undefined);
    await rm(this.#directory, { recursive: true });
  }

  #agent(place: Place): Agent {
    const agent = this.#agents.get(place);
    if (!agent) throw new Error(`nothing runs in ${place}`);
    return agent;
  }

  async #build(): Promise<void> {
    const program = join(this.#directory, "agent.mjs");
    const entry = join(import.meta.dirname, "network-agent.ts");
    await build({ entryPoints: [entry], outfile: program, bundle: true, platform: "node", format: "esm" });
    for (const place of places) await mustRun("ip", ["netns", "add", this.namespace(place)]);
    await mustRun("ip", ["-batch", "-"], { input: this.#links() });
    for (const place of places) {
      await mustRun("ip", ["-netns", this.namespace(place), "-batch", "-"], { input: addressCommands[place] });
      if (place === "node" || place === "neighbour")
        for (const [name, value] of Object.entries(routerSettings)) await this.setSysctl(place, name, value);
      this.#agents.set(place, new Agent(this.namespace(place), program));
    }
  }

  /** Ends of a cable get their place with their making; the bridge's ports reflect to themselves, as the bridge plugin's do. */
  #links(): string {
    const cable = (a: string, at: Place, b: string, bt: Place): string =>
      `link add ${a} netns ${this.namespace(at)} type veth peer name ${b} netns ${this.namespace(bt)}\n`;
    return cable("out", "node", "eth0", "neighbour") + cable("port1", "node", "eth0", "pod1") + cable("port2", "node", "eth0", "pod2");
  }
}

const lines = (...commands: readonly string[]): string => `${commands.join("\n")}\n`;

const up6 = (address: string, device: string): string => `address add ${address}/64 dev ${device} nodad`;

const podCommands = (address: string, address6: string): string =>
  lines(
    "link set lo up",
    "link set eth0 up",
    `address add ${address}/24 dev eth0`,
    up6(address6, "eth0"),
    `route add default via ${addresses.bridge}`,
    "route add default via fd44:1::1",
  );

const addressCommands: Readonly<Record<Place, string>> = {
  node: lines(
    "link set lo up",
    "link add br0 type bridge",
    "link set br0 up",
    `address add ${addresses.bridge}/24 dev br0`,
    up6("fd44:1::1", "br0"),
    ...["port1", "port2"].flatMap((port) => [`link set ${port} up master br0`, `link set ${port} type bridge_slave hairpin on`]),
    "link set out up",
    `address add ${addresses.node}/24 dev out`,
    up6(addresses6.node, "out"),
    `route add default via ${addresses.neighbour}`,
    `route add default via ${addresses6.neighbour}`,
  ),
  neighbour: lines(
    "link set lo up",
    "link set eth0 up",
    `address add ${addresses.neighbour}/24 dev eth0`,
    up6(addresses6.neighbour, "eth0"),
    // As if the pod's address were on another interface.
    `address add ${addresses.pod3}/32 dev lo`,
    `address add ${addresses6.pod3}/128 dev lo nodad`,
    // To the node's pods and, as of an administrator who routes them, to the services' addresses.
    ...["10.244.1.0/24", "10.96.0.0/16", "203.0.113.0/24"].map((range) => `route add ${range} via ${addresses.node}`),
    ...["fd44:1::/64", "fd96::/64"].map((range) => `route add ${range} via ${addresses6.node}`),
  ),
  pod1: podCommands(addresses.pod1, addresses6.pod1),
  pod2: podCommands(addresses.pod2, addresses6.pod2),
};

/** One process inside of a namespace; it ends with its input. */
class Agent {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { resolve(result: string): void; reject(error: Error): void }>();
  readonly #ended: Promise<void>;
  #nextId = 1;

  constructor(namespace: string, program: string) {
    this.#process = spawn("ip", ["netns", "exec", namespace, process.execPath, program], { stdio: ["pipe", "pipe", "inherit"] });
    this.#ended = new Promise((resolve) =>
      this.#process.on("close", () => {
        for (const { reject } of this.#waiting.values()) reject(new Error(`the process in ${namespace} has ended`));
        resolve();
      }),
    );
    if (!this.#process.stdout) throw new Error("no output");
    createInterface({ input: this.#process.stdout }).on("line", (line) => {
      const { id, result, error } = JSON.parse(line) as { id: number; result?: string; error?: string };
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result ?? "");
      else waiting?.reject(new Error(error));
    });
  }

  ask(request: object): Promise<string> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#process.stdin?.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  }

  async stop(): Promise<void> {
    this.#process.stdin?.end();
    await this.#ended;
  }
}
