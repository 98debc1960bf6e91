// Runs a containerd of our own for one data directory, so that a node needs nothing but Debian's packages and never touches a
// containerd that belongs to the system: writes its configuration, starts it or adopts the one an earlier run left, waits
// until CRI answers, imports the pause image, and starts it again with back-off when it dies. Containers outlive both this
// process and containerd: a cluster that is started again finds its pods running.
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import { errorText } from "../base/log.ts";
import { effectiveCapabilities } from "../linux/capabilities.ts";
import { findDirectoryWith, findExecutable } from "../linux/find-executable.ts";
import { supportsOverlay } from "../linux/overlay.ts";
import { removeContainers, removeTraces } from "./containerd-cleanup.ts";
import { renderContainerdConfig } from "./containerd-config.ts";
import { connectContainerd } from "./containerd-events.ts";
import { type ContainerdPaths, containerdPaths } from "./containerd-paths.ts";
import { type ContainerdProcess, endContainerd, findContainerd } from "./containerd-process.ts";
import { launchContainerd, superviseContainerd, waitUntilServing } from "./containerd-supervisor.ts";
import type { CriConnection } from "./cri.ts";
import { connectCri } from "./grpc-runtime.ts";
import { ensurePauseImage } from "./images.ts";
import { findOciRuntimes, type OciRuntimeChoice } from "./oci-runtimes.ts";
import { pauseImageReference } from "./pause-image.ts";

export interface ContainerdOptions {
  readonly dataDir: string;
  /** How long a start may take until CRI answers. Default 30 s. */
  readonly startTimeoutMs?: number;
  /** Default: found along the path. */
  readonly binary?: string;
  /** Default "auto": crun where it works, or runc. */
  readonly ociRuntime?: OciRuntimeChoice;
  /** Default: /opt/cni/bin, /usr/lib/cni or /usr/libexec/cni, whichever has the plugins. */
  readonly cniBinDirectory?: string;
  /** No pods will run, only images are looked after: CNI plugins need not be there. Default false. */
  readonly withoutPods?: boolean;
}

export interface ContainerdDependencies {
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Containerd {
  readonly paths: ContainerdPaths;
  /** The CRI socket, "unix:///…". */
  readonly endpoint: string;
  /** A connection that lasts as long as this object, across restarts of the process. */
  readonly runtime: CriConnection;
  /**
   * Stops supervising and ends containerd. Containers are removed too, unless they are to be kept for the next start with this
   * data directory. Idempotent.
   */
  stop(options?: { readonly keepContainers?: boolean }): Promise<void>;
}

const systemPluginDirectories = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];
const requiredCniPlugins = ["bridge", "host-local", "loopback", "portmap"];

/** Resolves when CRI answers and the pause image is there. Throws an error that says what is missing on this machine. */
export async function startContainerd(options: ContainerdOptions, dependencies: ContainerdDependencies): Promise<Containerd> {
  const { clock, log } = dependencies;
  const paths = containerdPaths(options.dataDir);
  const timeoutMs = options.startTimeoutMs ?? 30_000;
  const binary = options.binary ?? (await requireExecutable("containerd", "containerd"));
  const configText = await configure({ ...options, binary }, paths, log);
  const launch = (): Promise<ContainerdProcess> => launchContainerd({ binary, configText, paths, clock, timeoutMs });

  const first = (await adopt(paths, configText, dependencies, timeoutMs)) ?? (await launch());
  const runtime = connectContainerd({ endpoint: paths.endpoint }, clock);
  try {
    await ensurePauseImage({ runtime, paths, clock });
  } catch (error) {
    runtime.close();
    await endContainerd(first, paths, clock);
    throw error;
  }
  const supervisor = superviseContainerd(first, launch, { clock, log });

  let stopping: Promise<void> | undefined;
  const stop = async (keepContainers: boolean): Promise<void> => {
    const last = await supervisor.stop();
    if (!keepContainers)
      await removeContainers(runtime).catch((error) => log.warn("Removing containers failed", { error: errorText(error) }));
    runtime.close();
    await endContainerd(last, paths, clock);
    if (!keepContainers) await removeTraces(paths, clock);
  };
  return {
    paths,
    endpoint: paths.endpoint,
    runtime,
    stop({ keepContainers = false } = {}) {
      stopping ??= stop(keepContainers);
      return stopping;
    },
  };
}

