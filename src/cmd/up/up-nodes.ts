// The nodes of `coracle up`: the first one in its own process, as this machine; further ones beside it, as processes in network
// namespaces of their own, or all in this process where pods are simulated.
import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { parseIP } from "../../api/meta/ip.ts";
import { isLoopback } from "../../api/validation/addresses.ts";
import type { Clock } from "../../base/clock.ts";
import type { StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { nodeBridgeName } from "../../cni/network-config.ts";
import { dataDirHash } from "../../cri/containerd-paths.ts";
import { findResolverFile } from "../../linux/resolver-file.ts";
import { hostAddresses } from "../../linux/system-info.ts";
import { type ClusterNetwork, type PodNetworkMode, vxlanPort } from "../../node-network/cluster-network.ts";
import type { RunningApiServer } from "../apiserver/start-apiserver.ts";
import { CommandError } from "../command-error.ts";
import { followIssued, issueDaily } from "../credentials/renewed-certificates.ts";
import type { CniPluginChoice } from "../node/cni-plugin-choice.ts";
import type { LocalNodeSettings } from "../node/local-node.ts";
import { nodeAddressesFor } from "../node/machine-network.ts";
import { MachineNodes } from "../node/machine-nodes.ts";
import { nodeNetworkOptions } from "../node/node-access.ts";
import { nodeControl } from "../node/node-control.ts";
import { readNodeRecords } from "../node/node-records.ts";
import { type RunningNode, startNode } from "../node/start-node.ts";
import type { Simulation } from "../simulation/simulation.ts";
import { serveControl } from "./control-channel.ts";

export interface UpNodesOptions {
  readonly dataDir: string;
  /** At least so many, with those that have been added before. */
  readonly count: number;
  readonly choice: string;
  /** --oci-runtime. */
  readonly ociRuntime: string;
  readonly network: ClusterNetwork;
  readonly nodeCidrs: readonly string[];
  /** --cni-plugins. */
  readonly cniPlugins: CniPluginChoice;
  readonly podManifestPath: string | undefined;
  /** --kubelet-config, for nodes that are processes of their own, and what it says, for those of this one. */
  readonly kubeletConfig: string | undefined;
  readonly settings: LocalNodeSettings;
  readonly bindAddress: string;
  readonly verbosity: number;
  /** Of the simulated nodes; there where `choice` is "simulated". */
  readonly simulation: Simulation | undefined;
}

export interface UpNodesDeps {
  readonly server: RunningApiServer;
  /** What is started is stopped with it. */
  readonly stack: StopStack;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Tells the user. */
  readonly announce: (what: string) => void;
}

/** From flags to what all nodes are told. */
export function clusterNetworkOf(flags: {
  readonly dataDir: string;
  readonly clusterCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly mode: PodNetworkMode;
  readonly nodeCidrs: readonly string[];
  readonly clusterDns: readonly string[];
  readonly clusterDomain: string;
  readonly loadBalancerPool: readonly string[];
}): ClusterNetwork {
  // Of the machine's VXLANs each needs a number of its own.
  const vni = 1 + (Number.parseInt(dataDirHash(flags.dataDir), 16) % (2 ** 24 - 1));
  const { dataDir: _here, mode, nodeCidrs, ...network } = flags;
  return { ...network, podNetwork: { mode, vni, port: vxlanPort, nodeCidrs } };
}

/** Resolves when all nodes are Ready, or wait for a network that is not ours. */
export async function startNodes(deps: UpNodesDeps, options: UpNodesOptions): Promise<void> {
  const { server, stack, clock, logger, announce } = deps;
  const { dataDir, count, network, nodeCidrs } = options;
  const first = hostname().toLowerCase();
  const state = network.podNetwork.mode === "none" ? "runs, and waits for a CNI plugin" : "ready";
  const firstNode = await startHere(deps, options, first);
  // Without a network of ours a node is ready when somebody has brought one, which needs the cluster.
  if (network.podNetwork.mode !== "none") await firstNode.ready;
  announce(`node ${first} ${state} (${firstNode.description})`);
  if (options.simulation) await startSimulated(deps, options, options.simulation);
  const refusal = refusalOf(options, 2);
  const control = async (machineNodes: MachineNodes | string): Promise<void> =>
    void stack.add(await serveControl(dataDir, nodeControl(machineNodes), logger.named("control")));
  if (refusal !== undefined) return control(refusal);
  const machineNodes = stack.add(
    new MachineNodes(
      { client: administrator(server), pki: server.pki, clock, logger: logger.named("nodes") },
      {
        network: { dataDir, nodeCidrs, clusterCidrs: network.clusterCidrs },
        apiServer: apiServerUrl(options, server.port),
        verbosity: options.verbosity,
        cniPlugins: options.cniPlugins,
        ociRuntime: options.ociRuntime,
        kubeletConfig: options.kubeletConfig === undefined ? undefined : resolve(options.kubeletConfig),
        firstNode: { name: first, refreshNetwork: () => firstNode.refreshNetwork() },
      },
    ),
  );
  stack.add(issueDaily({ clock, logger: logger.named("nodes") }, () => machineNodes.renewCertificates()));
  const starting = await machineNodes.startAll(count - 1);
  await Promise.all(
    starting.map(async ({ name, ready }) => {
      const description = await ready.catch((error: unknown) => {
        throw new CommandError(`starting node ${name}`, { cause: error });
      });
      announce(`node ${name} ${state} (${description})`);
    }),
  );
  await control(machineNodes);
}

/** Why this cluster cannot have the nodes it should; undefined when it can. */
export async function whyNotSeveral(
  options: Pick<UpNodesOptions, "dataDir" | "count" | "choice" | "bindAddress">,
): Promise<string | undefined> {
  const { dataDir, count, choice } = options;
  if (choice === "simulated") return undefined;
  const remembered = choice === "containerd" ? (await readNodeRecords(dataDir)).length : 0;
  return refusalOf(options, Math.max(count, 1 + remembered));
}

/** The same for so many nodes with containers. */
function refusalOf({ choice, bindAddress }: Pick<UpNodesOptions, "choice" | "bindAddress">, count: number): string | undefined {
  if (count < 2) return undefined;
  if (choice !== "containerd") return `--runtime ${choice}: nodes beside the first need a containerd each`;
  const bound = parseIP(bindAddress);
  if (bound && isLoopback(bound)) return `--bind-address ${bindAddress}: nodes beside the first do not reach the API server there`;
  return undefined;
}

export const administrator = (server: RunningApiServer) =>
  server.clientFor({ name: "kubernetes-admin", groups: ["system:masters", "system:authenticated"] });

/** All but the first: in this process too, but without anything of the machine. */
async function startSimulated(
  { server, stack, clock, logger, announce }: UpNodesDeps,
  options: UpNodesOptions,
  simulation: Simulation,
): Promise<void> {
  const { dataDir, count, network, nodeCidrs, settings } = options;
  const { SimulatedNodes } = await import("../simulation/simulated-nodes.ts");
  const { clusterCidrs, clusterDns, clusterDomain } = network;
  const { cgroupRoot: _none, ...kubelet } = settings.kubelet;
  const simulated = stack.add(
    new SimulatedNodes(
      {
        client: administrator(server),
        clientFor: (name) => server.clientFor({ name: `system:node:${name}`, groups: ["system:nodes", "system:authenticated"] }),
        ...{ simulation, clock, logger: logger.named("nodes") },
      },
      { dataDir, clusterCidrs, kubelet: { ...kubelet, clusterDns, clusterDomain } },
    ),
  );
  const first = hostname().toLowerCase();
  const nodes = Array.from({ length: count - 1 }, (_, i) => ({ name: `${first}-${i + 2}`, addresses: nodeAddressesFor(nodeCidrs, i + 2) }));
  if (nodes.length === 0) return; // what the first one's programs ask for is looked up here as well
  await simulated.start(nodes);
  const names = nodes.length === 1 ? `node ${nodes[0]?.name}` : `nodes ${nodes[0]?.name} to ${nodes.at(-1)?.name}`;
  announce(`${names} ready (simulated runtime)`);
}

/** A node in this process. */
async function startHere(deps: UpNodesDeps, options: UpNodesOptions, name: string): Promise<RunningNode> {
  const { server, stack, clock, logger } = deps;
  const { dataDir, choice, ociRuntime, network } = options;
  const addresses = ["127.0.0.1", ...(await hostAddresses()).map((a) => a.address)];
  const issue = () => server.pki.kubeletServing(name, [name, "localhost", ...addresses]);
  const serving = await issue();
  const certificates = { cert: serving.certificate, key: serving.key, clientCa: server.caPem };
  return stack.add(
    await startNode(
      {
        client: server.clientFor({ name: `system:node:${name}`, groups: ["system:nodes", "system:authenticated"] }),
        proxyClient: server.clientFor({ name: "system:kube-proxy", groups: ["system:authenticated"] }),
        ...{ clock, logger },
      },
      {
        ...nodeNetworkOptions(network),
        ...{ nodeName: name, dataDir, choice, ociRuntime, cniPlugins: options.cniPlugins },
        linkInterface: nodeBridgeName(dataDir),
        resolvConf: (await findResolverFile()).path,
        // Several nodes would run the same static pods: the first one has them.
        podManifestPath: await manifestDirectory(options),
        ...options.settings.kubelet,
        ...(options.simulation ? { simulation: options.simulation } : {}),
        rootDirectory: join(dataDir, "kubelet"),
        serving: { ...options.settings.serving, ...certificates, follow: followIssued({ clock, logger }, issue, certificates) },
      },
    ),
  );
}

/** As nodes in namespaces of their own reach it: at the machine's address on the link between them, or where it listens alone. */
function apiServerUrl({ bindAddress, nodeCidrs }: UpNodesOptions, port: number): string {
  const bound = parseIP(bindAddress);
  const everywhere = !bound || bound.bytes.every((byte) => byte === 0);
  const [address = ""] = everywhere ? nodeAddressesFor(nodeCidrs, 1) : [bindAddress];
  return `https://${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** Where static pods are described; made if it is not there, so that it can be watched. */
async function manifestDirectory({ podManifestPath, dataDir }: UpNodesOptions): Promise<string> {
  const path = resolve(podManifestPath ?? join(dataDir, "manifests"));
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw new CommandError(`--pod-manifest-path ${path}`, { cause: error });
  }
  return path;
}
