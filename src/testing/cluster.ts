// A whole cluster inside a test: API server, controllers, scheduler and simulated nodes in this process, on a clock that stands
// still until the test lets time pass: hours of a CronJob take as long as what happens in them.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { apiServerFlags, apiServerOptions } from "../apiserver/options.ts";
import { type Clock, realClock, VirtualClock } from "../base/clock.ts";
import { parseFlags } from "../base/flags.ts";
import { StopStack } from "../base/lifecycle.ts";
import { createLogger, type Logger, silentLogger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { type RunningApiServer, startApiServer } from "../cmd/apiserver/start-apiserver.ts";
import { nodeAddressesFor } from "../cmd/node/machine-network.ts";
import { SimulatedNodes } from "../cmd/simulation/simulated-nodes.ts";
import { createSimulation, roomForNodes, type SimulationOptions } from "../cmd/simulation/simulation.ts";
import { startClusterLoops } from "../cmd/up/cluster-loops.ts";
import { fetchOver } from "../cri/simulated/http.ts";
import { createManifestClient, type ManifestClient } from "./manifests.ts";

export interface ClusterOptions extends SimulationOptions {
  /** How many simulated nodes, or their names. Default 1; names are node-1, node-2, … */
  readonly nodes?: number | readonly string[];
  /** Default "virtual": time stands still but for advance() and until(). "real" is for clients outside the process. */
  readonly clock?: "virtual" | "real" | VirtualClock;
  /** A comma list of controllers, * for all, -name to leave one out. Default all. */
  readonly controllers?: string;
  /** How long a node may be silent before it is unknown. Default 50 s. */
  readonly nodeMonitorGracePeriodMs?: number;
  /** Where the log goes. Default nowhere. */
  readonly log?: (line: string) => void;
}

export interface UntilOptions {
  /** Of the cluster's time. Default 5 minutes. */
  readonly limitMs?: number;
  /** How far time moves between two looks. Default 100 ms. */
  readonly stepMs?: number;
}

export interface TestCluster extends ManifestClient, AsyncDisposable {
  /** Speaks as an administrator. */
  readonly client: Client;
  readonly clock: Clock;
  /** Of the API server, which also listens on a port of 127.0.0.1. */
  readonly url: string;
  /** File with an administrator's kubeconfig, for clients outside the process. */
  readonly kubeconfig: string;
  clientFor(user: string, groups?: readonly string[]): Client;
  /** Lets time pass. With a real clock it is waited for. */
  advance(ms: number): Promise<void>;
  /** Lets time pass until the condition holds; what it last gave. Throws when it does not in time. */
  until<T>(condition: () => Promise<T> | T, options?: UntilOptions): Promise<NonNullable<T>>;
  /** A request to the address of a pod, or the address or name of a service ("web.default"). */
  fetch(url: string | URL, init?: RequestInit): Promise<Response>;
  /** Cuts a node's power: its pods are gone, and nobody is told. */
  stopNode(name: string): Promise<void>;
  /** Starts nodes that were stopped, or new ones. Resolves when they are Ready. */
  startNode(...names: readonly string[]): Promise<void>;
}

const serviceCidr = "10.96.0.0/12";
/** What is written and read takes real time, however still the clock stands. */
const turnMs = 1;
/** Of the cluster's time, until it stands. */
const startLimitMs = 5 * 60_000;

/** Everything runs when it resolves, and the nodes are Ready. */
export async function createCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const stack = new StopStack();
  const virtual = virtualClockOf(options.clock);
  const clock = virtual ?? realClock;
  const logger = options.log ? createLogger("cluster", { write: options.log }) : silentLogger;
  const whileTimePasses = <T>(work: Promise<T>): Promise<T> => (virtual ? driven(virtual, work) : work);
  const stop = (): Promise<void> => whileTimePasses(stack.stop());
  try {
    const directory = await mkdtemp(join(tmpdir(), "coracle-cluster-"));
    stack.defer(() => rm(directory, { recursive: true, force: true }));
    return await whileTimePasses(start({ options, directory, stack, clock, virtual, logger, stop }));
  } catch (error) {
    await stop();
    throw error;
  }
}

function virtualClockOf(clock: ClusterOptions["clock"] = "virtual"): VirtualClock | undefined {
  if (clock === "real") return undefined;
  return clock === "virtual" ? new VirtualClock() : clock;
}

interface Start {
  readonly options: ClusterOptions;
  readonly directory: string;
  readonly stack: StopStack;
  readonly clock: Clock;
  readonly virtual: VirtualClock | undefined;
  readonly logger: Logger;
  readonly stop: () => Promise<void>;
}

