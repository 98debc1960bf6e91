// `coracle up`: a whole cluster in one process, in the foreground. API server, controllers, scheduler and, unless --nodes 0,
// this machine as a node. Ctrl-C ends it; the pods' containers run on, so that the next `up` with the same data directory
// finds them as they were. `coracle down` ends those too.
import { resolve } from "node:path";
import { apiServerFlags, apiServerOptions } from "../../apiserver/options.ts";
import { type Clock, realClock } from "../../base/clock.ts";
import { optimizeSooner } from "../../base/engine.ts";
import { boolean, durationMs, flag, integer, list, oneOf, optionalText, text } from "../../base/flags.ts";
import { StopStack } from "../../base/lifecycle.ts";
import { createLogger, type Logger } from "../../base/log.ts";
import { version } from "../../base/version.ts";
import { type ClusterNetwork, podNetworkModes } from "../../node-network/cluster-network.ts";
import { DirectoryLockedError, lockDirectory } from "../../storage/directory-lock.ts";
import type { RunningApiServer } from "../apiserver/start-apiserver.ts";
import { CommandError } from "../command-error.ts";
import { parseCommand, untilSignal } from "../command-flags.ts";
import { volumeFlags } from "../controller-manager/volume-flags.ts";
import { clusterLock, defaultDataDir } from "../data-dir.ts";
import { ociRuntimeFlags, runtimeFlags } from "../kubelet/oci-runtime-flag.ts";
import { cniPluginFlags } from "../node/cni-plugin-choice.ts";
import type { LocalNodeSettings } from "../node/local-node.ts";
import type { SchedulerFiles, SchedulerInput } from "../scheduler/scheduler-setup.ts";
import { boundMemory, openSimulation, roomForNodes, simulationFlags } from "../simulation/simulation.ts";
import { rangeProblem } from "./address-ranges.ts";
import { loadBalancerOf } from "./up-load-balancer.ts";
import { upMetricsFlags } from "./up-metrics-flags.ts";
import { networkOfNodes, requireSameServiceRange, startNetworkParts, upNetworkFlags } from "./up-network.ts";

const flags = {
  ...apiServerFlags,
  "data-dir": flag(optionalText, undefined, `directory of everything the cluster keeps; default ${defaultDataDir()}`),
  kubeconfig: flag(
    optionalText,
    undefined,
    "file to write the administrator's kubeconfig to, beside what is there already; default <data-dir>/admin.kubeconfig",
  ),
  nodes: flag(
    integer({ min: 0, max: 1000 }),
    1,
    "nodes on this machine, at least; 0 is a control plane alone. Those beside the first have a network namespace each",
  ),
  ...runtimeFlags,
  ...ociRuntimeFlags,
  ...upNetworkFlags,
  ...simulationFlags,
  "cluster-cidr": flag(list, ["10.244.0.0/16"], "addresses of pods, of which each node gets a part; at most one range of each family"),
  "node-cidr": flag(
    list,
    [],
    "addresses of nodes beside the first; default 172.29.0.0/24, and fd00:172:29::/64 with pods of both families",
  ),
  "pod-network": flag(
    oneOf(...podNetworkModes, "bridge"),
    "auto",
    "how packets to other nodes' pods travel: host-gw by routes between neighbours, vxlan through a tunnel, udp through one for kernels without VXLAN (auto, or bridge: as each node's place and kernel allow); routed by BGP, as IPPool objects say; none is for a CNI plugin of your own",
  ),
  ...cniPluginFlags,
  "node-monitor-grace-period": flag(durationMs, 50_000, "how long a node may be silent before it is unknown"),
  "pod-manifest-path": flag(optionalText, undefined, "directory with manifests of static pods; default <data-dir>/manifests"),
  "scheduler-config": flag(optionalText, undefined, "file with a KubeSchedulerConfiguration for the scheduler"),
  "kubelet-config": flag(optionalText, undefined, "file with a KubeletConfiguration for the nodes"),
  "scheduler-plugin": flag(list, [], "module with scheduler plugins of yours, in TypeScript or JavaScript; may be repeated"),
  "metrics-server": flag<boolean | undefined>(
    boolean,
    undefined,
    "serves metrics.k8s.io: what kubectl top and autoscalers ask; default true, or false with --nodes 0",
  ),
  ...upMetricsFlags,
  ...volumeFlags,
  controllers: flag(text, "*", "controllers to run: a comma list of names, * for all, -name to leave one out"),
};

