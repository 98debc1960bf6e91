// A routed pod network as a part of a node of ours. It has to be expected before it can be started: the runtime's plugin host
// comes first, and calls of the network's plugin wait for it.
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { podNetworkName } from "../../cni/network-config.ts";
import type { CniPlugin, PluginTable } from "../../cni/plugins/plugin.ts";
import { resultDirectory } from "../../cni/pod-addresses.ts";
import { podCablePrefix, routedNetworkFile, routedPluginName } from "../../routed-network/names.ts";
import type { ReservedRange } from "../../routed-network/pools.ts";
import { CommandError } from "../command-error.ts";
import type { RuntimeChoice } from "../kubelet/node-runtime.ts";
import type { CniPluginChoice } from "./cni-plugin-choice.ts";
import type { NetworkDeps, NodeOptions, StartedNetwork } from "./start-node.ts";

export interface ExpectedNetwork {
  /** For startNodeRuntime. */
  readonly forRuntime: { readonly morePlugins: PluginTable };
  /** How the names of pods' interfaces begin. */
  readonly podCables: string;
  /** Undefined where the runtime has no network of ours. */
  start(deps: NetworkDeps, options: NodeOptions): Promise<StartedNetwork | undefined>;
}

export interface ExpectedNode {
  readonly dataDir: string;
  readonly choice: RuntimeChoice;
  readonly cniPlugins: CniPluginChoice;
}

/** Why this machine cannot have nodes in a routed pod network; undefined when it can. */
export async function whyNotRouted(): Promise<string | undefined> {
  const { whyNoBird } = await import("../../routed-network/bird.ts");
  return whyNoBird();
}

/** Throws where the node's other choices exclude it. */
export function expectRoutedNetwork({ dataDir, choice, cniPlugins }: ExpectedNode): ExpectedNetwork {
  if (choice === "containerd" && cniPlugins !== "coracle")
    throw new CommandError("--cni-plugins system: a routed pod network has a plugin of its own, which needs --cni-plugins coracle");
  let tell: (plugin: CniPlugin) => void = () => undefined;
  const plugin = new Promise<CniPlugin>((resolve) => (tell = resolve));
  return {
    forRuntime: { morePlugins: { [routedPluginName]: waitingFor(plugin) } },
    podCables: podCablePrefix(dataDir),
    async start({ runtime, ...deps }, options) {
      if (!runtime.configureNetwork) return undefined;
      const missing = await whyNotRouted();
      if (missing !== undefined) throw new CommandError(missing);
      return startRouted(deps, options, tell);
    },
  };
}

/** Pods may be attached and detached when the network stands: a call that comes earlier waits, as long as calls may take. */
function waitingFor(plugin: Promise<CniPlugin>): CniPlugin {
  return {
    add: async (call, effects) => (await plugin).add(call, effects),
    del: async (call, effects) => (await plugin).del(call, effects),
    check: async (call, effects) => (await plugin).check(call, effects),
    gc: async (call, effects) => (await plugin).gc?.(call, effects),
  };
}

async function startRouted(
  deps: Omit<NetworkDeps, "runtime">,
  options: NodeOptions,
  tell: (plugin: CniPlugin) => void,
): Promise<StartedNetwork> {
  const { nodeName, dataDir, podNetwork, linkInterface, behind, clusterCidrs, reservedCidrs = [] } = options;
  const [{ startRoutedNetwork }, { writeRoutedConfig }, { removeNodeNetwork }] = await Promise.all([
    import("../../routed-network/routed-network.ts"),
    import("../../routed-network/network-config.ts"),
    import("../../node-network/teardown.ts"),
  ]);
  // Of an earlier start with pods on a bridge.
  await removeNodeNetwork(dataDir);
  const network = startRoutedNetwork(
    { ...deps, logger: deps.logger.named("routed-network") },
    {
      ...{ nodeName, dataDir, behind, reserved: reservedRanges(reservedCidrs), attached: attachedTo(podNetworkName(dataDir)) },
      network: podNetwork ?? { mode: "routed", vni: 1, port: 8472 },
      ...(linkInterface === undefined ? {} : { linkInterface }),
    },
  );
  const families = clusterCidrs.map((cidr) => (cidr.includes(":") ? (6 as const) : (4 as const)));
  const writeConfig = async (): Promise<void> => writeRoutedConfig({ dataDir, families, mtu: await network.podMtu() });
  // Not when the node has a pod range, as others: it needs none.
  const standing = network.podMtu().then(async () => {
    tell(network.plugin);
    await writeConfig();
  });
  standing.catch((error: unknown) => deps.logger.error("The CNI configuration cannot be written", { error }));
  return { ...network, writeConfig };
}

export function reservedRanges(serviceCidrs: readonly string[]): readonly ReservedRange[] {
  return serviceCidrs.map((cidr) => ({ cidr, what: "the services' range" }));
}

/** The containers that the library which runs plugins knows as attached. */
function attachedTo(network: string) {
  const containers = async (): Promise<readonly string[]> => {
    const files = await readdir(resultDirectory).catch(() => []);
    return files.flatMap((file) => (file.startsWith(`${network}-`) ? [file.slice(network.length + 1).replace(/-[^-]*$/, "")] : []));
  };
  return { network, containers };
}

/** What an earlier start in a routed pod network has left. */
export async function removeRoutedLeftovers(dataDir: string): Promise<void> {
  if (!existsSync(routedNetworkFile(dataDir))) return;
  const { removeRoutedNetwork } = await import("../../routed-network/teardown.ts");
  await removeRoutedNetwork(dataDir);
}