/**
 * Calls `use` with the runtime of a data directory: the running one, or one started for as long as the call takes. The running
 * one is never restarted or reconfigured.
 */
export async function withContainerd<T>(
  options: ContainerdOptions,
  dependencies: ContainerdDependencies,
  use: (containerd: Pick<Containerd, "runtime" | "paths">) => Promise<T>,
): Promise<T> {
  const paths = containerdPaths(options.dataDir);
  const running = await findContainerd(paths, dependencies.clock);
  if (running) {
    await waitUntilServing(running, paths, dependencies.clock, options.startTimeoutMs ?? 30_000);
    const runtime = connectCri({ endpoint: paths.endpoint });
    try {
      return await use({ runtime, paths });
    } finally {
      runtime.close();
    }
  }
  const own = await startContainerd({ ...options, withoutPods: true }, dependencies);
  try {
    return await use(own);
  } finally {
    await own.stop({ keepContainers: true });
  }
}

/**
 * Ends and removes whatever of containerd is left for a data directory: processes, mounts, sockets. Images stay on disk. The
 * program that supervises it must have ended before, or it starts containerd again.
 */
export async function destroyContainerd(dataDir: string, { clock, log }: ContainerdDependencies): Promise<void> {
  const paths = containerdPaths(dataDir);
  const running = await findContainerd(paths, clock);
  if (running) {
    const runtime = connectCri({ endpoint: paths.endpoint, timeoutMs: 20_000 });
    await removeContainers(runtime).catch((error) => log.warn("Removing containers failed", { error: errorText(error) }));
    runtime.close();
    await endContainerd(running, paths, clock);
  }
  await removeTraces(paths, clock);
}

/** The containerd of an earlier run: taken over when it serves this very configuration, ended when it does not. */
async function adopt(
  paths: ContainerdPaths,
  configText: string,
  { clock, log }: ContainerdDependencies,
  timeoutMs: number,
): Promise<ContainerdProcess | undefined> {
  const running = await findContainerd(paths, clock);
  if (!running) return undefined;
  if (running.configText === configText) {
    try {
      await waitUntilServing(running, paths, clock, timeoutMs);
      log.info("Took over the containerd of an earlier run", { pid: running.identity.pid });
      return running;
    } catch (error) {
      log.warn("The containerd of an earlier run does not answer and is replaced", { pid: running.identity.pid, error: errorText(error) });
    }
  }
  await endContainerd(running, paths, clock);
  return undefined;
}

async function configure(options: ContainerdOptions & { readonly binary: string }, paths: ContainerdPaths, log: Logger): Promise<string> {
  const [ociRuntimes, capabilities, overlay] = await Promise.all([
    findOciRuntimes(options.ociRuntime ?? "auto", { paths, containerd: options.binary, log }),
    effectiveCapabilities(),
    supportsOverlay(paths.root),
  ]);
  const cniBinDirectory = options.cniBinDirectory ?? (await systemPlugins(options.withoutPods ?? false));
  return renderContainerdConfig({
    paths,
    sandboxImage: pauseImageReference,
    snapshotter: overlay ? "overlayfs" : "native",
    cniBinDirectory,
    ociRuntimes,
    restrictOomScoreAdj: !capabilities.has("SYS_RESOURCE"),
  });
}

async function systemPlugins(needNotBe: boolean): Promise<string> {
  const found = await findDirectoryWith(requiredCniPlugins, systemPluginDirectories);
  if (found !== undefined) return found;
  const [first = ""] = systemPluginDirectories;
  if (needNotBe) return first;
  throw new Error(
    `no CNI plugins of the system found (${requiredCniPlugins.join(", ")} in ${systemPluginDirectories.join(", ")}): install the package containernetworking-plugins, or leave --cni-plugins at coracle`,
  );
}

async function requireExecutable(name: string, packageName: string): Promise<string> {
  const path = await findExecutable(name);
  if (path === undefined) throw new Error(`${name} is not installed on this machine: install the package ${packageName}`);
  return path;
}
