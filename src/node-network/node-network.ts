// The pod network between nodes, one on every node: keeps the routes to the pods of all other nodes, and the tunnel where they
// need one (VXLAN, or plain UDP where a kernel has none), as the Node objects say; publishes this node's own place in annotations of its object; keeps what leaves the
// cluster, and nothing else, hidden behind the node's address. Level-based: looks at everything whenever something changes,
// and once a minute, so that what others have taken away comes back and what an earlier run has left goes.
import { nodes } from "../api/resources.generated.ts";
import type { Node } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { Informer, InformerFactory } from "../client/informer.ts";
import { createWorkQueue } from "../client/work-queue.ts";
import { applyMasquerade } from "../cni/masquerade.ts";
import { udpDeviceName, vxlanDeviceName } from "../cni/network-config.ts";
import { createIpTool, type IpTool } from "../linux/ip-tool.ts";
import { defaultUdpPort, type PodNetwork } from "./cluster-network.ts";
import {
  deviceCommands,
  forwardingCommands,
  neighbourCommands,
  routeCommands,
  routeProtocol,
  tunnelAddressCommands,
  udpDeviceCommands,
  type WantedDevice,
} from "./commands.ts";
import { kernelMakesVxlan } from "./kernel-vxlan.ts";
import { hasPublished, missingAnnotations, type NodePlace, placeAnnotations, placeOf } from "./node-annotations.ts";
import { addressesOf, findUnderlay, localLinks, tunnelMac, tunnelMtu, type Underlay } from "./place.ts";
import { type NetworkPlan, planNetwork } from "./plan.ts";
import { createUdpTunnel, type UdpTunnel } from "./udp-tunnel.ts";

export interface NodeNetworkDeps {
  /** May read all nodes and change the annotations of its own. */
  readonly client: Client;
  /** Of the same client; the owner starts and stops them. */
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default this process's network namespace. */
  readonly ip?: IpTool;
  /** Default a program in this process's network namespace. */
  readonly udpTunnel?: typeof createUdpTunnel;
  /** Default the nftables table of the data directory. */
  readonly masquerade?: typeof applyMasquerade;
}

export interface NodeNetworkOptions {
  readonly nodeName: string;
  /** From which the names of interfaces are made. */
  readonly dataDir: string;
  readonly clusterCidrs: readonly string[];
  readonly network: PodNetwork;
  /** An interface that only some of the nodes share, looked at whether it is there or not. */
  readonly linkInterface?: string;
  /** The node by which nodes of other machines reach this one: the machine it is a part of. */
  readonly behind?: string | undefined;
}

export interface NodeNetwork extends Running {
  /** Largest packet for pods of this node. The node must be registered. */
  podMtu(): Promise<number>;
  /** Looks again now: interfaces of this machine have changed. */
  refresh(): void;
}

const resyncMs = 60_000;
const backoff = { baseMs: 200, maxMs: 30_000 };
const key = "network";

/** Runs at once; nothing is done before the node has its pod range. */
export function startNodeNetwork(deps: NodeNetworkDeps, options: NodeNetworkOptions): NodeNetwork {
  const { clock, logger, informers } = deps;
  const informer = informers.informer(nodes);
  const look = (): void => queue.add(key);
  const stack = new StopStack();
  const loop = new NetworkLoop(deps, options, { nodes: informer, look });
  stack.defer(() => loop.stop());
  const queue = createWorkQueue({
    name: "node-network",
    clock,
    logger,
    workers: 1,
    backoff,
    async process(_key, signal) {
      await informer.synced(signal);
      await loop.reconcile(signal);
      return { requeueAfterMs: resyncMs };
    },
  });
  // Most changes of a node are heartbeats.
  const handler = informer.addHandler({
    onAdd: look,
    onDelete: look,
    onUpdate: (now, before) => {
      if (JSON.stringify(placeOf(now)) !== JSON.stringify(placeOf(before))) look();
    },
  });
  stack.defer(() => handler.remove());
  queue.start();
  stack.add(queue);
  look();
  return { podMtu: () => loop.podMtu(), refresh: look, stop: () => stack.stop() };
}

