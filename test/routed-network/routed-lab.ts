// Nodes of a routed pod network in network namespaces of a test's own, each with the routing daemon and the plugin that real
// nodes have, and pods in namespaces beside them. The API is one in memory.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { nodes, pods } from "../../src/api/resources.generated.ts";
import { realClock } from "../../src/base/clock.ts";
import { StopStack } from "../../src/base/lifecycle.ts";
import { silentLogger } from "../../src/base/log.ts";
import { createClient } from "../../src/client/create-client.ts";
import { createInformerFactory } from "../../src/client/informer-factory.ts";
import { renderMasquerade } from "../../src/cni/masquerade.ts";
import type { CniCall, CniEffects } from "../../src/cni/plugins/plugin.ts";
import type { CniResult } from "../../src/cni/spec/result.ts";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { createIpTool } from "../../src/linux/ip-tool.ts";
import { createNamespace, namespacePath, removeNamespace } from "../../src/linux/network-namespaces.ts";
import { createNftables } from "../../src/linux/nftables.ts";
import { CommandError, runCommand } from "../../src/linux/run-command.ts";
import { createBird, removeBird, whyNoBird } from "../../src/routed-network/bird.ts";
import { birdDirectory } from "../../src/routed-network/names.ts";
import { type IPPool, ippools, routedResources } from "../../src/routed-network/resources.ts";
import { type RoutedNetwork, startRoutedNetwork } from "../../src/routed-network/routed-network.ts";
import { createFakeApi } from "../../src/testing/fake-api.ts";
import { mustRun, until } from "../support/processes.ts";