async function start({ options, directory, stack, clock, virtual, logger, stop }: Start): Promise<TestCluster> {
  const { nodes = 1, controllers = "*", nodeMonitorGracePeriodMs = 50_000 } = options;
  const names = typeof nodes === "number" ? Array.from({ length: nodes }, (_, i) => `node-${i + 1}`) : nodes;
  const ranges = roomForNodes({ "cluster-cidr": ["10.244.0.0/16"], "node-cidr": [] }, names.length);
  const clusterCidrs = ranges["cluster-cidr"];
  const nodeCidrs = ranges["node-cidr"].length > 0 ? ranges["node-cidr"] : ["172.29.0.0/24"];
  const simulation = createSimulation(options);
  const server = stack.add(await startServer(directory, { clock, logger: logger.named("apiserver"), dial: simulation.network.connect }));
  await server.ready;
  const scheduler = { flagName: "", config: undefined, pluginFlag: "", plugins: [] };
  const loops = { controllers, clusterCidrs, serviceCidrs: [serviceCidr], nodeMonitorGracePeriodMs, scheduler };
  stack.add(await startClusterLoops({ server, clock, logger }, loops));
  const clientFor = (name: string, groups: readonly string[] = []): Client =>
    server.clientFor({ name, groups: [...groups, "system:authenticated"] });
  const client = clientFor("kubernetes-admin", ["system:masters"]);
  const simulated = stack.add(
    new SimulatedNodes(
      { client, clientFor: (name) => clientFor(`system:node:${name}`, ["system:nodes"]), simulation, clock, logger: logger.named("nodes") },
      { dataDir: directory, clusterCidrs, kubelet: { evictionHard: {}, imageGCHighThresholdPercent: 100 } },
    ),
  );
  const known: string[] = [];
  const addressesOf = (name: string): readonly string[] => {
    if (!known.includes(name)) known.push(name);
    return nodeAddressesFor(nodeCidrs, known.indexOf(name) + 1);
  };
  const startNodes = (wanted: readonly string[]) => simulated.start(wanted.map((name) => ({ name, addresses: addressesOf(name) })));
  await startNodes(names);
  const { network } = simulation;
  return {
    ...{ client, clock, clientFor, url: server.url, kubeconfig: server.adminKubeconfig },
    ...createManifestClient(client),
    advance: (ms) => (virtual ? virtual.advance(ms) : realClock.sleep(ms)),
    until: (condition, more) => until(virtual, condition, more),
    fetch: (url, init) =>
      whole(
        virtual,
        fetchOver((host, port) => network.connectAs("default", host, port), url, init),
      ),
    stopNode: (name) => whole(virtual, simulated.stopNode(name)),
    startNode: (...wanted) => whole(virtual, startNodes(wanted)),
    [Symbol.asyncDispose]: stop,
  };
}

function startServer(directory: string, deps: Parameters<typeof startApiServer>[1]): Promise<RunningApiServer> {
  const args = ["--storage=memory", "--bind-address=127.0.0.1", "--secure-port=0", `--service-cluster-ip-range=${serviceCidr}`];
  const { values } = parseFlags(apiServerFlags, ["--data-dir", directory, ...args]);
  return startApiServer(apiServerOptions(values), deps);
}

const whole = <T>(virtual: VirtualClock | undefined, work: Promise<T>): Promise<T> => (virtual ? driven(virtual, work) : work);

/** Lets time pass until the work is done. */
async function driven<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let isDone = false;
  const done = (): void => {
    isDone = true;
  };
  work.then(done, done);
  const endMs = clock.now() + startLimitMs;
  // Little by little: what waits for a file must not find that hours have passed.
  for (let stepMs = 0; !isDone && clock.now() < endMs; stepMs = Math.min(stepMs + 1, 10)) {
    await realClock.sleep(turnMs);
    if (!isDone) await clock.advance(stepMs);
  }
  return await work;
}

async function until<T>(
  virtual: VirtualClock | undefined,
  condition: () => Promise<T> | T,
  { limitMs = 5 * 60_000, stepMs = 100 }: UntilOptions = {},
): Promise<NonNullable<T>> {
  const clock = virtual ?? realClock;
  const endMs = clock.now() + limitMs;
  for (;;) {
    const held = await (virtual ? driven(virtual, Promise.resolve(condition())) : condition());
    if (held) return held;
    if (clock.now() >= endMs) throw new Error(`the condition does not hold after ${limitMs} ms of the cluster's time`);
    await realClock.sleep(turnMs);
    await (virtual ? virtual.advance(stepMs) : realClock.sleep(stepMs));
  }
}