class NetworkLoop {
  readonly #deps: NodeNetworkDeps;
  readonly #options: NodeNetworkOptions;
  readonly #nodes: Informer<Node>;
  readonly #ip: IpTool;
  readonly #device: string;
  readonly #udp: UdpTunnel;
  /** Whether nodes are reached in plain UDP, as this kernel makes no VXLAN; undefined until it was tried. */
  #isUdpOnly: boolean | undefined;
  #masquerade = "";
  #problems: ReadonlyMap<string, string> = new Map();

  constructor(
    deps: NodeNetworkDeps,
    options: NodeNetworkOptions,
    { nodes, look }: { readonly nodes: Informer<Node>; readonly look: () => void },
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#nodes = nodes;
    const { clock, logger } = deps;
    this.#udp = (deps.udpTunnel ?? createUdpTunnel)({ clock, logger, onRetry: look }, udpDeviceName(options.dataDir));
    this.#ip = deps.ip ?? createIpTool();
    this.#device = vxlanDeviceName(options.dataDir);
  }

  stop(): Promise<void> {
    return this.#udp.stop();
  }

  async podMtu(): Promise<number> {
    const { client } = this.#deps;
    const { nodeName, network } = this.#options;
    const underlay = await this.#underlayOf(await client.get(nodes, { name: nodeName }));
    return network.mode === "vxlan" || network.mode === "udp" ? tunnelMtu(underlay, network.mode) : underlay.mtu;
  }

