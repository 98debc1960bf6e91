// The kubelet as a command (`coracle kubelet`, a node of any cluster) and as the other commands start it: which runtime, mounts
// and control groups a node of this machine works with, upstream's flags and configuration file, TLS bootstrap.
import { writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import type { Duplex } from "node:stream";
import { type Clock, realClock } from "../../base/clock.ts";
import { immediateFiles } from "../../base/file-calls.ts";
import { flagTexts } from "../../base/flags.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { createLogger, errorText, type Logger, type LogOptions } from "../../base/log.ts";
import type { Tracer } from "../../base/tracing.ts";
import type { Turns } from "../../base/turns.ts";
import type { Client } from "../../client/client.ts";
import { createEventRecorder, type EventRecorder } from "../../client/event-recorder.ts";
import type { InformerFactory } from "../../client/informer.ts";
import { podNetworkName } from "../../cni/network-config.ts";
import { containerdPaths } from "../../cri/containerd-paths.ts";
import { pauseImageReference } from "../../cri/pause-image.ts";
import { servingFiles } from "../../kubelet/certificates/serving-certificate.ts";
import { noPodCgroups } from "../../kubelet/cgroups/pod-cgroups.ts";
import type { KubeletConfiguration } from "../../kubelet/configuration/kubelet-configuration.ts";
import type { LoadedConfiguration } from "../../kubelet/configuration/load.ts";
import { nodeLabelProblem } from "../../kubelet/configuration/node-labels.ts";
import { shownConfiguration } from "../../kubelet/configuration/shown.ts";
import { createKubelet, type Kubelet } from "../../kubelet/kubelet.ts";
import { nodeHostAddresses } from "../../kubelet/node/node-addresses.ts";
import type { MachineGuards } from "../../kubelet/node/node-protection.ts";
import type { KubeletOptions } from "../../kubelet/options.ts";
import { readMachineTopology } from "../../kubelet/resource-managers/cpu-topology.ts";
import {
  type KubeletServerDependencies,
  type KubeletServerOptions,
  type RunningKubeletServer,
  startKubeletServer,
} from "../../kubelet/server/server.ts";
import { ServerMetrics } from "../../kubelet/server/server-metrics.ts";
import { createMachineReader, type MachineReader } from "../../kubelet/stats/machine.ts";
import { directoriesOnly, hostMounts } from "../../kubelet/volumes/host-mounts.ts";
import { createPersistentVolumePlugin } from "../../kubelet/volumes/persistent-volumes.ts";
import type { LogindOptions } from "../../linux/logind.ts";
import { watchOomKills } from "../../linux/oom-kills.ts";
import type { SystemInfo } from "../../linux/system-info.ts";
import { CommandError } from "../command-error.ts";
import { untilSignal } from "../command-flags.ts";
import { configurationFlagValues } from "./kubelet-configuration-flags.ts";
import { type KubeletInput, kubeletFlags, parseKubeletFlags } from "./kubelet-flags.ts";
import { kubeletCertificates } from "./kubelet-serving.ts";
import { type CgroupDriver, type NodeCgroups, openNodeCgroups } from "./node-cgroups.ts";
import { bootstrapNode, connectAsNode, loadConnection, type NodeClient } from "./node-client.ts";
import { announceConfiguration, kubeletOptionsOf, readNodeConfiguration, serverSettingsOf } from "./node-configuration.ts";
import { chooseRuntime, type NodeRuntime, startNodeRuntime } from "./node-runtime.ts";

export interface KubeletProcessDeps {
  readonly client: Client;
  /** For metrics: "10.0.0.1:6443". */
  readonly apiServerHost?: string;
  readonly informers?: InformerFactory;
  readonly runtime: NodeRuntime;
  /** Default its own. */
  readonly recorder?: EventRecorder;
  /** How many pods are begun at a time. Default all at once. */
  readonly podStarts?: Turns;
  /** What the node says of its machine. Default what this machine is. */
  readonly readSystem?: () => Promise<SystemInfo>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface KubeletProcessOptions extends KubeletOptions {
  /** Below which the control groups of pods lie; default "coracle/<nodeName>". */
  readonly cgroupRoot?: string;
  /** Where the runtime does not tell its own. Default "cgroupfs". */
  readonly cgroupDriver?: CgroupDriver;
  /** The server for logs, exec, attach and port-forward. Without it the node has none. */
  readonly serving?: KubeletServerOptions;
  /** Where systemd of the machine is, if not at its usual places. */
  readonly logind?: Pick<LogindOptions, "systemDirectory" | "configDirectory">;
  /** Serves the same to this process alone, for nodes without a port of the machine. */
  readonly inProcess?: InProcessServing;
}

export interface InProcessServing {
  /** Where the node says that it can be asked. */
  readonly port: number;
  /** Hands over connections to the node; gives back what ends that. */
  readonly listen: (accept: (connection: Duplex) => void) => () => void;
}

export interface RunningKubelet extends Running {
  readonly kubelet: Kubelet;
  /** Resolves when the node is Ready. */
  readonly ready: Promise<void>;
}

const readyPollMs = 25;

/** Resolves when the kubelet runs, Ready or not. */
export async function startKubelet(deps: KubeletProcessDeps, options: KubeletProcessOptions): Promise<RunningKubelet> {
  const { client, informers, runtime, clock, logger } = deps;
  const { nodeName, cgroupRoot = `coracle/${nodeName}`, cgroupDriver: driver = "cgroupfs", inProcess } = options;
  const stack = new StopStack();
  const recorder = deps.recorder ?? stack.add(createEventRecorder({ client, clock, logger, component: "kubelet", host: nodeName }));
  let created: Kubelet | undefined;
  const checks = new Map([["syncloop", () => created?.stalled()]]);
  const serverMetrics = options.serving && new ServerMetrics(clock);
  const server =
    options.serving &&
    stack.add(
      await startServer(
        {
          host: () => created?.access,
          client,
          clock,
          logger,
          nodeName,
          dial: runtime.dial,
          ...(serverMetrics ? { metrics: serverMetrics } : {}),
        },
        { ...options.serving, checks },
      ),
    );
  if (inProcess && runtime.dial) {
    const { inProcessServer } = await import("../../kubelet/server/in-process.ts");
    const accept = inProcessServer(
      { host: () => created?.access, clock, logger, dial: runtime.dial },
      { checks, enableSystemLogHandler: false },
    );
    stack.defer(inProcess.listen(accept));
  }
  const port = inProcess?.port ?? server?.port;
  const tracer = options.tracing && stack.add(await startTracing(options.tracing, { nodeName, clock, logger }));
  const groups = runtime.simulated
    ? undefined
    : await openNodeCgroups({ cri: runtime.cri, clock, logger }, { root: cgroupRoot, driver, kubelet: options });
  if (groups?.daemons) stack.add(groups.daemons);
  const kubelet = createKubelet(
    {
      ...{ client, cri: runtime.cri, clock, logger, recorder },
      volumePlugins: [createPersistentVolumePlugin(client, runtime.simulated ? directoriesOnly : hostMounts)],
      mounts: runtime.simulated ? directoriesOnly : hostMounts,
      ...(runtime.simulated ? { files: immediateFiles } : {}),
      ...(deps.podStarts ? { podStarts: deps.podStarts } : {}),
      ...(tracer ? { tracer } : {}),
      cgroups: groups?.pods ?? noPodCgroups,
      ...(groups ? { machine: machineOf(runtime, cgroupRoot, groups) } : {}),
      ...(informers ? { informers } : {}),
      ...(serverMetrics ? { serverMetrics: serverMetrics.registry } : {}),
      ...(runtime.simulated ? {} : { guards: await machineGuards(options.logind), readTopology: readMachineTopology }),
      ...(runtime.dial ? { dial: runtime.dial } : {}),
      ...(deps.readSystem ? { readSystem: deps.readSystem } : {}),
      ...(deps.apiServerHost ? { apiServerHost: deps.apiServerHost } : {}),
      ...(runtime.configureNetwork ? { configureNetwork: runtime.configureNetwork } : {}),
    },
    port === undefined ? options : { ...options, port },
  );
  created = stack.add(kubelet);
  const stopped = new AbortController();
  stack.defer(() => stopped.abort(new Error(`the kubelet of node ${nodeName} was stopped`)));
  try {
    await kubelet.start();
  } catch (error) {
    await stack.stop();
    throw new CommandError(`starting the kubelet of node ${nodeName}`, { cause: error });
  }
  const ready = untilReady(kubelet, clock, stopped.signal);
  ready.catch(() => undefined); // whoever waits for it sees the rejection; nobody has to
  return { kubelet, ready, stop: () => stack.stop() };
}

/** What a node that is a machine has to look after. */
async function machineGuards(logind: KubeletProcessOptions["logind"]): Promise<MachineGuards> {
  return {
    keptImages: [pauseImageReference],
    oomKills: await watchOomKills(),
    // Only loaded where a shutdown is to be waited for.
    followShutdowns: async (deps, options) => (await import("../../linux/logind.ts")).followShutdowns(deps, { ...options, ...logind }),
  };
}

async function startServer(deps: KubeletServerDependencies, options: KubeletServerOptions): Promise<RunningKubeletServer> {
  try {
    return await startKubeletServer(deps, options);
  } catch (error) {
    throw new CommandError(`serving node ${deps.nodeName}`, { cause: error });
  }
}

async function untilReady(kubelet: Kubelet, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!kubelet.node?.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True")) await clock.sleep(readyPollMs, signal);
}

async function startTracing(
  { endpoint, samplingRatePerMillion: perMillion }: NonNullable<KubeletOptions["tracing"]>,
  { nodeName, clock, logger }: { readonly nodeName: string; readonly clock: Clock; readonly logger: Logger },
): Promise<Tracer> {
  const { startOtlpTracer } = await import("../../rpc/otlp-tracer.ts");
  const resource = { "service.name": "kubelet", "service.instance.id": nodeName, "host.name": hostname() };
  const scope = "k8s.io/kubernetes/pkg/kubelet";
  return startOtlpTracer({ clock, logger }, { ...(endpoint ? { endpoint } : {}), resource, scope, perMillion });
}

/** A machine without control groups still has /proc. */
const machineOf = ({ pid }: NodeRuntime, cgroupRoot: string, { groups, names }: NodeCgroups): MachineReader =>
  createMachineReader({ groups, cgroupRoot, names, ...(pid ? { runtimePid: pid } : {}) });

interface Place {
  readonly nodeName: string;
  readonly dataDir: string;
  readonly rootDirectory: string;
  readonly certDirectory: string;
}

function placeOf({ values }: KubeletInput): Place {
  const dataDir = resolve(values["data-dir"]);
  const rootDirectory = resolve(values["root-dir"] ?? join(dataDir, "kubelet"));
  return {
    nodeName: (values["hostname-override"] ?? hostname()).trim().toLowerCase(),
    ...{ dataDir, rootDirectory },
    certDirectory: resolve(values["cert-dir"] ?? join(rootDirectory, "pki")),
  };
}

/** What the configuration leaves to the place of the data, as /configz shows it. */
function placesOf(
  { podLogsDir, tlsCertFile, tlsPrivateKeyFile }: KubeletConfiguration,
  { dataDir, certDirectory }: Place,
  choice: string,
): Partial<KubeletConfiguration> {
  const [cert, key] = tlsCertFile === "" ? servingFiles(certDirectory) : [tlsCertFile, tlsPrivateKeyFile];
  return {
    containerRuntimeEndpoint: choice === "containerd" ? containerdPaths(dataDir).endpoint : choice,
    podLogsDir: podLogsDir || join(dataDir, "pods", "logs"),
    ...{ tlsCertFile: cert, tlsPrivateKeyFile: key },
  };
}

/** What the flags say of paths starts at the working directory. */
const pathFields = ["authentication.x509.clientCAFile", "staticPodPath", "tlsCertFile", "tlsPrivateKeyFile", "resolvConf"];

async function loadConfiguration({ values, given }: KubeletInput): Promise<LoadedConfiguration> {
  const flags = new Map(configurationFlagValues(values, given));
  for (const path of pathFields) {
    const written = flags.get(path);
    if (typeof written === "string" && written !== "") flags.set(path, resolve(written));
  }
  if (given.has("v")) flags.set("logging.verbosity", values.v);
  for (const [flag, field] of [
    ["register-with-taints", "registerWithTaints"],
    ["reserved-memory", "reservedMemory"],
    ["manifest-url-header", "staticPodURLHeader"],
  ] as const)
    if (values[flag]) flags.set(field, values[flag]);
  const { config, "config-dir": directory } = values;
  return readNodeConfiguration({
    flags,
    ...(config === undefined ? {} : { file: resolve(config) }),
    ...(directory === undefined ? {} : { directory: resolve(directory) }),
  });
}

async function optionsOf(
  { values }: KubeletInput,
  configuration: KubeletConfiguration,
  { nodeName, dataDir, rootDirectory }: Place,
): Promise<KubeletProcessOptions> {
  const labels = values["node-labels"] ?? {};
  const problem = nodeLabelProblem(labels);
  if (problem !== undefined) throw new CommandError(problem);
  const { "image-credential-provider-config": providers, "image-credential-provider-bin-dir": programs } = values;
  return {
    ...{ nodeName, rootDirectory, labels, logsDirectory: join(dataDir, "pods", "logs") },
    ...(await kubeletOptionsOf(configuration)),
    unschedulable: !values["register-schedulable"],
    ...(providers ? { imageCredentialProviderConfig: resolve(providers) } : {}),
    ...(programs ? { imageCredentialProviderBinDir: resolve(programs) } : {}),
    ...(await nodeIPsOf(values)),
    cloudProvider: values["cloud-provider"],
    cgroupDriver: configuration.cgroupDriver === "systemd" ? "systemd" : "cgroupfs",
    cgroupRoot: configuration.cgroupRoot === "" ? podNetworkName(dataDir) : configuration.cgroupRoot,
  };
}

/** Where none is given, a cluster of one family gets one address, as upstream's nodes do. */
async function nodeIPsOf(values: KubeletInput["values"]): Promise<Pick<KubeletOptions, "nodeIPs" | "addressFamilies">> {
  const { "node-ip": given, "cluster-cidr": ranges } = values;
  if (given.length > 0) return { nodeIPs: given };
  const families = new Set(ranges.map((range) => (range.includes(":") ? 6 : 4)));
  return { addressFamilies: [...families] };
}

/** Connects as the node, with a certificate that is asked for first where there is none. */
async function connect(
  { values }: KubeletInput,
  configuration: KubeletConfiguration,
  { nodeName, certDirectory }: Place,
  deps: { readonly clock: Clock; readonly logger: Logger; readonly signal: AbortSignal },
): Promise<NodeClient> {
  const { kubeconfig, "bootstrap-kubeconfig": bootstrapFile } = values;
  if (bootstrapFile !== undefined) {
    if (kubeconfig === undefined) throw new CommandError("--bootstrap-kubeconfig needs --kubeconfig: the file to write");
    const bootstrap = await loadConnection(bootstrapFile);
    await bootstrapNode(deps, { kubeconfig: resolve(kubeconfig), bootstrap, nodeName, certDirectory }, deps.signal);
  }
  return connectAsNode(deps, { kubeconfig, nodeName, certDirectory, rotate: configuration.rotateCertificates });
}

interface ServingContext {
  readonly cluster: NodeClient;
  readonly flags: Readonly<Record<string, string>>;
  /** What the configuration leaves to the place of the data. */
  readonly places: Partial<KubeletConfiguration>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Undefined with enableServer: false. */
async function servingOf(
  configuration: KubeletConfiguration,
  { nodeName, certDirectory }: Place,
  options: Pick<KubeletOptions, "nodeIPs" | "addressFamilies">,
  about: ServingContext,
): Promise<KubeletServerOptions | undefined> {
  if (!configuration.enableServer) return undefined;
  const { cluster, clock, logger, flags, places } = about;
  const addresses = (await nodeHostAddresses(options)).map((a) => a.address);
  const names = { dnsNames: [nodeName], ipAddresses: addresses };
  const { healthzBindAddress, healthzPort, address, port } = configuration;
  return {
    ...{ address, port },
    ...serverSettingsOf(configuration),
    ...(await kubeletCertificates({ client: cluster.client, clock, logger }, { configuration, nodeName, names, certDirectory })),
    ...(healthzPort === 0 ? {} : { healthz: { address: healthzBindAddress, port: healthzPort } }),
    about: { configuration: () => shownConfiguration({ ...configuration, ...places }), flags },
  };
}

/** The kernel kills this process late. What it must not do everywhere is only tried. */
async function protectFromOutOfMemory(score: number, logger: Logger): Promise<void> {
  if (process.platform !== "linux") return;
  await writeFile("/proc/self/oom_score_adj", String(score)).catch((error: unknown) => {
    logger.info("The OOM score stays as it is", { wanted: score, error: errorText(error) }, 2);
  });
}

/** What the file says, and the flags before it. */
function logOptions({ given, values }: KubeletInput, { logging }: KubeletConfiguration): LogOptions {
  const modules = logging.vmodule.map(({ filePattern, verbosity }) => ({ pattern: filePattern, verbosity }));
  return {
    verbosity: given.has("v") ? values.v : logging.verbosity,
    // Validated: one of the two.
    format: logging.format as "text" | "json",
    modules: given.has("vmodule") ? values.vmodule : modules,
  };
}

export async function run(args: readonly string[]): Promise<number> {
  const input = parseKubeletFlags(args);
  if (!input) return 0;
  const loaded = await loadConfiguration(input);
  const { configuration } = loaded;
  const clock = realClock;
  const logger = createLogger("kubelet", logOptions(input, configuration));
  if (input.ignored.length > 0) logger.info("Flags without effect", { flags: input.ignored.map((name) => `--${name}`).join(" ") });
  announceConfiguration(loaded, logger);
  const place = placeOf(input);
  const options = await optionsOf(input, configuration, place);
  const choice = configuration.containerRuntimeEndpoint || (await chooseRuntime()).choice;
  const places = placesOf(configuration, place, choice);
  const stack = new StopStack();
  const aborted = new AbortController();
  const ended = untilSignal().then(() => aborted.abort(new CommandError("ended by a signal before the node ran")));
  try {
    const cluster = stack.add(await connect(input, configuration, place, { clock, logger, signal: aborted.signal }));
    await protectFromOutOfMemory(configuration.oomScoreAdj, logger);
    const { dataDir } = place;
    const { "cluster-cidr": clusterCidrs, "cni-plugins": cniPlugins, "oci-runtime": ociRuntime } = input.values;
    const imageEndpoint = configuration.imageServiceEndpoint;
    const runtime = stack.add(
      await startNodeRuntime({ dataDir, choice, ociRuntime, imageEndpoint, clusterCidrs, cniPlugins, clock, logger }),
    );
    const flags = flagTexts(kubeletFlags, input.values);
    const serving = await servingOf(configuration, place, options, { cluster, flags, places, clock, logger });
    const running = stack.add(
      await startKubelet(
        { client: cluster.client, apiServerHost: new URL(cluster.server).host, runtime, clock, logger },
        { ...options, ...(serving ? { serving } : {}) },
      ),
    );
    process.stdout.write(`kubelet of node ${place.nodeName} runs (${runtime.description}) for ${cluster.server}\n`);
    running.ready.then(
      () => process.stdout.write(`node ${place.nodeName} is ready\n`),
      () => undefined,
    );
    await ended;
  } finally {
    await stack.stop();
  }
  return 0;
}
