// `coracle node-process DIRECTORY`: one further node of `coracle up`, as a process in the node's network namespace. Started and
// watched over by the cluster's own process, never by a person. Ends with it, whichever way that ends; pods run on, and the
// next process of the node finds them.
import { join } from "node:path";
import { type Clock, realClock } from "../../base/clock.ts";
import { StopStack } from "../../base/lifecycle.ts";
import { createLogger } from "../../base/log.ts";
import { findResolverFile } from "../../linux/resolver-file.ts";
import { type DirectoryLock, DirectoryLockedError, lockDirectory } from "../../storage/directory-lock.ts";
import { CommandError } from "../command-error.ts";
import { untilSignal } from "../command-flags.ts";
import { connectToCluster } from "../component/connect.ts";
import { followPair } from "../credentials/renewed-certificates.ts";
import { localNodeSettings } from "./local-node.ts";
import { enableForwarding } from "./machine-network.ts";
import { fetchClusterNetwork, nodeNetworkOptions } from "./node-access.ts";
import { reachResolver } from "./node-resolver.ts";
import { type NodeProcessSettings, type NodeReport, nodeKubeconfig, nodeLock, readNodeSettings } from "./node-settings.ts";
import { startNode } from "./start-node.ts";

/** How long the process of an earlier run may take to end. */
const patienceMs = 30_000;

export async function run([directory]: readonly string[]): Promise<number> {
  if (directory === undefined || process.send === undefined)
    throw new CommandError("this command is started by `coracle up`, for each of its further nodes");
  // Whatever reads what is printed may end before this process does.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  const ended = Promise.race([untilSignal(), new Promise<void>((resolve) => process.once("disconnect", () => resolve()))]);
  const stack = new StopStack();
  try {
    const lock = await waitForLock(directory, realClock);
    stack.defer(() => lock.release());
    const starting = start(await readNodeSettings(directory), stack, realClock);
    starting.catch(() => undefined); // seen by the race, or the process ends anyway
    await Promise.race([starting, ended]);
    await ended;
  } finally {
    await stack.stop();
  }
  return 0;
}

async function start(settings: NodeProcessSettings, stack: StopStack, clock: Clock): Promise<void> {
  const { name, dataDir, nodeIPs, nodeCidrs, behind, serving, servingFiles, verbosity, ociRuntime } = settings;
  const logger = createLogger("node", { verbosity });
  await Promise.all([enableForwarding(nodeCidrs), reachResolver()]);
  const cluster = await connectToCluster({ kubeconfig: nodeKubeconfig(dataDir), clock, userAgent: "kubelet" });
  stack.defer(() => cluster.close());
  const network = await fetchClusterNetwork(cluster.client);
  const local = await localNodeSettings({ file: settings.kubeletConfig, choice: "containerd", several: true }, logger);
  const node = stack.add(
    await startNode(
      { client: cluster.client, proxyClient: cluster.client, clock, logger },
      {
        ...nodeNetworkOptions(network),
        ...{ nodeName: name, dataDir, choice: "containerd", ociRuntime, nodeIPs, behind },
        ...(settings.cniPlugins === undefined ? {} : { cniPlugins: settings.cniPlugins }),
        rootDirectory: join(dataDir, "kubelet"),
        resolvConf: (await findResolverFile()).path,
        ...local.kubelet,
        serving: { ...local.serving, ...serving, follow: followPair({ clock, logger }, servingFiles, serving) },
      },
    ),
  );
  if (network.podNetwork.mode !== "none") await node.ready;
  process.send?.({ ready: true, description: node.description } satisfies NodeReport);
}

/** Waits until the process of an earlier run has ended. */
async function waitForLock(directory: string, clock: Clock): Promise<DirectoryLock> {
  const deadline = clock.monotonic() + patienceMs;
  for (;;) {
    try {
      return lockDirectory(directory, nodeLock);
    } catch (error) {
      if (!(error instanceof DirectoryLockedError)) throw error;
      if (clock.monotonic() > deadline) throw new CommandError(error.message);
      await clock.sleep(100);
    }
  }
}
