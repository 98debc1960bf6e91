// Simulated nodes, any number of them in one process: each has a kubelet and a simulated runtime, and what nodes need to know of
// the cluster they share. They have addresses of the simulated network, and no ports, certificates and sockets of the machine.
import { join } from "node:path";
import { nodes, pods } from "../../api/resources.generated.ts";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { Turns } from "../../base/turns.ts";
import type { Client } from "../../client/client.ts";
import { createEventRecorder, type RunningEventRecorder } from "../../client/event-recorder.ts";
import type { Informer, InformerFactory } from "../../client/informer.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import { PartitionedInformer } from "../../client/partitioned-informer.ts";
import type { KubeletOptions } from "../../kubelet/options.ts";
import { readSystemInfo } from "../../linux/system-info.ts";
import { type RunningKubelet, startKubelet } from "../kubelet/kubelet.ts";
import { startNodeRuntime } from "../kubelet/node-runtime.ts";
import { serviceResolver } from "./simulated-services.ts";
import type { Simulation } from "./simulation.ts";

export interface SimulatedNodesDeps {
  /** Sees all that nodes see. */
  readonly client: Client;
  /** Speaks as the node. */
  readonly clientFor: (nodeName: string) => Client;
  readonly simulation: Simulation;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface SimulatedNode {
  readonly name: string;
  /** Of the simulated network, one of each family. */
  readonly addresses: readonly string[];
}

export interface SimulatedNodesOptions {
  /** Directories of nodes lie below it; they are made when pods need them. */
  readonly dataDir: string;
  readonly clusterCidrs: readonly string[];
  /** The same for all nodes. */
  readonly kubelet?: Partial<KubeletOptions>;
}

/** As a simulated node says; nobody but this process can ask there. */
const kubeletPort = 10250;
/** Pods of all nodes that are begun at a time: those that are begun are soon running, instead of all of them half way. */
const podStartsAtOnce = 32;
/** A pod that waits, for an image say, lets the next one begin after so long. */
const podStartHoldMs = 250;
/** A simulated log grows slowly: how often all are looked at for their size. */
const logLookMs = 5 * 60_000;
/** Nodes that start at a time. */
const startsAtOnce = 16;
const startDeadlineMs = 120_000;
/** Of all nodes together. */
const maxBufferedEvents = 10_000;

export class SimulatedNodes implements Running {
  readonly #deps: SimulatedNodesDeps;
  readonly #options: SimulatedNodesOptions;
  readonly #informers: InformerFactory;
  readonly #podsByNode: PartitionedInformer<Pod>;
  readonly #nodesByName: PartitionedInformer<Node>;
  readonly #recorder: RunningEventRecorder;
  readonly #running = new Map<string, RunningKubelet>();
  readonly #podStarts: Turns;
  /** All are the machine they run on, read once. */
  readonly #system = readSystemInfo();
  #starting: Promise<unknown> = Promise.resolve();

  constructor(deps: SimulatedNodesDeps, options: SimulatedNodesOptions) {
    const { client, simulation, clock, logger } = deps;
    this.#deps = deps;
    this.#options = options;
    this.#podStarts = new Turns(clock, { slots: podStartsAtOnce, holdMs: podStartHoldMs });
    this.#informers = createInformerFactory(client, { clock, logger });
    this.#podsByNode = new PartitionedInformer(this.#informers.informer(pods), (pod) => pod.spec.nodeName);
    this.#nodesByName = new PartitionedInformer(this.#informers.informer(nodes), (node) => node.metadata.name);
    this.#recorder = createEventRecorder({ client, clock, logger, component: "kubelet", maxBuffered: maxBufferedEvents });
    simulation.network.useResolver(serviceResolver(this.#informers, options.kubelet?.clusterDomain ?? "cluster.local", clock));
    this.#informers.start();
  }

  /** Resolves when all of them are Ready. */
  async start(wanted: readonly SimulatedNode[]): Promise<void> {
    const turns = new Turns(this.#deps.clock, { slots: startsAtOnce, holdMs: startDeadlineMs });
    const starting = Promise.all(wanted.map((node) => turns.take(() => this.#start(node))));
    this.#starting = Promise.allSettled([this.#starting, starting]);
    await starting;
  }

  /** The kubelet of a node; undefined where it does not run. */
  kubelet(name: string): RunningKubelet | undefined {
    return this.#running.get(name);
  }

  /** As a power cut: the node and its pods are gone, and nobody is told. */
  async stopNode(name: string): Promise<void> {
    const running = this.#running.get(name);
    this.#running.delete(name);
    await running?.stop();
  }

  async stop(): Promise<void> {
    await this.#starting;
    await Promise.all([...this.#running.keys()].map((name) => this.stopNode(name)));
    await Promise.all([this.#informers.stop(), this.#recorder.stop()]);
  }

  async #start({ name, addresses }: SimulatedNode): Promise<void> {
    const { clientFor, simulation, clock, logger } = this.#deps;
    const { dataDir, clusterCidrs, kubelet } = this.#options;
    const { network } = simulation;
    const [hostAddress = "127.0.0.1"] = addresses;
    const stack = new StopStack();
    const runtime = stack.add(
      await startNodeRuntime({ choice: "simulated", dataDir, clusterCidrs, simulation, hostAddress, clock, logger }),
    );
    for (const address of addresses) {
      network.join(address);
      stack.defer(() => network.leave(address));
    }
    const directory = join(dataDir, "simulated", name);
    const running = await startKubelet(
      {
        ...{ client: clientFor(name), runtime, clock, logger, recorder: this.#recorder.forHost(name) },
        ...{ informers: this.#viewOf(name), readSystem: () => this.#system, podStarts: this.#podStarts },
      },
      {
        containerLogMonitorIntervalMs: logLookMs,
        ...kubelet,
        // There is no disk of its own to measure, and nothing that a next kubelet could find.
        ...{ remembers: false, localStorageCapacityIsolation: false, volumeStatsAggPeriodMs: 0 },
        ...{ nodeName: name, nodeIPs: addresses, rootDirectory: directory, logsDirectory: join(directory, "logs") },
        inProcess: { port: kubeletPort, listen: (accept) => network.listen(hostAddress, kubeletPort, accept) },
      },
    );
    stack.add(running);
    this.#running.set(name, { ...running, stop: () => stack.stop() });
    await running.ready;
  }

  /** The informers a kubelet asks for: its own pods and its own node are parts of the shared ones. */
  #viewOf(name: string): InformerFactory {
    const shared = this.#informers;
    const own = new Map<string, Informer<never>>([
      [pods.resource, this.#podsByNode.part(name) as Informer<never>],
      [nodes.resource, this.#nodesByName.part(name) as Informer<never>],
    ]);
    return {
      informer: (type, options) => {
        const part = options?.fieldSelector === undefined ? undefined : own.get(type.resource);
        // The part is one of the resource that it is found under.
        return part ? (part as unknown as Informer<never>) : shared.informer(type, options);
      },
      drop: async () => undefined,
      start: () => shared.start(),
      synced: (signal) => shared.synced(signal),
      stop: async () => undefined,
    };
  }
}
