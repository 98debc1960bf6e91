// What the kubelet's server needs to reach into pods: which container a name means, where its log lies, and the runtime's
// URLs for exec, attach and port-forward. Refusals are StatusErrors with upstream's messages.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { badRequest, isStatus, notFound, StatusError } from "../../api/meta/status-error.ts";
import { pods } from "../../api/resources.generated.ts";
import type { ContainerStatus, Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { streamLog } from "../logs/logs.ts";
import { label } from "../runtime/labels.ts";
import type { RuntimeContainer, RuntimePod } from "../runtime/runtime-pod.ts";
import type { RuntimeReader } from "../runtime/runtime-reader.ts";
import type { ContainerReference, KubeletServerHost, LogOptions, RemoteCommandOptions } from "../server/host.ts";
import type { StatsEndpoints } from "../stats/endpoints.ts";
import { findContainer } from "./pod-spec.ts";
import { runtimeMessage } from "./start-error.ts";

export interface PodAccessDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly reader: RuntimeReader;
  /** Checkpoints are written below it. */
  readonly rootDirectory: string;
  /** With their current statuses. */
  readonly pods: () => readonly Pod[];
  readonly stats: StatsEndpoints;
}

/** Of a command that is run to its end. */
const runSeconds = 120;
const checkpointTimeoutMs = 240_000;

const internal = (message: string): StatusError => new StatusError({ code: 500, reason: "InternalError", message });
const absent = (message: string): StatusError => new StatusError({ code: 404, reason: "NotFound", message });
const failureText = (error: unknown): string => (isStatus(error) ? error.message : runtimeMessage(error));

type PodReference = Omit<ContainerReference, "container">;

export class PodAccess implements KubeletServerHost {
  readonly #deps: PodAccessDependencies;

  constructor(deps: PodAccessDependencies) {
    this.#deps = deps;
  }

  pods(): readonly Pod[] {
    return this.#deps.pods();
  }

  async runningPods(): Promise<readonly Pod[]> {
    const { items } = await this.#asked(() => this.#deps.cri.listPodSandbox({ filter: { state: { state: "SANDBOX_READY" } } }));
    const { containers } = await this.#asked(() => this.#deps.cri.listContainers({ filter: { state: { state: "CONTAINER_RUNNING" } } }));
    return items.flatMap(({ id, labels }) => {
      const { [label.podUid]: uid, [label.podName]: name = "", [label.podNamespace]: namespace = "" } = labels;
      if (uid === undefined) return [];
      const own = containers.filter((c) => c.podSandboxId === id);
      const spec = {
        containers: own.map((c) => ({ name: c.labels[label.containerName] ?? "", image: c.image?.image ?? "", resources: {} })),
      };
      return [{ apiVersion: "v1", kind: "Pod", metadata: { name, namespace, uid } as Pod["metadata"], spec, status: {} }]; // all that the runtime knows
    });
  }

  async run(at: ContainerReference, command: readonly string[]): Promise<string> {
    const { id } = await this.#running(at);
    const decoder = new TextDecoder();
    const { stdout, stderr, exitCode } = await this.#failing(() =>
      this.#deps.cri.execSync({ containerId: id, cmd: command, timeout: runSeconds }, { timeoutMs: (runSeconds + 2) * 1000 }),
    );
    const output = decoder.decode(stdout) + decoder.decode(stderr);
    if (exitCode !== 0) throw internal(`command '${command.join(" ")}' exited with ${exitCode}: ${output}`);
    return output;
  }

  async checkpoint(at: ContainerReference, timeoutSeconds: number): Promise<string> {
    const { metadata, spec } = this.#pod(at);
    if (!findContainer(spec, at.container)) throw absent(`container ${at.container} does not exist`);
    const directory = join(this.#deps.rootDirectory, "checkpoints");
    const stamp = new Date(this.#deps.clock.now()).toISOString().replace(/\.\d+Z$/, "Z");
    const location = join(directory, `checkpoint-${metadata.name}_${metadata.namespace}-${at.container}-${stamp}.tar`);
    try {
      const { id } = await this.#running(at);
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const deadlineMs = timeoutSeconds > 0 ? timeoutSeconds * 1000 + 2_000 : checkpointTimeoutMs;
      await this.#deps.cri.checkpointContainer({ containerId: id, location, timeout: timeoutSeconds }, { timeoutMs: deadlineMs });
    } catch (error) {
      throw internal(`checkpointing of ${at.namespace}/${at.pod}/${at.container} failed (${failureText(error)})`);
    }
    return location;
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

  async #failing<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw internal(runtimeMessage(error));
    }
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