  async reconcile(signal: AbortSignal): Promise<void> {
    const node = this.#nodes.get(this.#options.nodeName);
    if (!node) return;
    const { behind } = this.#options;
    const self = { ...placeOf(node), ...(behind === undefined ? {} : { behind }) };
    const interfaces = await this.#ip.addresses();
    const underlay = this.#found(interfaces, node);
    this.#isUdpOnly ??= await this.#findEncapsulation();
    await this.#publish(node, underlay, addressesOf(interfaces, this.#options.linkInterface ?? ""), signal);
    if (self.podCidrs.length === 0) return;
    const { clusterCidrs, network } = this.#options;
    const links = localLinks(interfaces, [underlay.device, this.#options.linkInterface ?? ""]);
    const ownRanges = localLinks(
      interfaces,
      interfaces.flatMap(({ ifname }) => (ifname === this.#device || ifname === this.#udp.device ? [] : [ifname])),
    );
    const udp = { device: this.#udp.device, address: underlay.address, isOnly: this.#isUdpOnly };
    const plan = planNetwork({ self, peers: this.#peers(), links, ownRanges, clusterCidrs, network, device: this.#device, udp });
    await this.#apply(plan, self, underlay);
    this.#report(plan);
  }

  async #findEncapsulation(): Promise<boolean> {
    const { mode, vni } = this.#options.network;
    if (mode !== "auto") return mode === "udp";
    const makesVxlan = await kernelMakesVxlan(this.#ip, { device: this.#device, vni });
    if (!makesVxlan) this.#deps.logger.info("This kernel makes no VXLAN: nodes elsewhere are reached in UDP packets of a program");
    return !makesVxlan;
  }

  #peers(): readonly NodePlace[] {
    const age = (node: Node): string => node.metadata.creationTimestamp ?? "";
    return [...this.#nodes.list()]
      .filter((node) => node.metadata.name !== this.#options.nodeName)
      .sort((a, b) => age(a).localeCompare(age(b)) || a.metadata.name.localeCompare(b.metadata.name))
      .map(placeOf);
  }

  async #underlayOf(node: Node): Promise<Underlay> {
    return this.#found(await this.#ip.addresses(), node);
  }

  #found(interfaces: Awaited<ReturnType<IpTool["addresses"]>>, node: Node): Underlay {
    const addresses = (node.status?.addresses ?? []).filter(({ type }) => type === "InternalIP").map(({ address }) => address);
    const underlay = findUnderlay(interfaces, addresses);
    if (!underlay) throw new Error(`no interface of this machine has an address of node ${node.metadata.name} (${addresses.join(", ")})`);
    return underlay;
  }

  async #publish(node: Node, { address }: Underlay, linkAddresses: readonly string[], signal: AbortSignal): Promise<void> {
    const { nodeName, network, behind } = this.#options;
    const vtep = { mac: tunnelMac(nodeName, network.vni), address, vni: network.vni };
    const end = network.mode === "host-gw" ? {} : this.#isUdpOnly ? { udp: true } : { vtep };
    const wanted = placeAnnotations({ publicIp: address, linkAddresses, behind, ...end });
    const annotations = missingAnnotations(node, wanted);
    if (annotations) await this.#deps.client.patch(nodes, { name: nodeName }, { metadata: { annotations } }, { type: "merge", signal });
  }

  /** From below to above: the device, who is behind it, and only then the routes. */
  async #apply(plan: NetworkPlan, self: NodePlace, underlay: Underlay): Promise<void> {
    const { nodeName, network, clusterCidrs } = this.#options;
    const device: WantedDevice | undefined =
      plan.tunnelAddresses.length === 0
        ? undefined
        : {
            ...{ name: this.#device, vni: network.vni, port: network.port, local: underlay.address, underlay: underlay.device },
            ...{ mac: tunnelMac(nodeName, network.vni), mtu: tunnelMtu(underlay, "vxlan") },
          };
    await this.#ip.apply(deviceCommands(await this.#ip.vxlan(this.#device), device, this.#device));
    if (device) await this.#applyTunnels(plan);
    const routes = (await this.#applyUdp(plan, underlay)) ? plan.routes : plan.routes.filter(({ remote }) => remote === undefined);
    const families = ([4, 6] as const).filter((family) => clusterCidrs.some((cidr) => cidr.includes(":") === (family === 6)));
    const observed = await Promise.all(families.map((family) => this.#ip.routes(family, routeProtocol)));
    await this.#ip.apply(routeCommands(observed.flat(), routes, [...clusterCidrs, ...(network.nodeCidrs ?? [])]));
    await this.#applyMasquerade(self.podCidrs, plan.directAddresses);
  }

  async #applyTunnels(plan: NetworkPlan): Promise<void> {
    const device = this.#device;
    const [neighbours, forwarding] = await Promise.all([this.#ip.neighbours(device), this.#ip.forwarding(device)]);
    const addresses = tunnelAddressCommands(device, plan.tunnelAddresses);
    await this.#ip.applyBridge(forwardingCommands(device, forwarding, plan));
    await this.#ip.apply([...addresses, ...neighbourCommands(device, neighbours, plan)]);
  }

  /** Whether the tunnel in plain UDP is there. */
  async #applyUdp({ udpAddresses: addresses, routes }: NetworkPlan, underlay: Underlay): Promise<boolean> {
    const { device } = this.#udp;
    const ways = routes.flatMap(({ destination, remote }) => (remote === undefined ? [] : [{ destination, remote }]));
    const port = this.#options.network.udpPort ?? defaultUdpPort;
    const isThere = await this.#udp.apply(addresses.length === 0 ? undefined : { local: underlay.address, port, ways });
    if (isThere) await this.#ip.apply(udpDeviceCommands(device, { addresses, mtu: tunnelMtu(underlay, "udp") }));
    return isThere;
  }

  /** Packets to nodes that know the way back carry the pod's own address, as Kubernetes' network model wants. */
  async #applyMasquerade(podCidrs: readonly string[], directAddresses: readonly string[]): Promise<void> {
    const { dataDir, clusterCidrs } = this.#options;
    const wanted = { dataDir, podCidrs, clusterCidrs, nodeAddresses: [...directAddresses].sort() };
    const text = JSON.stringify(wanted);
    if (text === this.#masquerade) return;
    await (this.#deps.masquerade ?? applyMasquerade)(wanted);
    this.#masquerade = text;
  }

  #report({ problems, routes }: NetworkPlan): void {
    const { logger } = this.#deps;
    for (const [name, problem] of problems) {
      if (this.#problems.get(name) === problem) continue;
      const node = this.#nodes.get(name);
      if (node && !hasPublished(node)) logger.info("The pods of a node cannot be reached yet", { node: name, problem }, 1);
      else logger.warn("The pods of a node cannot be reached", { node: name, problem });
    }
    this.#problems = problems;
    logger.info("Routes to the pods of other nodes are set", { routes: routes.length, nodes: this.#nodes.size - 1 }, 2);
  }
}
