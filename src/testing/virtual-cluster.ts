// A whole cluster on a clock that stands still until a test lets time pass: API server, controllers, scheduler, and nodes whose
// kubelets run simulated containers. Nothing of it is replaced, only time: a minute of a CronJob takes a fraction of a second.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseQuantity } from "../api/meta/quantity.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { namespaces, nodes, serviceaccounts } from "../api/resources.generated.ts";
import { apiServerFlags, apiServerOptions } from "../apiserver/options.ts";
import { realClock, VirtualClock } from "../base/clock.ts";
import { parseFlags } from "../base/flags.ts";
import { StopStack } from "../base/lifecycle.ts";
import { type Logger, silentLogger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { startControllerManager } from "../cmd/controller-manager.ts";
import { startKubelet } from "../cmd/kubelet.ts";
import { startScheduler } from "../cmd/scheduler.ts";
import { type RunningApiServer, startApiServer } from "../cmd/start-apiserver.ts";
import { createSimulatedRuntime, type ImageBehaviour, type SimulatedRuntime, type SimulatedRuntimeOptions } from "../cri/simulated.ts";

export interface VirtualClusterOptions {
  /** Nodes "node-1" and so on. Default 2. */
  readonly nodes?: number;
  /** Image → what its containers do; those of other images run until they are stopped. */
  readonly behaviours?: Readonly<Record<string, ImageBehaviour>>;
  /** Throws to refuse a pull. */
  readonly beforePull?: (image: string) => void;
  /** Flags of the API server. */
  readonly args?: readonly string[];
  readonly logger?: Logger;
}

export interface VirtualNode {
  readonly name: string;
  readonly runtime: SimulatedRuntime;
}

const administrator = { name: "admin", groups: ["system:masters", "system:authenticated"] };
const stepMs = 100;
/** Where minutes are waited for. */
const longStepMs = 1_000;
const longWaitMs = 120_000;

export class VirtualCluster implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly nodes: VirtualNode[] = [];
  readonly #stack = new StopStack();
  readonly #logger: Logger;
  #namespaces: string[] = [];
  #server: RunningApiServer | undefined;

  private constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** With all nodes ready. */
  static async start(options: VirtualClusterOptions = {}): Promise<VirtualCluster> {
    const cluster = new VirtualCluster(options.logger ?? silentLogger);
    try {
      await cluster.#start(options);
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  get server(): RunningApiServer {
    if (!this.#server) throw new Error("the cluster has not been started");
    return this.#server;
  }

  /** Of an administrator. */
  get client(): Client {
    return this.server.clientFor(administrator);
  }

  async #start({ nodes: count = 2, behaviours = {}, beforePull, args = [] }: VirtualClusterOptions): Promise<void> {
    const { clock } = this;
    const logger = this.#logger;
    const directory = await mkdtemp(join(tmpdir(), "coracle-virtual-"));
    this.#stack.defer(() => rm(directory, { recursive: true, force: true }));
    const flags = ["--data-dir", directory, "--storage=memory", "--bind-address=127.0.0.1", "--secure-port=0", ...args];
    const settings = apiServerOptions(parseFlags(apiServerFlags, flags).values);
    const server = this.#stack.add(await this.settled(startApiServer(settings, { clock, logger })));
    this.#server = server;
    await this.settled(server.ready);
    const loops = { client: server.clientFor({ name: "system:kube-controller-manager", groups: ["system:authenticated"] }), clock, logger };
    const accountGroups = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
    const clientFor = (account: string): Client =>
      server.clientFor({ name: `system:serviceaccount:kube-system:${account}`, groups: accountGroups });
    const cidrs = { clusterCidrs: ["10.244.0.0/16"], serviceCidrs: ["10.0.0.0/24"] };
    const signing = { rootCaPem: server.caPem, clusterSigning: server.pki.ca };
    this.#stack.add(await this.settled(startControllerManager({ ...loops, clientFor }, { ...signing, ...cidrs })));
    const scheduler = server.clientFor({ name: "system:kube-scheduler", groups: ["system:authenticated"] });
    this.#stack.add(await this.settled(startScheduler({ clock, logger, client: scheduler })));
    for (let i = 1; i <= count; i++) await this.#addNode(i, directory, { behaviours, ...(beforePull ? { beforePull } : {}) });
  }

  async #addNode(index: number, directory: string, how: Partial<SimulatedRuntimeOptions>): Promise<void> {
    const { clock, server } = this;
    const name = `node-${index}`;
    const runtime = createSimulatedRuntime({ clock, hostAddress: `192.0.2.${index}`, ...how });
    const deps = {
      client: server.clientFor({ name: `system:node:${name}`, groups: ["system:nodes", "system:authenticated"] }),
      runtime: { cri: runtime, description: "simulated", simulated: true, stop: async () => undefined },
      ...{ clock, logger: this.#logger },
    };
    const quiet = { evictionHard: {}, localStorageCapacityIsolation: false, imageGCHighThresholdPercent: 100 };
    const options = { nodeName: name, rootDirectory: join(directory, name), nodeIPs: [`192.0.2.${index}`], ...quiet };
    const kubelet = this.#stack.add(await this.settled(startKubelet(deps, options)));
    await this.settled(kubelet.ready);
    this.nodes.push({ name, runtime });
  }

  /** Lets time pass until the promise is settled. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    let isPending = true;
    const ended = (): void => {
      isPending = false;
    };
    promise.then(ended, ended);
    while (isPending) await this.#step();
    return promise;
  }

  /** Lets time pass until something is found. What is not there yet is no error. Fails after `limitMs` of virtual time. */
  async until<T>(what: string, look: () => Promise<T | undefined | false>, limitMs = longWaitMs): Promise<T> {
    const endMs = this.clock.now() + limitMs;
    for (;;) {
      const found = await look().catch((error: unknown) => {
        if (!isStatus(error, "NotFound")) throw error;
        return undefined;
      });
      if (found !== undefined && found !== false) return found;
      if (this.clock.now() >= endMs) throw new Error(`${what}: not after ${limitMs / 1000} s`);
      await this.#step(limitMs > longWaitMs ? longStepMs : stepMs);
    }
  }

  /** Lets this much time pass. */
  async pass(ms: number): Promise<void> {
    const endMs = this.clock.now() + ms;
    while (this.clock.now() < endMs) await this.#step(Math.min(longStepMs, endMs - this.clock.now()));
  }

  /** Files are written in real time, however still the clock stands. */
  async #step(ms = stepMs): Promise<void> {
    await realClock.sleep(1);
    await this.clock.advance(ms);
  }

  /** A new namespace in which pods can be made. */
  async namespace(name: string): Promise<string> {
    await this.client.create(namespaces, { metadata: { name }, spec: {} });
    this.#namespaces.push(name);
    await this.until(`the service account of ${name}`, () => this.client.get(serviceaccounts, { namespace: name, name: "default" }));
    return name;
  }

  /** Deletes the namespaces there are by now, which go as time passes: what nobody looks at any more costs time, too. */
  async clear(): Promise<void> {
    const names = this.#namespaces;
    this.#namespaces = [];
    for (const name of names)
      await this.client.delete(namespaces, { name }).catch((error: unknown) => {
        if (!isStatus(error, "NotFound", "Conflict")) throw error;
      });
  }

  /** Gives every node so many of an extended resource, as administrators do. */
  async provide(resource: string, amount: string): Promise<void> {
    for (const { name } of this.nodes)
      await this.client.patch(nodes, { name }, { status: { capacity: { [resource]: amount } } }, { type: "merge", subresource: "status" });
    for (const { name } of this.nodes)
      await this.until(`${resource} on ${name}`, async () => {
        const { status } = await this.client.get(nodes, { name });
        return parseQuantity(status?.allocatable?.[resource] ?? "0").toString() === parseQuantity(amount).toString();
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.settled(this.#stack.stop());
  }
}
