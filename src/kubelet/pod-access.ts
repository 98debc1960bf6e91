// What the kubelet's server needs to reach into pods: which container a name means, where its log lies, and the runtime's
// URLs for exec, attach and port-forward. Refusals are StatusErrors with upstream's messages.
import { badRequest, notFound } from "../api/meta/status-error.ts";
import { pods } from "../api/resources.generated.ts";
import type { ContainerStatus, Pod } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";
import type { CriRuntime } from "../cri/cri.ts";
import { streamLog } from "./logs.ts";
import { findContainer } from "./pod-spec.ts";
import type { RuntimeContainer, RuntimePod } from "./runtime-pod.ts";
import type { RuntimeReader } from "./runtime-reader.ts";
import type { ContainerReference, KubeletServerHost, LogOptions, RemoteCommandOptions } from "./server/host.ts";
import { runtimeMessage } from "./start-error.ts";
import type { StatsEndpoints } from "./stats/endpoints.ts";

export interface PodAccessDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly reader: RuntimeReader;
  /** With their current statuses. */
  readonly pods: () => readonly Pod[];
  readonly stats: StatsEndpoints;
}

type PodReference = Omit<ContainerReference, "container">;

export class PodAccess implements KubeletServerHost {
  readonly #deps: PodAccessDependencies;

  constructor(deps: PodAccessDependencies) {
    this.#deps = deps;
  }

  pods(): readonly Pod[] {
    return this.#deps.pods();
  }

  stats(url: URL, method: string): ReturnType<StatsEndpoints> {
    return this.#deps.stats(url, method);
  }

  async execUrl(at: ContainerReference, command: readonly string[], { stdin, stdout, stderr, tty }: RemoteCommandOptions): Promise<URL> {
    const { id } = await this.#running(at);
    const { url } = await this.#asked(() =>
      this.#deps.cri.exec({ containerId: id, cmd: command, stdin, stdout, stderr: stderr && !tty, tty }),
    );
    return new URL(url);
  }

  async attachUrl(at: ContainerReference, { stdin, stdout, stderr }: RemoteCommandOptions): Promise<URL> {
    // Whether there is a terminal was decided when the container was made.
    const tty = findContainer(this.#pod(at).spec, at.container)?.tty === true;
    const { id } = await this.#running(at);
    const { url } = await this.#asked(() => this.#deps.cri.attach({ containerId: id, stdin, stdout, stderr: stderr && !tty, tty }));
    return new URL(url);
  }

  async portForwardUrl(at: PodReference): Promise<URL> {
    const sandbox = (await this.#runtimeOf(this.#pod(at))).sandboxes.find((s) => s.ready);
    if (!sandbox) throw badRequest(`pod ${at.pod} in namespace ${at.namespace} has no running sandbox`);
    const { url } = await this.#asked(() => this.#deps.cri.portForward({ podSandboxId: sandbox.id, port: [] }));
    return new URL(url);
  }

  async containerLog(at: ContainerReference, options: LogOptions, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const { clock, reader } = this.#deps;
    const pod = this.#pod(at);
    if (!findContainer(pod.spec, at.container)) throw badRequest(`container ${at.container} is not valid for pod ${at.pod}`);
    const instance = await this.#instanceForLog(pod, at.container, options.previous);
    const { uid, name, namespace } = pod.metadata;
    const isRunning = async (): Promise<boolean> => {
      const now = await reader.read({ uid, name, namespace });
      return now.containers.some((c) => c.id === instance.id && (c.state === "running" || c.state === "created"));
    };
    const { sinceSeconds, sinceTimeMs, stream, follow, timestamps, tailLines, limitBytes } = options;
    const sinceMs = sinceTimeMs ?? (sinceSeconds === undefined ? undefined : clock.now() - sinceSeconds * 1000);
    return streamLog(instance.logPath, clock, {
      ...{ follow, timestamps, isRunning, signal },
      ...(sinceMs === undefined ? {} : { sinceMs }),
      ...(tailLines === undefined ? {} : { tailLines }),
      ...(limitBytes === undefined ? {} : { limitBytes }),
      ...(stream === "Stdout" ? { stream: "stdout" } : stream === "Stderr" ? { stream: "stderr" } : {}),
    });
  }

  #pod({ namespace, pod: name, podUid }: PodReference): Pod {
    const found = this.#deps
      .pods()
      .find(({ metadata: m }) => m.name === name && m.namespace === namespace && (podUid === undefined || m.uid === podUid));
    if (!found) throw notFound(pods, name);
    return found;
  }

  async #running(at: ContainerReference): Promise<RuntimeContainer> {
    const { containers } = await this.#runtimeOf(this.#pod(at));
    const found = containers.find((c) => c.name === at.container && c.state === "running");
    if (!found) throw badRequest(`container not found ("${at.container}")`);
    return found;
  }

  async #instanceForLog(pod: Pod, name: string, previous: boolean): Promise<RuntimeContainer> {
    const [current, before] = (await this.#runtimeOf(pod)).containers.filter((c) => c.name === name);
    const podName = pod.metadata.name;
    if (previous) {
      // Between two instances the dead one is both the current and the previous one.
      const found = before ?? (waitsForRestart(pod, name) && current?.state === "exited" ? current : undefined);
      if (!found) throw badRequest(`previous terminated container "${name}" in pod "${podName}" not found`);
      return found;
    }
    if (!current || current.state === "created") throw badRequest(waitingText(pod, name));
    return current;
  }

  async #runtimeOf(pod: Pod): Promise<RuntimePod> {
    const { uid, name, namespace } = pod.metadata;
    return await this.#asked(() => this.#deps.reader.read({ uid, name, namespace }));
  }

  async #asked<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw badRequest(runtimeMessage(error));
    }
  }
}

function statusOf({ status }: Pod, name: string): ContainerStatus | undefined {
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = status ?? {};
  return [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses].find((s) => s.name === name);
}

function waitsForRestart(pod: Pod, name: string): boolean {
  const status = statusOf(pod, name);
  return status?.state?.waiting !== undefined && status.lastState?.terminated !== undefined;
}

function waitingText(pod: Pod, name: string): string {
  const which = `container "${name}" in pod "${pod.metadata.name}"`;
  const waiting = statusOf(pod, name)?.state?.waiting;
  if (!waiting) return `${which} is not available`;
  const { reason = "" } = waiting;
  if (reason === "ImagePullBackOff") return `${which} is waiting to start: trying and failing to pull image`;
  if (reason === "ErrImagePull") return `${which} is waiting to start: image can't be pulled`;
  return `${which} is waiting to start: ${reason}`;
}