type UpFlags = ReturnType<typeof completed>;

const parse = (args: readonly string[]) =>
  parseCommand({ name: "up", summary: "Runs a whole cluster in this process, in the foreground." }, flags, args)?.values;

/** With the defaults that depend on other flags. */
function completed(given: NonNullable<ReturnType<typeof parse>>) {
  return {
    ...given,
    ...roomForNodes(given, given.nodes),
    "load-balancer": loadBalancerOf(given, given.nodes),
    "metrics-server": given["metrics-server"] ?? given.nodes > 0,
  };
}

/** Says what came up, and after how many milliseconds since the process began. */
function report(what: string): void {
  process.stdout.write(`${`${Math.round(performance.now())} ms`.padStart(9)}  ${what}\n`);
}

export async function run(args: readonly string[]): Promise<number> {
  const parsed = parse(args);
  if (!parsed) return 0;
  const values = completed(parsed);
  requireRanges(values);
  const dataDir = resolve(values["data-dir"] ?? defaultDataDir());
  const stack = new StopStack();
  const ended = untilSignal();
  try {
    stack.defer(claim(dataDir));
    const starting = startCluster({ ...values, "data-dir": dataDir }, stack, realClock);
    // A signal during the start ends what has been started so far.
    if ((await Promise.race([starting.then(() => "up" as const), ended])) === "up") await ended;
    process.stdout.write("\nstopping\n");
  } finally {
    await stack.stop();
  }
  process.stdout.write("stopped; containers run on for the next start (coracle down ends them)\n");
  return 0;
}

/** Keeps a second cluster out of the directory; gives back what releases it. */
function claim(dataDir: string): () => void {
  try {
    const lock = lockDirectory(dataDir, clusterLock);
    return () => lock.release();
  } catch (error) {
    if (error instanceof DirectoryLockedError)
      throw new CommandError(
        `--data-dir ${dataDir}: a cluster already runs here (${error.holder}); stop it first, or choose another directory`,
      );
    throw new CommandError(`--data-dir ${dataDir}`, { cause: error });
  }
}

async function startCluster(values: UpValues, stack: StopStack, clock: Clock): Promise<void> {
  const logger = createLogger("coracle", { verbosity: values.v });
  const announce = (what: string): void => {
    // What would come next would only have to be ended again, and take the time and the processor from those who end.
    if (stack.isStopping) throw new CommandError("ended by a signal before it was up");
    report(what);
  };
  const [{ startApiServer }, { chooseRuntime }] = await Promise.all([
    import("../apiserver/start-apiserver.ts"),
    import("../kubelet/node-runtime.ts"),
  ]);
  networkOfNodes(values); // says what is wrong before anything starts
  const { choice, why } = values.runtime === undefined ? await chooseRuntime() : { choice: values.runtime };
  if (values.nodes > 0) await requirePlaceForNodes(values, choice);
  const simulation =
    choice === "simulated" ? stack.add(await openSimulation(values, { clock, logger: logger.named("simulation") })) : undefined;
  if (simulation) boundMemory(values.nodes);
  // What is wrong with a file comes before anything is started; without one there is nothing to find.
  const fromFile = values["kubelet-config"] === undefined ? undefined : await nodeSettings(values, choice, logger);
  const schedulerSetup = await checkBeforehand(values, choice);
  process.stdout.write(`Coracle ${version}, data in ${values["data-dir"]}\n`);
  const server = stack.add(
    await startApiServer(apiServerOptions(values), { clock, logger: logger.named("apiserver"), dial: simulation?.network.connect }),
  );
  await server.ready;
  await requireSameServiceRange(server, values["service-cluster-ip-range"]);
  announce(`API server at ${server.url}`);
  const [network] = await Promise.all([
    publishNetwork(values, server, stack, { clock, logger }),
    startLoops({ ...values, schedulerSetup }, server, stack, { clock, logger, announce }),
  ]);
  // Before the nodes: clients remember for hours which APIs there were when they first asked.
  const { startClusterMetrics } = await import("./cluster-metrics.ts");
  const metrics = startClusterMetrics(server, values["metrics-server"], {
    ...{ clock, logger: logger.named("metrics-server"), dial: simulation?.network.connect },
  });
  metrics.catch(() => undefined); // told below
  stack.defer(async () => (await metrics.catch(() => undefined))?.stop());
  if (values.nodes > 0) {
    if (why) process.stdout.write(`           no containers: ${why}; pods are simulated\n`);
    const { startNodes } = await import("./up-nodes.ts");
    const settings = fromFile ?? (await nodeSettings(values, choice, logger));
    await startNodes({ server, stack, clock, logger, announce }, { ...nodesOptions(values, choice), network, settings, simulation });
  }
  stack.add(await startNetworkParts(values, choice, { server, clock, logger, announce }));
  await metrics;
  const kubeconfig = await publishKubeconfig(values.kubeconfig, server);
  optimizeSooner();
  process.stdout.write(
    `\nkubeconfig: ${kubeconfig}\n\n  export KUBECONFIG=${kubeconfig}\n  kubectl get nodes\n\nCtrl-C stops the cluster.\n`,
  );
}

