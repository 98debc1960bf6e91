// The further nodes of `coracle up` on this machine: made, started, stopped, cut off and removed while the cluster runs. Each
// is a process in a network namespace of its own, with its own directory, runtime and control groups; what it is to be is
// kept in its directory (node-records.ts), so that the next start has the same nodes.
import { isDNS1123Label } from "../../api/meta/names.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { nodes } from "../../api/resources.generated.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { Turns } from "../../base/turns.ts";
import type { Client } from "../../client/client.ts";
import { findNetworkClash } from "../../cni/network-clash.ts";
import { ownName } from "../apiserver/serving-material.ts";
import { CommandError } from "../command-error.ts";
import { writeKubeconfig } from "../credentials/kubeconfig.ts";
import type { PemPair, Pki } from "../credentials/pki.ts";
import type { CniPluginChoice } from "./cni-plugin-choice.ts";
import {
  ensureMachineNetwork,
  ensureNodeNamespace,
  type MachineNetworkOptions,
  namespaceOf,
  nodeAddressesFor,
  removeNodeNamespace,
  setNodeCable,
} from "./machine-network.ts";
import { type NodeRecord, newNodeRecord, nodeDirectory, readNodeRecords, removeNodeDirectory, writeNodeRecord } from "./node-records.ts";
import { nodeKubeconfig, writeNodeSettings } from "./node-settings.ts";
import { type SupervisedNode, superviseNode } from "./supervised-node.ts";
import { takeDownNode } from "./take-down-node.ts";

export interface MachineNodesDeps {
  /** Speaks as an administrator. */
  readonly client: Client;
  readonly pki: Pki;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface MachineNodesOptions {
  readonly network: MachineNetworkOptions;
  /** "https://172.29.0.1:6443", as the nodes reach it. */
  readonly apiServer: string;
  readonly verbosity: number;
  /** What makes their containers. */
  readonly ociRuntime: string;
  /** A file with a KubeletConfiguration for all of them. */
  readonly kubeletConfig?: string | undefined;
  readonly cniPlugins: CniPluginChoice;
  readonly firstNode: {
    readonly name: string;
    /** The bridge between the nodes has been made. */
    refreshNetwork(): void;
  };
}

/** For a person. */
export interface NodeLine {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly state: "running" | "stopped" | "cut off";
  readonly pid?: number;
}

/** A node that has become Ready, or why it has not. */
export interface StartingNode {
  readonly name: string;
  /** Resolves with the runtime's description. */
  readonly ready: Promise<string>;
}

/** Longer than any step of theirs may take. */
const turnMs = 5 * 60_000;

export class MachineNodes implements Running {
  readonly #deps: MachineNodesDeps;
  readonly #options: MachineNodesOptions;
  readonly #running = new Map<string, SupervisedNode>();
  readonly #cutOff = new Set<string>();
  /** One change at a time: numbers and addresses are given out. */
  readonly #turns: Turns;
  #hasNetwork = false;
  #stopping = false;

  constructor(deps: MachineNodesDeps, options: MachineNodesOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#turns = new Turns(deps.clock, { slots: 1, holdMs: turnMs });
  }

  /** Starts the nodes that are remembered and not stopped, and makes new ones until there are `count`. */
  startAll(count: number): Promise<readonly StartingNode[]> {
    return this.#turns.take(async () => {
      const records = [...(await readNodeRecords(this.#dataDir))];
      // Before anything is remembered: what cannot be made must not be in the way of the next start.
      if (records.length > 0 || count > 0) await this.#ensureNetwork();
      while (records.length < count) {
        const record = newNodeRecord(this.#options.firstNode.name, records);
        await this.#record(record);
        records.push(record);
      }
      const starting: StartingNode[] = [];
      for (const record of records) if (!record.stopped) starting.push(await this.#start(record));
      return starting;
    });
  }

  /** Makes a node and starts it. */
  add(name?: string): Promise<StartingNode> {
    return this.#turns.take(async () => {
      const records = await readNodeRecords(this.#dataDir);
      if (name !== undefined) this.#requireFreeName(name, records);
      const record = newNodeRecord(this.#options.firstNode.name, records, name);
      await this.#ensureNetwork();
      await this.#record(record);
      try {
        return await this.#start(record);
      } catch (error) {
        await this.#takeDown(record);
        await removeNodeDirectory(this.#dataDir, record.name);
        throw error;
      }
    });
  }

  start(name: string): Promise<StartingNode> {
    return this.#turns.take(async () => {
      const record = await this.#find(name);
      const running = this.#running.get(name);
      if (running) return { name, ready: running.ready };
      await this.#record({ ...record, stopped: false });
      return this.#start(record);
    });
  }

  /** As a power cut: the node's process and containers are killed, and nobody is told. */
  switchOff(name: string): Promise<void> {
    return this.#turns.take(async () => {
      const record = await this.#find(name);
      await this.#record({ ...record, stopped: true });
      await this.#takeDown(record);
    });
  }