/** Why it cannot be tried here; undefined when it can. */
export async function whyNoRoutedLab(): Promise<string | undefined> {
  if (process.platform !== "linux") return `it needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "it needs root";
  const tools = ["ip", "bridge", "nft", "nsenter"];
  const found = await Promise.all(tools.map(findExecutable));
  const missing = tools.filter((_, i) => found[i] === undefined);
  return missing.length > 0 ? `not installed: ${missing.join(", ")}` : whyNoBird();
}

export interface LabPod {
  readonly node: string;
  /** Name of its network namespace. */
  readonly netns: string;
  readonly addresses: readonly string[];
  readonly result: CniResult;
  remove(): Promise<void>;
}

/** The server says that it listens, and who speaks to it; the client ends with 0 when it was answered. */
const server = `require("net").createServer((s) => { console.log(s.remoteAddress); process.exit(0); })
  .listen(Number(process.argv[2]), process.argv[1], () => console.log("listens"))`;
const client = `const end = (code) => () => process.exit(code);
  require("net").connect({ host: process.argv[1], port: Number(process.argv[2]), timeout: 20000 })
  .on("connect", end(0)).on("timeout", end(1)).on("error", end(1))`;

export class RoutedLab {
  readonly #stack = new StopStack();
  readonly #api = createFakeApi(realClock, routedResources);
  readonly client = createClient(this.#api);
  readonly #prefix = `rl${randomBytes(3).toString("hex")}`;
  readonly #running = new Map<string, { readonly network: RoutedNetwork; readonly stack: StopStack }>();
  #pods = 0;

  netns(name: string): string {
    return `${this.#prefix}-${name}`;
  }

  dataDir(name: string): string {
    return `/tmp/${this.#prefix}/${name}`;
  }

  ip(name: string) {
    return createIpTool({ netns: this.netns(name) });
  }

  /** Runs a program in a namespace; resolves with what it printed. */
  inside(name: string, command: string, ...args: readonly string[]): Promise<string> {
    return mustRun("nsenter", [`--net=${namespacePath(this.netns(name))}`, command, ...args]);
  }

  async namespace(name: string): Promise<void> {
    await createNamespace(this.netns(name));
    this.#stack.defer(() => removeNamespace(this.netns(name)));
    await this.ip(name).apply(["link set lo up"]);
    await this.inside(name, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
  }

  /** A node with a cable into the router, and its object. `onRouter`: commands that get the cable's name. */
  async node(name: string, addresses: readonly string[], onRouter: readonly string[]): Promise<void> {
    await this.namespace(name);
    this.#stack.defer(() => rm(`/tmp/${this.#prefix}`, { recursive: true, force: true }));
    await this.ip("router").apply([
      `link add name n-${name} type veth peer name eth0 netns ${this.netns(name)}`,
      `link set dev n-${name} up`,
      ...onRouter.map((command) => `${command} n-${name}${command.includes(":") ? " nodad" : ""}`),
    ]);
    await this.ip(name).apply([
      "link set dev eth0 up",
      ...addresses.map(
        (address) => `address add ${address}/${address.includes(":") ? "64" : "24"} dev eth0${address.includes(":") ? " nodad" : ""}`,
      ),
      `route add default via ${addresses[0]?.replace(/\.\d+$/, ".254")}`,
    ]);
    await this.client.create(nodes, {
      metadata: { name },
      spec: {},
      status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) },
    });
  }

  /** A node within another one, on a link that only the two have. */
  async innerNode(name: string, machine: string, addresses: { readonly own: string; readonly machine: string }): Promise<void> {
    await this.namespace(name);
    await this.ip(machine).apply([
      `link add name inner type veth peer name eth0 netns ${this.netns(name)}`,
      "link set dev inner up",
      `address add ${addresses.machine}/24 dev inner`,
    ]);
    await this.ip(name).apply([
      "link set dev eth0 up",
      `address add ${addresses.own}/24 dev eth0`,
      `route add default via ${addresses.machine}`,
    ]);
    const status = { addresses: [{ type: "InternalIP", address: addresses.own }] };
    await this.client.create(nodes, { metadata: { name }, spec: {}, status });
  }

  pool(name: string, spec: IPPool["spec"]): Promise<IPPool> {
    return this.client.create(ippools, { metadata: { name }, spec });
  }

  /** Runs the network of a node as the node itself would; again where it ran before. */
  async run(name: string, behind?: string): Promise<RoutedNetwork> {
    await this.stopNode(name);
    const stack = new StopStack();
    const netns = namespacePath(this.netns(name));
    const nftables = createNftables({ netns });
    const informers = stack.add(createInformerFactory(this.client, { clock: realClock, logger: silentLogger }));
    const directory = birdDirectory(this.dataDir(name));
    const network = stack.add(
      startRoutedNetwork(
        {
          ...{ client: this.client, informers, clock: realClock, logger: silentLogger, ip: this.ip(name) },
          masquerade: (options) => nftables.apply(renderMasquerade(options)),
          daemon: createBird({ directory, logger: silentLogger, netns }),
        },
        {
          nodeName: name,
          dataDir: this.dataDir(name),
          network: { mode: "routed", vni: 77, port: 8472, nodeCidrs: ["172.29.0.0/24"] },
          reserved: [],
          behind,
          linkInterface: "inner",
        },
      ),
    );
    this.#stack.defer(() => removeBird(directory, realClock));
    this.#running.set(name, { network, stack });
    informers.start();
    await network.podMtu();
    return network;
  }

  /** The node's process ends; what it has in the kernel stays. */
  async stopNode(name: string): Promise<void> {
    await this.#running.get(name)?.stack.stop();
    this.#running.delete(name);
  }

  refresh(name: string): void {
    this.#running.get(name)?.network.refresh();
  }

  /** A pod with one address of each family. */
  async pod(node: string, families: readonly (4 | 6)[] = [4], annotations: Readonly<Record<string, string>> = {}): Promise<LabPod> {
    const running = this.#running.get(node);
    if (!running) throw new Error(`node ${node} does not run`);
    const number = ++this.#pods;
    const [name, containerId] = [`pod-${number}`, `c${randomBytes(8).toString("hex")}`];
    await createNamespace(this.netns(name));
    this.#stack.defer(() => removeNamespace(this.netns(name)));
    await this.ip(name).apply(["link set lo up"]);
    await this.client.create(pods, { metadata: { name, namespace: "default", annotations }, spec: { nodeName: node, containers: [] } });
    const call: CniCall = {
      config: { cniVersion: "1.0.0", name: "lab", type: "coracle-routed", mtu: await running.network.podMtu(), families },
      ...{ containerId, netns: namespacePath(this.netns(name)), ifName: "eth0", path: [], rawArgs: "" },
      args: { K8S_POD_NAMESPACE: "default", K8S_POD_NAME: name },
    };
    const effects = this.#effects(node);
    const result = await running.network.plugin.add(call, effects);
    const remove = () => this.#running.get(node)?.network.plugin.del(call, effects) ?? Promise.resolve();
    const addresses = (result.ips ?? []).map(({ address }) => address.replace(/\/\d+$/, ""));
    return { node, netns: name, addresses, result, remove };
  }

  /** The address under which a server in `to` sees a client in `from`. */
  async addressSeen(from: string, to: string, address: string, port = 7777): Promise<string> {
    const serving = spawn("nsenter", [`--net=${namespacePath(this.netns(to))}`, process.execPath, "-e", server, address, String(port)]);
    let output = "";
    serving.stdout.on("data", (chunk) => (output += chunk));
    try {
      await until("the server listens", () => output.includes("listens"));
      await this.inside(from, process.execPath, "-e", client, address, String(port));
      return await until("the server has seen the client", () => output.split("\n")[1] || undefined);
    } finally {
      serving.kill("SIGKILL");
    }
  }

  async remove(): Promise<void> {
    for (const name of [...this.#running.keys()]) await this.stopNode(name);
    await this.#stack.stop();
    await this.#api.close();
  }

  /** What the plugin does, in the node's namespace. */
  #effects(node: string): CniEffects {
    const home = namespacePath(this.netns(node));
    const run: CniEffects["run"] = (tool, args, { netns = home, ...options } = {}) =>
      runCommand("nsenter", [`--net=${netns}`, tool, ...args], options);
    const effects: Partial<CniEffects> = {
      run,
      async ip({ commands, netns = home, sysctls = {} }) {
        if (Object.keys(sysctls).length > 0) await writeSysctls(sysctls, netns);
        for (const command of commands) {
          const text = typeof command === "string" ? command : command.command;
          await run("ip", text.split(" "), { netns }).catch((error: unknown) => {
            if (typeof command === "string" || !(error instanceof CommandError) || !command.unless.test(error.stderr)) throw error;
          });
        }
      },
      sysctl: (values) => writeSysctls(values, home),
      randomBytes: (count) => randomBytes(count),
      signal: new AbortController().signal,
    };
    return effects as CniEffects; // all that the plugin uses
  }
}

async function writeSysctls(values: Readonly<Record<string, string>>, netns: string): Promise<void> {
  for (const [name, value] of Object.entries(values))
    await runCommand("nsenter", [`--net=${netns}`, "sh", "-c", 'printf %s "$2" > "/proc/sys/$1"', "sh", name, value]);
}
