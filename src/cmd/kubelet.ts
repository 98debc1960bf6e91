// The kubelet as a command (`coracle kubelet`, a node of any cluster) and as the all-in-one starts it: which runtime, mounts
// and control groups a node of this machine works with, and upstream's flags.
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import type { Taint } from "../api/types/core-v1.ts";
import { type Clock, realClock } from "../base/clock.ts";
import { boolean, type FlagType, flag, integer, list, optionalText, text } from "../base/flags.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import { createLogger, errorText, type Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { createEventRecorder } from "../client/event-recorder.ts";
import type { InformerFactory } from "../client/informer.ts";
import { podNetworkName } from "../cni/network-config.ts";
import { pauseImageReference } from "../cri/pause-image.ts";
import { createKubelet, type Kubelet } from "../kubelet/kubelet.ts";
import type { MachineGuards } from "../kubelet/node-protection.ts";
import type { KubeletOptions } from "../kubelet/options.ts";
import { createPodCgroups, noPodCgroups, type PodCgroups } from "../kubelet/pod-cgroups.ts";
import { type KubeletServerDependencies, type KubeletServerOptions, startKubeletServer } from "../kubelet/server/server.ts";
import { createMachineReader, type MachineReader } from "../kubelet/stats/machine.ts";
import { directoriesOnly, hostMounts } from "../kubelet/volumes/host-mounts.ts";
import { createPersistentVolumePlugin } from "../kubelet/volumes/persistent-volumes.ts";
import { createCgroups, detectCgroups } from "../linux/cgroups.ts";
import { watchOomKills } from "../linux/oom-kills.ts";
import { CommandError } from "./command-error.ts";
import { parseCommand, untilSignal } from "./command-flags.ts";
import { connectToCluster } from "./connect.ts";
import { defaultDataDir } from "./data-dir.ts";
import { chooseRuntime, type NodeRuntime, startNodeRuntime } from "./node-runtime.ts";