  /** Ends the node and removes its object and everything it has on this machine. */
  remove(name: string): Promise<void> {
    return this.#turns.take(async () => {
      const record = await this.#find(name);
      await this.#takeDown(record);
      await this.#deps.client.delete(nodes, { name }).catch((error: unknown) => {
        if (!isStatus(error, "NotFound")) throw error;
      });
      await removeNodeDirectory(this.#dataDir, name);
    });
  }

  /** Pulls the node's cable, or puts it back. */
  setCutOff(name: string, isCutOff: boolean): Promise<void> {
    return this.#turns.take(async () => {
      const { index } = await this.#find(name);
      if (!this.#running.has(name)) throw new CommandError(`node ${name} is stopped`);
      await setNodeCable(this.#dataDir, index, !isCutOff);
      if (isCutOff) this.#cutOff.add(name);
      else this.#cutOff.delete(name);
    });
  }

  /** The nodes that are cut off now. */
  get cutOff(): readonly string[] {
    return [...this.#cutOff];
  }

  async list(): Promise<readonly NodeLine[]> {
    return (await readNodeRecords(this.#dataDir)).map(({ name, index }) => {
      const running = this.#running.get(name);
      const state = this.#cutOff.has(name) ? "cut off" : running ? "running" : "stopped";
      const addresses = nodeAddressesFor(this.#options.network.nodeCidrs, index);
      return { name, addresses, state, ...(running?.pid === undefined ? {} : { pid: running.pid }) };
    });
  }

  /** Of the nodes that run, where they are about to expire: the nodes take them over from their files. */
  async renewCertificates(): Promise<void> {
    for (const { name, index } of await readNodeRecords(this.#dataDir))
      if (this.#running.has(name)) await this.#issue(name, nodeAddressesFor(this.#options.network.nodeCidrs, index));
  }

  /** Ends the processes; pods run on for the next start. */
  async stop(): Promise<void> {
    this.#stopping = true;
    // A change that has begun is waited for: it may be starting a node.
    await this.#turns.take(() => Promise.all([...this.#running.values()].map((node) => node.stop())));
  }

  get #dataDir(): string {
    return this.#options.network.dataDir;
  }

  async #start(record: NodeRecord): Promise<StartingNode> {
    const { clock, logger } = this.#deps;
    const { name, index } = record;
    if (this.#stopping) throw new CommandError("the cluster is stopping");
    await this.#ensureNetwork();
    await ensureNodeNamespace(this.#options.network, name, index);
    await this.#writeSettings(record);
    const directory = nodeDirectory(this.#dataDir, name);
    const node = superviseNode({ name, directory, netns: namespaceOf(this.#dataDir, name), clock, logger });
    this.#running.set(name, node);
    return { name, ready: node.ready };
  }

  async #ensureNetwork(): Promise<void> {
    if (this.#hasNetwork) return;
    const clash = await findNetworkClash(this.#dataDir, this.#options.network.nodeCidrs);
    if (clash !== undefined) throw new CommandError(`--node-cidr ${clash}; choose another range, or end what uses it`);
    await ensureMachineNetwork(this.#options.network);
    this.#hasNetwork = true;
    this.#options.firstNode.refreshNetwork();
  }

  /** The node's credentials, and what it is to be. */
  async #writeSettings({ name, index }: NodeRecord): Promise<void> {
    const { pki } = this.#deps;
    const { apiServer, verbosity, network, ociRuntime, kubeletConfig, cniPlugins } = this.#options;
    const dataDir = nodeDirectory(this.#dataDir, name);
    const nodeIPs = nodeAddressesFor(network.nodeCidrs, index);
    const serving = await this.#issue(name, nodeIPs);
    const files = pki.kubeletFiles(name);
    const authority = pki.ca.pem.certificate;
    await writeKubeconfig(nodeKubeconfig(dataDir), {
      ...{ server: apiServer, authority, credentials: files.client, user: `system:node:${name}` },
      // The server's certificate was made before the link between the nodes.
      serverName: ownName,
    });
    await writeNodeSettings({
      ...{ name, dataDir, nodeIPs, nodeCidrs: network.nodeCidrs, verbosity, behind: this.#options.firstNode.name },
      ...{ cniPlugins, ociRuntime },
      ...(kubeletConfig === undefined ? {} : { kubeletConfig }),
      serving: { address: "0.0.0.0", port: 10_250, cert: serving.certificate, key: serving.key, clientCa: authority },
      servingFiles: files.serving,
    });
  }

  /** Those that are missing or about to expire; gives what the node serves with. */
  async #issue(name: string, nodeIPs: readonly string[]): Promise<PemPair> {
    const { pki } = this.#deps;
    const [, serving] = await Promise.all([pki.kubeletClient(name), pki.kubeletServing(name, nodeIPs)]);
    return serving;
  }

  async #takeDown({ name, index }: NodeRecord): Promise<void> {
    await this.#running.get(name)?.kill();
    this.#running.delete(name);
    this.#cutOff.delete(name);
    await takeDownNode(nodeDirectory(this.#dataDir, name), this.#deps.logger);
    await removeNodeNamespace(this.#dataDir, name, index);
  }

  #record(record: NodeRecord): Promise<void> {
    return writeNodeRecord(this.#dataDir, record);
  }

  async #find(name: string): Promise<NodeRecord> {
    const record = (await readNodeRecords(this.#dataDir)).find((each) => each.name === name);
    if (record) return record;
    if (name === this.#options.firstNode.name)
      throw new CommandError(`node ${name} is the cluster's own machine: it lives and ends with it`);
    throw new CommandError(`there is no node ${JSON.stringify(name)} on this machine (coracle node list shows them)`);
  }

  #requireFreeName(name: string, records: readonly NodeRecord[]): void {
    const [problem] = isDNS1123Label(name);
    if (problem !== undefined) throw new CommandError(`the name of a node ${JSON.stringify(name)}: ${problem}`);
    if (name === this.#options.firstNode.name || records.some((record) => record.name === name))
      throw new CommandError(`there is a node ${name} already`);
  }
}