type UpValues = UpFlags & { readonly "data-dir": string };

function requireRanges(values: UpFlags): void {
  const problem = rangeProblem([
    { flag: "--service-cluster-ip-range", cidrs: serviceCidrs(values) },
    { flag: "--cluster-cidr", cidrs: values["cluster-cidr"] },
    { flag: "--node-cidr", cidrs: nodeCidrs(values) },
  ]);
  if (problem !== undefined) throw new CommandError(problem);
}

const schedulerFiles = (values: UpFlags): SchedulerFiles => ({
  ...{ flagName: "scheduler-config", config: values["scheduler-config"] },
  ...{ pluginFlag: "scheduler-plugin", plugins: values["scheduler-plugin"] },
});

/** What only comes up late, said early. What the defaults are needs no look, and loads nothing. */
async function checkBeforehand(values: UpFlags, choice: string): Promise<SchedulerInput | undefined> {
  const { nodes, runtime, "oci-runtime": ociRuntime } = values;
  if (nodes > 0 && (runtime !== undefined || ociRuntime !== "auto"))
    await (await import("../kubelet/node-runtime.ts")).requireRuntime(choice, ociRuntime);
  if (values.kubeconfig !== undefined)
    await (await import("../credentials/users-kubeconfig.ts")).requireWritableKubeconfig(values.kubeconfig);
  if (values.controllers !== "*")
    (await import("../controller-manager/controller-manager-flags.ts")).checkedSelection(values.controllers.split(","));
  if (values["scheduler-config"] === undefined && values["scheduler-plugin"].length === 0) return undefined;
  return (await import("../scheduler/scheduler-setup.ts")).readSchedulerSetup(schedulerFiles(values));
}

/** Two clusters with the same addresses on one machine would take each other's packets. */
async function requirePlaceForNodes(values: UpValues, choice: string): Promise<void> {
  const [{ findNetworkClash }, { whyNotSeveral }] = await Promise.all([import("../../cni/network-clash.ts"), import("./up-nodes.ts")]);
  const reason = await whyNotSeveral(nodesOptions(values, choice));
  if (reason !== undefined) throw new CommandError(reason);
  const lacking =
    values["pod-network"] === "routed" && choice === "containerd"
      ? await (await import("../node/routed-node.ts")).whyNotRouted()
      : undefined;
  if (lacking !== undefined) throw new CommandError(`--pod-network routed: ${lacking}`);
  const clash = choice === "containerd" ? await findNetworkClash(values["data-dir"], values["cluster-cidr"]) : undefined;
  if (clash !== undefined) throw new CommandError(`--cluster-cidr ${clash}; choose another range, or end what uses it`);
}

const serviceCidrs = (values: UpFlags): readonly string[] => values["service-cluster-ip-range"].split(",");

