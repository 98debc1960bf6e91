// Which container runtime a node of this machine uses, and what belongs to it: our own containerd, a running CRI socket, or
// the simulated one.
import { lstat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import { applyMasquerade } from "../../cni/masquerade.ts";
import { findNetworkClash } from "../../cni/network-clash.ts";
import { forwardingIsDropped, writePodNetwork } from "../../cni/network-config.ts";
import type { PluginTable } from "../../cni/plugins/plugin.ts";
import { startContainerd } from "../../cri/containerd.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { connectCri } from "../../cri/grpc-runtime.ts";
import { type OciRuntimeChoice, whyNotOciRuntime } from "../../cri/oci-runtimes.ts";
import { findExecutable } from "../../linux/find-executable.ts";
import { hostFile } from "../../linux/host-file.ts";
import { defaultRoute } from "../../linux/system-info.ts";
import type { Dial } from "../../rpc/dial.ts";
import { CommandError } from "../command-error.ts";
import type { CniPluginChoice } from "../node/cni-plugin-choice.ts";
import { startNodePlugins } from "../node/start-node-plugins.ts";
import type { Simulation } from "../simulation/simulation.ts";

/** "containerd", "simulated" or a socket "unix:///…". */
export type RuntimeChoice = string;

export interface NodeRuntime {
  readonly cri: CriRuntime;
  /** What a person reads: "containerd", "simulated runtime". */
  readonly description: string;
  readonly simulated: boolean;
  /** Reaches its pods and its streaming server, where they are in this process. */
  readonly dial?: Dial;
  /** Of the runtime, where it is ours. */
  readonly pid?: () => Promise<number | undefined>;
  /** Sets up the pod network once the node's range is known. Absent where the runtime has its own. */
  readonly configureNetwork?: (podCidrs: readonly string[], options?: PodNetworkSetUp) => Promise<void>;
  /** Containers stay for the next start. */
  stop(): Promise<void>;
}

export interface PodNetworkSetUp {
  /** Of pods' interfaces, in bytes. Default that of the interface by which packets leave the machine. */
  readonly mtu?: number;
  /** Whether somebody else hides pods behind the node's address where that is needed. Default false. */
  readonly masqueraded?: boolean;
}

export interface NodeRuntimeOptions {
  readonly dataDir: string;
  readonly choice: RuntimeChoice;
  /** What makes the containers, where the runtime is our own containerd. Default "auto". */
  readonly ociRuntime?: OciRuntimeChoice | undefined;
  /** Another socket for images. Default: the runtime has them. */
  readonly imageEndpoint?: string;
  /** Ranges of all nodes' pods. */
  readonly clusterCidrs: readonly string[];
  /** What simulated nodes share. Default one of its own. */
  readonly simulation?: Simulation;
  /** With a simulated runtime: the node's own address there. Default the machine's. */
  readonly hostAddress?: string;
  /** Whose CNI plugins attach pods. Default ours. */
  readonly cniPlugins?: CniPluginChoice;
  /** CNI plugins that are made for this node, besides those every node has. */
  readonly morePlugins?: PluginTable;
  readonly clock: Clock;
  readonly logger: Logger;
}

const ethernetMtu = 1500;

/** What this machine can do, and the line that says why where it is not containerd. */
export async function chooseRuntime(): Promise<{ readonly choice: RuntimeChoice; readonly why?: string }> {
  const why = await whyNoContainers();
  return why === undefined ? { choice: "containerd" } : { choice: "simulated", why };
}

async function whyNoContainers(): Promise<string | undefined> {
  if (process.platform !== "linux") return `containers need Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "containers need root";
  if (!(await findExecutable("containerd"))) return "containerd is not installed";
  if (!(await findExecutable("runc")) && !(await findExecutable("crun"))) return "neither runc nor crun is installed";
  return undefined;
}

/** Throws CommandError for a runtime that this machine does not have: before anything is started, where the user named it. */
export async function requireRuntime(choice: RuntimeChoice, ociRuntime: OciRuntimeChoice = "auto"): Promise<void> {
  if (choice === "simulated") return;
  if (choice.startsWith("unix://")) return requireSocket(choice);
  if (choice !== "containerd") throw new CommandError(`--runtime ${choice}: expected containerd, simulated or unix:///path/to/cri.sock`);
  const why = await whyNoContainers();
  if (why !== undefined) throw new CommandError(`--runtime containerd: ${why}`);
  const lacking = await whyNotOciRuntime(ociRuntime);
  if (lacking !== undefined) throw new CommandError(`--oci-runtime ${ociRuntime}: ${lacking}`);
}

export async function startNodeRuntime(options: NodeRuntimeOptions): Promise<NodeRuntime> {
  const { dataDir, choice, ociRuntime = "auto", clusterCidrs, cniPlugins = "coracle", morePlugins = {}, clock, logger } = options;
  if (choice === "simulated") return await simulatedRuntime(options);
  if (choice.startsWith("unix://")) return await connectRuntime(choice, options.imageEndpoint || choice);
  await requireRuntime(choice, ociRuntime);
  let containerd: Awaited<ReturnType<typeof startContainerd>>;
  const plugins =
    cniPlugins === "coracle" ? await startNodePlugins({ dataDir, morePlugins, clock, logger: logger.named("cni") }) : undefined;
  try {
    const bin = plugins === undefined ? {} : { cniBinDirectory: plugins.directory };
    containerd = await startContainerd({ dataDir, ociRuntime, ...bin }, { clock, log: logger.named("containerd") });
  } catch (error) {
    await plugins?.stop();
    throw new CommandError("containerd cannot be started", { cause: error });
  }
  return {
    cri: containerd.runtime,
    description: "containerd",
    simulated: false,
    pid: () => pidIn(containerd.paths.pidFile),
    async configureNetwork(podCidrs, { mtu, masqueraded = false } = {}) {
      const [clash, acceptForwarding] = await Promise.all([findNetworkClash(dataDir, podCidrs), forwardingIsDropped()]);
      if (clash !== undefined) throw new Error(`pod range ${clash}`);
      if (!masqueraded) await applyMasquerade({ dataDir, podCidrs, clusterCidrs });
      await writePodNetwork({
        dataDir,
        podCidrs,
        mtu: mtu ?? (await defaultRoute())?.mtu ?? ethernetMtu,
        acceptForwarding,
        plugins: cniPlugins,
      });
    },
    async stop() {
      await containerd.stop({ keepContainers: true });
      await plugins?.stop();
    },
  };
}

/** Somebody else's, whose images may be on another socket. */
async function connectRuntime(endpoint: string, imageEndpoint: string): Promise<NodeRuntime> {
  await requireSocket(endpoint);
  const connection = connectCri({ endpoint });
  const simulated = false;
  if (imageEndpoint === endpoint)
    return { cri: connection, description: `runtime at ${endpoint}`, simulated, stop: async () => connection.close() };
  await requireSocket(imageEndpoint);
  const images = connectCri({ endpoint: imageEndpoint });
  return {
    cri: withImagesOf(connection, images),
    description: `runtime at ${endpoint}, images at ${imageEndpoint}`,
    simulated,
    async stop() {
      connection.close();
      images.close();
    },
  };
}

/** A runtime whose images are another one's. */
export const withImagesOf = (runtime: CriRuntime, images: CriRuntime): CriRuntime => ({
  ...runtime,
  ...{ listImages: images.listImages, imageStatus: images.imageStatus, pullImage: images.pullImage },
  ...{ removeImage: images.removeImage, imageFsInfo: images.imageFsInfo },
});
async function simulatedRuntime({ dataDir, clock, simulation, hostAddress }: NodeRuntimeOptions): Promise<NodeRuntime> {
  const [{ createSimulatedRuntime }, { createSimulation }] = await Promise.all([
    import("../../cri/simulated.ts"),
    import("../simulation/simulation.ts"),
  ]);
  const { network, programs, delays = {}, failures = {}, nextSeed } = simulation ?? createSimulation();
  const seed = nextSeed();
  const cri = createSimulatedRuntime({
    ...{ clock, network, programs, delays, failures, seed, idPrefix: (seed & 0xffff).toString(16).padStart(4, "0") },
    ...(hostAddress === undefined ? {} : { hostAddress }),
    hostDirectories: [resolve(dataDir)],
  });
  return { cri, dial: network.connect, description: "simulated runtime", simulated: true, stop: async () => undefined };
}

/** Undefined while the file is missing or being written. */
async function pidIn(file: string): Promise<number | undefined> {
  const pid = /"pid":(\d+)/.exec(await hostFile(file))?.[1];
  return pid === undefined ? undefined : Number(pid);
}

async function requireSocket(endpoint: string): Promise<void> {
  const path = endpoint.slice("unix://".length);
  try {
    if ((await lstat(path)).isSocket()) return;
  } catch (error) {
    throw new CommandError(`--runtime ${endpoint}`, { cause: error });
  }
  throw new CommandError(`--runtime ${endpoint}: ${path} is no socket`);
}