export interface KubeletProcessDeps {
  readonly client: Client;
  /** For metrics: "10.0.0.1:6443". */
  readonly apiServerHost?: string;
  readonly informers?: InformerFactory;
  readonly runtime: NodeRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface KubeletProcessOptions extends KubeletOptions {
  /** Below which the control groups of pods lie; default "coracle/<nodeName>". */
  readonly cgroupRoot?: string;
  /** The server for logs, exec, attach and port-forward. Without it the node has none. */
  readonly serving?: KubeletServerOptions;
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
  const { nodeName, cgroupRoot = `coracle/${nodeName}` } = options;
  const stack = new StopStack();
  const recorder = stack.add(createEventRecorder({ client, clock, logger, component: "kubelet", host: nodeName }));
  let created: Kubelet | undefined;
  const server =
    options.serving && stack.add(await startServer({ host: () => created?.access, client, clock, logger, nodeName }, options.serving));
  const kubelet = createKubelet(
    {
      ...{ client, cri: runtime.cri, clock, logger, recorder },
      volumePlugins: [createPersistentVolumePlugin(client)],
      mounts: runtime.simulated ? directoriesOnly : hostMounts,
      cgroups: runtime.simulated ? noPodCgroups : await podCgroupsOf(cgroupRoot, clock, logger),
      ...(runtime.simulated ? {} : { machine: await machineOf(runtime, cgroupRoot, clock) }),
      ...(informers ? { informers } : {}),
      ...(runtime.simulated ? {} : { guards: await machineGuards() }),
      ...(deps.apiServerHost ? { apiServerHost: deps.apiServerHost } : {}),
      ...(runtime.configureNetwork ? { configureNetwork: runtime.configureNetwork } : {}),
    },
    server ? { ...options, port: server.port } : options,
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
async function machineGuards(): Promise<MachineGuards> {
  return {
    keptImages: [pauseImageReference],
    oomKills: await watchOomKills(),
    // Only loaded where a shutdown is to be waited for.
    followShutdowns: async (deps, options) => (await import("../linux/logind.ts")).followShutdowns(deps, options),
  };
}

async function startServer(deps: KubeletServerDependencies, options: KubeletServerOptions): ReturnType<typeof startKubeletServer> {
  try {
    return await startKubeletServer(deps, options);
  } catch (error) {
    throw new CommandError(`serving node ${deps.nodeName}`, { cause: error });
  }
}

async function untilReady(kubelet: Kubelet, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!kubelet.node?.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True")) await clock.sleep(readyPollMs, signal);
}

/** A machine without control groups still has /proc. */
async function machineOf({ pid }: NodeRuntime, cgroupRoot: string, clock: Clock): Promise<MachineReader> {
  const system = await detectCgroups().catch(() => undefined);
  const groups = system && { system, cgroups: createCgroups(system, { clock }) };
  return createMachineReader({ groups, cgroupRoot, ...(pid ? { runtimePid: pid } : {}) });
}

async function podCgroupsOf(root: string, clock: Clock, logger: Logger): Promise<PodCgroups> {
  try {
    return createPodCgroups(createCgroups(await detectCgroups(), { clock }), root);
  } catch (error) {
    logger.warn("Pods get no control groups of their own", { error: errorText(error) });
    return noPodCgroups;
  }
}

const labels: FlagType<Readonly<Record<string, string>> | undefined> = {
  placeholder: "key=value,…",
  parse(value, previous) {
    const pairs = value.split(",").filter((pair) => pair !== "");
    return { ...previous, ...Object.fromEntries(pairs.map((pair) => keyAndValue(pair))) };
  },
};

function keyAndValue(pair: string): readonly [string, string] {
  const at = pair.indexOf("=");
  if (at <= 0) throw new Error(`expected key=value, not ${JSON.stringify(pair)}`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

const taints: FlagType<readonly Taint[]> = {
  placeholder: "key=value:effect,…",
  parse: (value, previous) => [
    ...(previous ?? []),
    ...value
      .split(",")
      .filter((t) => t !== "")
      .map(parseTaint),
  ],
};

function parseTaint(written: string): Taint {
  const match = /^([^=:]+)(?:=([^:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)$/.exec(written);
  const [, key, value, effect] = match ?? [];
  if (key === undefined || effect === undefined) throw new Error(`expected key=value:effect, not ${JSON.stringify(written)}`);
  return { key, effect: effect as Taint["effect"], ...(value ? { value } : {}) };
}

const flags = {
  kubeconfig: flag(optionalText, undefined, "how to reach the API server; default $KUBECONFIG, ~/.kube/config"),
  "hostname-override": flag(optionalText, undefined, "the node's name; default this machine's"),
  "container-runtime-endpoint": flag(optionalText, undefined, "unix:///path of a CRI runtime, containerd (our own) or simulated"),
  "data-dir": flag(text, defaultDataDir(), "directory of the runtime and of the kubelet"),
  "root-dir": flag(optionalText, undefined, "directory of the kubelet's own files; default <data-dir>/kubelet"),
  "pod-manifest-path": flag(optionalText, undefined, "directory with manifests of static pods"),
  "node-labels": flag(labels, undefined, "labels to register the node with"),
  "node-ip": flag(list, [], "addresses of the node, the primary one first; default the machine's"),
  "register-with-taints": flag(taints, [], "taints to register the node with"),
  "register-schedulable": flag(boolean, true, "whether pods may be scheduled to the node at once"),
  "max-pods": flag(integer({ min: 1 }), 110, "pods that can run here"),
  "cluster-cidr": flag(list, ["10.244.0.0/16"], "addresses of all pods of the cluster, which are not hidden behind the node's"),
  "cluster-dns": flag(list, [], "addresses of the cluster's DNS service"),
  "cluster-domain": flag(text, "cluster.local", "domain of the cluster's services"),
  "resolv-conf": flag(text, "/etc/resolv.conf", "the node's resolver configuration, the base of that of pods"),
  "seccomp-default": flag(boolean, false, "RuntimeDefault as the seccomp profile of containers that name none"),
  address: flag(text, "0.0.0.0", "address the kubelet's server listens on"),
  port: flag(integer({ min: 0, max: 65535 }), 10_250, "port of the kubelet's server; 0 takes any that is free"),
  "tls-cert-file": flag(optionalText, undefined, "serving certificate; without it there are no logs, exec, attach and port-forward"),
  "tls-private-key-file": flag(optionalText, undefined, "key of the serving certificate"),
  "client-ca-file": flag(optionalText, undefined, "authority of the clients' certificates, the API server's among them"),
  "cgroup-root": flag(
    optionalText,
    undefined,
    "control group below which those of pods lie; default one that belongs to the data directory",
  ),
  v: flag(integer({ min: 0, max: 10 }), 0, "verbosity of the log", "v"),
};

type KubeletFlags = NonNullable<ReturnType<typeof parse>>;

const parse = (args: readonly string[]) =>
  parseCommand({ name: "kubelet", summary: "Runs this machine as a node of a cluster." }, flags, args)?.values;

function optionsOf(values: KubeletFlags, nodeName: string): KubeletProcessOptions {
  const dataDir = resolve(values["data-dir"]);
  const manifests = values["pod-manifest-path"];
  return {
    nodeName,
    rootDirectory: resolve(values["root-dir"] ?? join(dataDir, "kubelet")),
    logsDirectory: join(dataDir, "pods", "logs"),
    labels: values["node-labels"] ?? {},
    taints: values["register-with-taints"],
    unschedulable: !values["register-schedulable"],
    maxPods: values["max-pods"],
    clusterDns: values["cluster-dns"],
    clusterDomain: values["cluster-domain"],
    resolvConf: values["resolv-conf"],
    seccompDefault: values["seccomp-default"],
    ...(values["node-ip"].length > 0 ? { nodeIPs: values["node-ip"] } : {}),
    ...(manifests === undefined ? {} : { podManifestPath: resolve(manifests) }),
    cgroupRoot: values["cgroup-root"] ?? podNetworkName(dataDir),
  };
}

/** The certificates of the kubelet's server: all three files, or none and no server. */
async function servingOf(values: KubeletFlags): Promise<{ readonly serving?: KubeletServerOptions }> {
  const names = ["tls-cert-file", "tls-private-key-file", "client-ca-file"] as const;
  const missing = names.filter((name) => values[name] === undefined);
  if (missing.length === names.length) return {};
  if (missing.length > 0)
    throw new CommandError(`${names.map((n) => `--${n}`).join(", ")}: expected all or none, --${missing[0]} is missing`);
  const [cert, key, clientCa] = await Promise.all(names.map((name) => readFlagFile(name, values[name] ?? "")));
  return { serving: { address: values.address, port: values.port, cert: cert ?? "", key: key ?? "", clientCa: clientCa ?? "" } };
}

async function readFlagFile(name: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new CommandError(`--${name} ${path}`, { cause: error });
  }
}

export async function run(args: readonly string[]): Promise<number> {
  const values = parse(args);
  if (!values) return 0;
  const clock = realClock;
  const logger = createLogger("kubelet", { verbosity: values.v });
  const nodeName = (values["hostname-override"] ?? hostname()).toLowerCase();
  const choice = values["container-runtime-endpoint"] ?? (await chooseRuntime()).choice;
  const stack = new StopStack();
  try {
    const cluster = await connectToCluster({ kubeconfig: values.kubeconfig, clock, userAgent: "kubelet" });
    stack.defer(() => cluster.close());
    const dataDir = resolve(values["data-dir"]);
    const runtime = await startNodeRuntime({ dataDir, choice, clusterCidrs: values["cluster-cidr"], clock, logger });
    stack.defer(() => runtime.stop());
    const running = stack.add(
      await startKubelet(
        { client: cluster.client, apiServerHost: new URL(cluster.server).host, runtime, clock, logger },
        { ...optionsOf(values, nodeName), ...(await servingOf(values)) },
      ),
    );
    process.stdout.write(`kubelet of node ${nodeName} runs (${runtime.description}) for ${cluster.server}\n`);
    running.ready.then(
      () => process.stdout.write(`node ${nodeName} is ready\n`),
      () => undefined,
    );
    await untilSignal();
  } finally {
    await stack.stop();
  }
  return 0;
}