function nodeCidrs(values: UpFlags): readonly string[] {
  if (values["node-cidr"].length > 0) return values["node-cidr"];
  return ["172.29.0.0/24", ...(values["cluster-cidr"].some((cidr) => cidr.includes(":")) ? ["fd00:172:29::/64"] : [])];
}

function nodesOptions(values: UpValues, choice: string) {
  return {
    ...{ dataDir: values["data-dir"], count: values.nodes, choice, nodeCidrs: nodeCidrs(values), verbosity: values.v },
    cniPlugins: values["cni-plugins"],
    ...{ podManifestPath: values["pod-manifest-path"], bindAddress: values["bind-address"], kubeletConfig: values["kubelet-config"] },
    ociRuntime: values["oci-runtime"],
  };
}

/** What all nodes have to know, on this machine and on others, as objects of the cluster. */
async function publishNetwork(
  values: UpValues,
  server: RunningApiServer,
  stack: StopStack,
  { clock, logger }: Shared,
): Promise<ClusterNetwork> {
  const [{ publishClusterNetwork }, { administrator, clusterNetworkOf }] = await Promise.all([
    import("../node/node-access.ts"),
    import("./up-nodes.ts"),
  ]);
  const network = clusterNetworkOf({
    dataDir: values["data-dir"],
    clusterCidrs: values["cluster-cidr"],
    serviceCidrs: serviceCidrs(values),
    mode: values["pod-network"] === "bridge" ? "auto" : values["pod-network"],
    nodeCidrs: nodeCidrs(values),
    ...networkOfNodes(values),
  });
  await publishClusterNetwork(administrator(server), network);
  if (network.podNetwork.mode === "routed") {
    const { startRoutedCluster } = await import("./up-routed-network.ts");
    stack.add(await startRoutedCluster({ server, clock, logger }, network));
  }
  return network;
}

interface Shared {
  readonly clock: Clock;
  readonly logger: Logger;
}

async function startLoops(
  values: UpFlags & { readonly schedulerSetup: SchedulerInput | undefined },
  server: RunningApiServer,
  stack: StopStack,
  { clock, logger, announce }: Shared & { readonly announce: (what: string) => void },
): Promise<void> {
  const { startClusterLoops } = await import("./cluster-loops.ts");
  const loops = await startClusterLoops(
    { server, clock, logger },
    {
      controllers: selectedControllers(values),
      clusterCidrs: values["cluster-cidr"],
      serviceCidrs: serviceCidrs(values),
      nodeMonitorGracePeriodMs: values["node-monitor-grace-period"],
      scheduler: schedulerFiles(values),
      schedulerSetup: values.schedulerSetup,
      volumes: values,
      ports: { controllerManager: values["controller-manager-secure-port"], scheduler: values["scheduler-secure-port"] },
    },
  );
  stack.add(loops);
  announce("controllers and scheduler");
}

/** Nodes of a routed pod network have blocks instead of ranges. */
function selectedControllers(values: UpFlags): string {
  if (values["pod-network"] !== "routed") return values.controllers;
  const ranges = "node-ipam-controller";
  const others = values.controllers.split(",").filter((name) => name !== ranges && name !== `-${ranges}`);
  return [...others, `-${ranges}`].join();
}

async function nodeSettings(values: UpFlags, choice: string, logger: Logger): Promise<LocalNodeSettings> {
  const { localNodeSettings } = await import("../node/local-node.ts");
  return localNodeSettings({ file: values["kubelet-config"], choice, several: values.nodes > 1 }, logger);
}

async function publishKubeconfig(path: string | undefined, server: RunningApiServer): Promise<string> {
  if (path === undefined) return server.adminKubeconfig;
  const { pki, url, caPem } = server;
  try {
    const { writeUsersKubeconfig } = await import("../credentials/users-kubeconfig.ts");
    await writeUsersKubeconfig(path, { server: url, authority: caPem, credentials: pki.admin, user: "kubernetes-admin" });
  } catch (error) {
    throw new CommandError(`--kubeconfig ${path}`, { cause: error });
  }
  return path;
}
