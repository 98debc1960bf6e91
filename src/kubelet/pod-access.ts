// What the kubelet's server needs to reach into pods: which container a name means, where its log lies, and the runtime's
// URLs for exec, attach and port-forward. Refusals are StatusErrors with upstream's messages.
import { badRequest, notFound } from "../api/meta/status-error.ts";
import { pods } from "../api/resources.generated.ts";
import type { Pod, PodStatus } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";
import type { CriRuntime } from "../cri/cri.ts";
import { type LogOptions, streamLog } from "./logs.ts";
import { findContainer } from "./pod-spec.ts";
import type { RuntimeContainer, RuntimePod } from "./runtime-pod.ts";
import type { RuntimeReader } from "./runtime-reader.ts";
import { runtimeMessage } from "./start-error.ts";

export interface PodAccessDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly reader: RuntimeReader;
  /** By "namespace/name": the pod with its current status. */
  readonly find: (namespace: string, name: string) => Pod | undefined;
}

export interface ContainerTarget {
  readonly namespace: string;
  readonly name: string;
  /** Default the only one, or the first. */
  readonly container?: string;
}

export interface StreamFlags {
  readonly stdin?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  readonly tty?: boolean;
}

export interface ContainerLogRequest extends ContainerTarget, Omit<LogOptions, "sinceMs" | "isRunning"> {
  /** Of the instance before the current one. */
  readonly previous?: boolean;
  readonly sinceSeconds?: number;
  /** RFC 3339. */
  readonly sinceTime?: string;
}

export interface RunResult {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  readonly exitCode: number;
}

export class PodAccess {
  readonly #deps: PodAccessDependencies;

  constructor(deps: PodAccessDependencies) {
    this.#deps = deps;
  }

  /** Throws NotFound. */
  pod(namespace: string, name: string): Pod {
    const pod = this.#deps.find(namespace, name);
    if (!pod) throw notFound(pods, name);
    return pod;
  }

  /** The running instance. Throws NotFound or BadRequest. */
  async runningContainer(target: ContainerTarget): Promise<RuntimeContainer> {
    const pod = this.pod(target.namespace, target.name);
    const name = containerName(pod, target.container);
    const found = (await this.#runtimeOf(pod)).containers.find((c) => c.name === name && c.state === "running");
    if (!found) throw notFound({ group: "", resource: "containers" }, name);
    return found;
  }

  /** The URL of the runtime's streaming server to connect to. */
  async execUrl(target: ContainerTarget, command: readonly string[], { stdin, stdout, stderr, tty }: StreamFlags): Promise<string> {
    const { id } = await this.runningContainer(target);
    const flags = { stdin: stdin === true, stdout: stdout === true, stderr: stderr === true && tty !== true, tty: tty === true };
    return (await this.#deps.cri.exec({ containerId: id, cmd: command, ...flags })).url;
  }

  async attachUrl(target: ContainerTarget, { stdin, stdout, stderr }: StreamFlags): Promise<string> {
    const pod = this.pod(target.namespace, target.name);
    const tty = findContainer(pod.spec, containerName(pod, target.container))?.tty === true;
    const { id } = await this.runningContainer(target);
    const flags = { stdin: stdin === true, stdout: stdout === true, stderr: stderr === true && !tty, tty };
    return (await this.#deps.cri.attach({ containerId: id, ...flags })).url;
  }

  async portForwardUrl(namespace: string, name: string, ports: readonly number[]): Promise<string> {
    const sandbox = (await this.#runtimeOf(this.pod(namespace, name))).sandboxes.find((s) => s.ready);
    if (!sandbox) throw notFound({ group: "", resource: "pods" }, name);
    return (await this.#deps.cri.portForward({ podSandboxId: sandbox.id, port: [...ports] })).url;
  }

  /** Runs a command without streams and waits for its end. */
  async run(target: ContainerTarget, command: readonly string[], timeoutSeconds = 0): Promise<RunResult> {
    const { id } = await this.runningContainer(target);
    return await this.#deps.cri.execSync({ containerId: id, cmd: command, timeout: timeoutSeconds });
  }

  /** The log's text in pieces. The refusals are thrown before the first piece. */
  async containerLog(request: ContainerLogRequest): Promise<AsyncIterable<Buffer>> {
    const { clock, reader } = this.#deps;
    const pod = this.pod(request.namespace, request.name);
    const name = containerName(pod, request.container);
    const instance = await this.#instanceForLog(pod, name, request.previous === true);
    const { sinceSeconds, sinceTime } = request;
    const sinceMs = sinceTime === undefined ? sinceSeconds && clock.now() - sinceSeconds * 1000 : Date.parse(sinceTime);
    const { uid, namespace } = pod.metadata;
    const isRunning = async (): Promise<boolean> => {
      const now = await reader.read({ uid, namespace, name: pod.metadata.name });
      return now.containers.some((c) => c.id === instance.id && (c.state === "running" || c.state === "created"));
    };
    return streamLog(instance.logPath, clock, { ...request, ...(sinceMs === undefined ? {} : { sinceMs }), isRunning });
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
    try {
      return await this.#deps.reader.read({ uid, name, namespace });
    } catch (error) {
      throw badRequest(runtimeMessage(error));
    }
  }
}

/** Throws BadRequest when the pod has no container of that name. */
function containerName(pod: Pod, asked: string | undefined): string {
  const name = asked || pod.spec.containers[0]?.name || "";
  if (findContainer(pod.spec, name)) return name;
  throw badRequest(`container ${name} is not valid for pod ${pod.metadata.name}`);
}

function stateIn(status: PodStatus | undefined, name: string) {
  const all = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? []), ...(status?.ephemeralContainerStatuses ?? [])];
  return all.find((s) => s.name === name);
}

function waitsForRestart(pod: Pod, name: string): boolean {
  const status = stateIn(pod.status, name);
  return status?.state?.waiting !== undefined && status.lastState?.terminated !== undefined;
}

function waitingText(pod: Pod, name: string): string {
  const waiting = stateIn(pod.status, name)?.state?.waiting;
  const podName = pod.metadata.name;
  if (!waiting) return `container "${name}" in pod "${podName}" is not available`;
  const { reason = "", message } = waiting;
  const failing = /^(ErrImagePull|ImagePullBackOff|ErrImageNeverPull|InvalidImageName)$/.test(reason) && message;
  if (failing) return `container "${name}" in pod "${podName}" is waiting to start: ${reason === "ImagePullBackOff" ? "trying and failing to pull image" : "image can't be pulled"}`;
  return `container "${name}" in pod "${podName}" is waiting to start: ${reason}`;
}
