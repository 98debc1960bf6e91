// A routed pod network on one node: keeps the routing daemon, the tunnels, the routes through them and the translation of
// addresses as nodes, pools and blocks say, and gives out addresses to the node's pods. Level-based: looks at everything whenever
// something changes that matters, and from time to time, so that what others have taken away comes back.

import { isStatus } from "../api/meta/status-error.ts";
import { nodes, pods } from "../api/resources.generated.ts";
import type { Node } from "../api/types/core-v1.ts";
import { type Clock, formatTime } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import { errorText, type Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { createEventRecorder, type EventRecorder } from "../client/event-recorder.ts";
import type { Informer, InformerFactory } from "../client/informer.ts";
import { createWorkQueue } from "../client/work-queue.ts";
import { applyMasquerade } from "../cni/masquerade.ts";
import { ipipDeviceName, vxlanDeviceName } from "../cni/network-config.ts";
import type { CniPlugin } from "../cni/plugins/plugin.ts";
import { createIpTool, type IpTool, type ListedInterface } from "../linux/ip-tool.ts";
import type { PodNetwork } from "../node-network/cluster-network.ts";
import { deviceCommands, forwardingCommands, neighbourCommands, routeCommands, routeProtocol } from "../node-network/commands.ts";
import { missingAnnotations, placeAnnotations } from "../node-network/node-annotations.ts";
import { addressesOf, findUnderlay, localLinks, tunnelMac, tunnelMtu, type Underlay } from "../node-network/place.ts";
import { birdLog, createBird, type RoutingDaemon } from "./bird.ts";
import { type BirdBgp, renderBirdConfig, routeMetric } from "./bird-config.ts";
import { nodeOfBlock } from "./block.ts";
import { birdDirectory, podCablePrefix, sandboxHandle, tunnelHandle } from "./names.ts";
import { bgpNodeOf, NodeBgp } from "./node-bgp.ts";
import { AddressesExhaustedError, NodeIpam } from "./node-ipam.ts";
import { borrowedOf, planRouted, type RoutedPlan } from "./plan.ts";
import { type PoolSet, poolsOf, type ReservedRange } from "./pools.ts";
import {
  type BGPConfiguration,
  type BGPFilter,
  type BGPPeer,
  bgpconfigurations,
  bgpfilters,
  bgppeers,
  type IPAMBlock,
  type IPAMConfig,
  type IPPool,
  ipamblocks,
  ipamConfigName,
  ipamconfigs,
  ippools,
} from "./resources.ts";
import { createRoutedPlugin } from "./routed-plugin.ts";
import { rememberRoutedNetwork } from "./teardown.ts";
import { ipipCommands, podMtuFor, routedNodeOf, type TunnelAddresses, tunnelAnnotations } from "./tunnels.ts";

export interface RoutedNetworkDeps {
  /** Of the node: sees pools, blocks and nodes, writes blocks and what belongs to them. */
  readonly client: Client;
  /** Of the same client; the owner starts and stops them. */
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default this process's network namespace. */
  readonly ip?: IpTool;
  readonly masquerade?: typeof applyMasquerade;
  readonly daemon?: RoutingDaemon;
  /** Default into a file of the data directory. */
  readonly remember?: typeof rememberRoutedNetwork;
}

export interface RoutedNetworkOptions {
  readonly nodeName: string;
  /** From which names in the kernel are made. */
  readonly dataDir: string;
  readonly network: PodNetwork;
  /** Ranges that no pool may have. */
  readonly reserved: readonly ReservedRange[];
  /** An interface that only some of the nodes share, looked at whether it is there or not. */
  readonly linkInterface?: string;
  /** The node by which nodes of other machines reach this one. */
  readonly behind?: string | undefined;
  /** The network's name in CNI, and the containers that are attached to it now: what others have is given back at the start. */
  readonly attached?: { readonly network: string; readonly containers: () => Promise<Iterable<string>> };
}

export interface RoutedNetwork extends Running {
  /** Largest packet for pods of this node. Resolves when the network stands: pods may be attached then, and not before. */
  podMtu(): Promise<number>;
  /** Looks again now: interfaces of this machine have changed. */
  refresh(): void;
  readonly plugin: CniPlugin;
}

const resyncMs = 60_000;
const watchMs = 10_000;
const backoff = { baseMs: 200, maxMs: 30_000 };
const key = "network";

export function startRoutedNetwork(deps: RoutedNetworkDeps, options: RoutedNetworkOptions): RoutedNetwork {
  const { client, clock, logger, informers } = deps;
  const stack = new StopStack();
  const recorder = stack.add(createEventRecorder({ client, clock, logger, component: "coracle-ipam", host: options.nodeName }));
  const loop = new RoutedLoop(deps, options, { recorder, look: () => queue.add(key) });
  stack.add(loop.bgp);
  const queue = createWorkQueue({
    ...{ name: "routed-network", clock, logger, workers: 1, backoff },
    async process(name, signal) {
      await loop.synced(signal);
      if (name === key) {
        await loop.reconcile(signal);
        return { requeueAfterMs: resyncMs };
      }
      if (await loop.daemonHasEnded()) queue.add(key);
      return { requeueAfterMs: watchMs };
    },
  });
  const look = (): void => queue.add(key);
  const follow = <T>(informer: { addHandler(handler: object): { remove(): void } }, matters: (object: T) => unknown): void => {
    const onUpdate = (now: T, before: T): void => {
      if (JSON.stringify(matters(now)) !== JSON.stringify(matters(before))) look();
    };
    const handler = informer.addHandler({ onAdd: look, onDelete: look, onUpdate });
    stack.defer(() => handler.remove());
  };
  // Most changes of nodes are heartbeats, and of blocks addresses that are given out.
  follow<Node>(informers.informer(nodes), (node) => [routedNodeOf(node), bgpNodeOf(node)]);
  follow<IPPool>(informers.informer(ippools), ({ spec }) => spec);
  follow<BGPPeer>(informers.informer(bgppeers), ({ spec }) => spec);
  follow<BGPConfiguration>(informers.informer(bgpconfigurations), ({ spec }) => spec);
  follow<BGPFilter>(informers.informer(bgpfilters), ({ spec }) => spec);
  follow<IPAMBlock>(informers.informer(ipamblocks), ({ spec }) => [nodeOfBlock(spec), borrowedOf(spec)]);
  queue.start();
  stack.add(queue);
  look();
  queue.add("daemon");
  return { podMtu: () => loop.podMtu, refresh: look, plugin: loop.plugin, stop: () => stack.stop() };
}

class RoutedLoop {
  readonly plugin: CniPlugin;
  readonly bgp: NodeBgp;
  /** Resolves when the network stood for the first time. */
  readonly podMtu: Promise<number>;
  readonly #deps: RoutedNetworkDeps;
  readonly #options: RoutedNetworkOptions;
  readonly #nodes: Informer<Node>;
  readonly #pools: Informer<IPPool>;
  readonly #blocks: Informer<IPAMBlock>;
  readonly #configs: Informer<IPAMConfig>;
  readonly #ip: IpTool;
  readonly #daemon: RoutingDaemon;
  readonly #ipam: NodeIpam;
  readonly #devices: { readonly vxlan: string; readonly ipip: string };
  readonly #recorder: EventRecorder;
  #stands: (mtu: number) => void = () => undefined;
  #hasReleased = false;
  #masquerade = "";
  #ranges: readonly string[] = [];
  #problems: ReadonlyMap<string, string> = new Map();
  #poolSet: { readonly texts: string; readonly set: PoolSet } | undefined;

  constructor(
    deps: RoutedNetworkDeps,
    options: RoutedNetworkOptions,
    { recorder, look }: { readonly recorder: EventRecorder; readonly look: () => void },
  ) {
    const { client, clock, informers } = deps;
    const { nodeName, dataDir } = options;
    this.#deps = deps;
    this.#options = options;
    this.#recorder = recorder;
    this.#nodes = informers.informer(nodes);
    this.#pools = informers.informer(ippools);
    this.#blocks = informers.informer(ipamblocks);
    this.#configs = informers.informer(ipamconfigs);
    this.bgp = new NodeBgp(deps, { nodeName, look });
    this.#ip = deps.ip ?? createIpTool();
    this.#daemon = deps.daemon ?? createBird({ directory: birdDirectory(dataDir), logger: deps.logger });
    this.#devices = { vxlan: vxlanDeviceName(dataDir), ipip: ipipDeviceName(dataDir) };
    this.podMtu = new Promise((resolve) => (this.#stands = resolve));
    this.#ipam = new NodeIpam(nodeName, {
      ...{ client, clock, blocks: this.#blocks, pools: () => this.#usable().pools },
      labels: () => this.#nodes.get(nodeName)?.metadata.labels ?? {},
      config: () => this.#configs.get(ipamConfigName)?.spec,
    });
    this.plugin = createRoutedPlugin({
      ...{ ipam: this.#ipam, nodeName, cablePrefix: podCablePrefix(dataDir) },
      annotationsOf: (namespace, name, signal) => this.#annotationsOf(namespace, name, signal),
      now: () => `${formatTime(clock.now()).replace("T", " ").replace("Z", "")} UTC`,
      exhausted: (error) => this.#exhausted(error),
    });
  }

  async synced(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#nodes, this.#pools, this.#blocks, this.#configs, this.bgp].map((each) => each.synced(signal)));
  }

  daemonHasEnded(): Promise<boolean> {
    return this.#daemon.hasEnded();
  }

  async reconcile(signal: AbortSignal): Promise<void> {
    const { nodeName, behind, network, linkInterface = "" } = this.#options;
    const node = this.#nodes.get(nodeName);
    if (!node) return;
    const self = { ...routedNodeOf(node), ...(behind === undefined ? {} : { behind }) };
    const interfaces = await this.#ip.addresses();
    const underlay = underlayOf(interfaces, node);
    const links = localLinks(interfaces, [underlay.device, linkInterface]);
    const { pools } = this.#usable();
    const peers = [...this.#nodes.list()].filter(({ metadata }) => metadata.name !== nodeName).map(routedNodeOf);
    const blocks = [...this.#blocks.list()].map(({ spec }) => spec);
    const { nodeCidrs = [], vni } = network;
    const ownRanges = localLinks(
      interfaces,
      interfaces.flatMap(({ ifname }) => (this.#isOurs(ifname) ? [] : [ifname])),
    );
    const plan = planRouted({ self, peers, links, ownRanges, nodeCidrs, pools, blocks, vni, devices: this.#devices });
    const ends = await this.#tunnelEnds(plan, signal);
    await this.#publish(node, underlay, { ends, linkAddresses: addressesOf(interfaces, linkInterface), signal });
    await this.#remember([...pools.map(({ cidr }) => cidr.canonical), ...nodeCidrs]);
    await this.#applyTunnels(plan, { underlay, ends, interfaces });
    await this.#applyRoutes(plan);
    await this.#applyMasquerade(plan);
    const bgp = await this.bgp.plan({ plan, links, signal });
    await this.#applyDaemon(plan, underlay, bgp.bird);
    this.#report(plan, bgp.problems);
    await this.#releaseDetached(signal);
    if (pools.length > 0) this.#stands(podMtuFor(underlay, pools));
  }

  #isOurs(device: string): boolean {
    return device === this.#devices.vxlan || device === this.#devices.ipip;
  }

  /** Addresses of containers that ended while nobody was there to be told. Once, and before pods are attached. */
  async #releaseDetached(signal: AbortSignal): Promise<void> {
    const { attached } = this.#options;
    if (!attached || this.#hasReleased) return;
    const handles = new Set([...(await attached.containers())].map((id) => sandboxHandle(attached.network, id)));
    for (const handle of this.#ipam.handlesOf(`${attached.network}.`)) if (!handles.has(handle)) await this.#ipam.release(handle, signal);
    this.#hasReleased = true;
  }

  /** Parsed again when a pool has changed. */
  #usable(): PoolSet {
    const objects = [...this.#pools.list()];
    const texts = objects.map(({ metadata }) => `${metadata.uid}/${metadata.resourceVersion}`).join();
    if (this.#poolSet?.texts !== texts) this.#poolSet = { texts, set: poolsOf(objects, this.#options.reserved) };
    return this.#poolSet.set;
  }

  /** This node's addresses in the tunnels, under which it speaks to pods on other nodes itself. */
  async #tunnelEnds({ usesVxlan, usesIpip }: RoutedPlan, signal: AbortSignal): Promise<TunnelAddresses> {
    const { pools } = this.#usable();
    const ends = async (by: "vxlan" | "ipip"): Promise<readonly string[]> => {
      const families = [...new Set(pools.filter(({ encapsulation }) => encapsulation.by === by).map(({ family }) => family))];
      const handleId = tunnelHandle(by, this.#options.nodeName);
      const secondary = { type: by === "vxlan" ? "vxlanTunnelAddress" : "ipipTunnelAddress" };
      try {
        const given = await this.#ipam.assign({ handleId, secondary, use: "tunnel", families }, signal);
        return given.map(({ address }) => address);
      } catch (error) {
        if (!(error instanceof AddressesExhaustedError)) throw error;
        this.#exhausted(error); // the rest of the network stands without
        return [];
      }
    };
    return { vxlan: usesVxlan ? await ends("vxlan") : [], ipip: usesIpip ? await ends("ipip") : [] };
  }

  async #publish(
    node: Node,
    { address }: Underlay,
    {
      ends,
      linkAddresses,
      signal,
    }: { readonly ends: TunnelAddresses; readonly linkAddresses: readonly string[]; readonly signal: AbortSignal },
  ): Promise<void> {
    const { nodeName: name, network, behind } = this.#options;
    const vtep = { mac: tunnelMac(name, network.vni), address, vni: network.vni };
    const wanted = { ...placeAnnotations({ publicIp: address, linkAddresses, behind, vtep }), ...tunnelAnnotations(ends) };
    const annotations = missingAnnotations(node, wanted);
    if (annotations) await this.#deps.client.patch(nodes, { name }, { metadata: { annotations } }, { type: "merge", signal });
  }

  /** Before anything is made in the kernel: whoever takes it away has to know where. */
  async #remember(ranges: readonly string[]): Promise<void> {
    const all = [...new Set([...this.#ranges, ...ranges])];
    if (all.length === this.#ranges.length) return;
    const { dataDir, network } = this.#options;
    this.#ranges = await (this.#deps.remember ?? rememberRoutedNetwork)(dataDir, { ranges: all, metric: routeMetric(network.vni) });
  }

  /** From below to above: the devices, and who is behind them. */
  async #applyTunnels(
    plan: RoutedPlan,
    {
      underlay,
      ends,
      interfaces,
    }: { readonly underlay: Underlay; readonly ends: TunnelAddresses; readonly interfaces: readonly ListedInterface[] },
  ): Promise<void> {
    const { nodeName, network } = this.#options;
    const { vxlan, ipip } = this.#devices;
    const device = {
      ...{ name: vxlan, vni: network.vni, port: network.port, local: underlay.address, underlay: underlay.device },
      ...{ mac: tunnelMac(nodeName, network.vni), mtu: tunnelMtu(underlay, "vxlan") },
    };
    await this.#ip.apply(deviceCommands(await this.#ip.vxlan(vxlan), plan.usesVxlan ? device : undefined, vxlan));
    if (plan.usesVxlan) {
      const [neighbours, forwarding] = await Promise.all([this.#ip.neighbours(vxlan), this.#ip.forwarding(vxlan)]);
      await this.#ip.applyBridge(forwardingCommands(vxlan, forwarding, plan));
      const own = ends.vxlan.map((address) => `address replace ${address}/${address.includes(":") ? "128" : "32"} dev ${vxlan}`);
      await this.#ip.apply([...own, ...neighbourCommands(vxlan, neighbours, plan)]);
    }
    const wanted = plan.usesIpip ? { local: underlay.address, mtu: underlay.mtu, addresses: ends.ipip } : undefined;
    const found = interfaces.find(({ ifname }) => ifname === ipip);
    await this.#ip.apply(ipipCommands(found, wanted, ipip));
  }

  async #applyRoutes({ routes }: RoutedPlan): Promise<void> {
    const observed = await Promise.all(([4, 6] as const).map((family) => this.#ip.routes(family, routeProtocol)));
    await this.#ip.apply(routeCommands(observed.flat(), routes, this.#ranges));
  }

  async #applyMasquerade({ directAddresses }: RoutedPlan): Promise<void> {
    const { pools } = this.#usable();
    const rangeOf = ({ cidr }: PoolSet["pools"][number]): string => cidr.canonical;
    const wanted = {
      dataDir: this.#options.dataDir,
      podCidrs: pools.filter(({ natOutgoing }) => natOutgoing).map(rangeOf),
      clusterCidrs: pools.map(rangeOf),
      nodeAddresses: [...directAddresses].sort(),
    };
    const text = JSON.stringify(wanted);
    if (text === this.#masquerade) return;
    await (this.#deps.masquerade ?? applyMasquerade)(wanted);
    this.#masquerade = text;
  }

  async #applyDaemon(plan: RoutedPlan, { address }: Underlay, bgp: BirdBgp): Promise<void> {
    const { nodeName, dataDir, network } = this.#options;
    const logFile = birdLog(birdDirectory(dataDir));
    await this.#daemon.apply(renderBirdConfig({ nodeName, nodeAddress: address, metric: routeMetric(network.vni), logFile, plan, bgp }));
  }

  #report(plan: RoutedPlan, ofPeers: ReadonlyMap<string, string>): void {
    const { logger } = this.#deps;
    const problems = new Map(plan.problems);
    for (const [name, problem] of this.#usable().problems) problems.set(`IP pool ${name}`, problem);
    for (const [name, problem] of ofPeers) problems.set(`BGP peer ${name}`, problem);
    for (const [name, problem] of problems)
      if (this.#problems.get(name) !== problem) logger.warn("A part of the pod network does not work", { of: name, problem });
    this.#problems = problems;
    const { neighbours, blocks, routes } = plan;
    logger.info("The pod network stands", { neighbours: neighbours.length, blocks: blocks.length, tunnelled: routes.length }, 2);
  }

  async #annotationsOf(namespace: string, name: string, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    try {
      return (await this.#deps.client.get(pods, { namespace, name }, { signal })).metadata.annotations ?? {};
    } catch (error) {
      if (isStatus(error, "NotFound")) return {}; // deleted in the meantime, or a static pod that is not known yet
      throw error;
    }
  }

  #exhausted(error: AddressesExhaustedError): void {
    this.#deps.logger.warn("No address is left", { error: errorText(error) });
    for (const name of error.pools) {
      const pool = this.#pools.get(name);
      if (pool) this.#recorder.record(pool, { type: "Warning", reason: "IPPoolExhausted", message: error.message });
    }
  }
}

function underlayOf(interfaces: readonly ListedInterface[], node: Node): Underlay {
  const addresses = (node.status?.addresses ?? []).filter(({ type }) => type === "InternalIP").map(({ address }) => address);
  const underlay = findUnderlay(interfaces, addresses);
  if (!underlay) throw new Error(`no interface of this machine has an address of node ${node.metadata.name} (${addresses.join(", ")})`);
  return underlay;
}
