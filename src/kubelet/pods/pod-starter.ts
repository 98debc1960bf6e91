// Does what pod-actions.ts decided for a pod: kills containers, makes the sandbox, starts containers in their order, with
// upstream's events. A container that cannot be started does not keep the others from it (but an init container does).
import type { Container, NodeRuntimeHandlerFeatures, Pod, Secret, Service } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { FileCalls } from "../../base/file-calls.ts";
import { errorText } from "../../base/log.ts";
import type { ResolverConfig } from "../../base/resolv-conf.ts";
import type { Turns } from "../../base/turns.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { ImageSpec, PodSandboxConfig, UserNamespace } from "../../cri/generated/runtime-v1.ts";
import type { HugePages } from "../../linux/huge-pages.ts";
import type { Input } from "../../rpc/protocol.ts";
import { buildContainerConfig } from "../containers/container-config.ts";
import { type ClusterDns, missesClusterDns, missingClusterDnsMessage, podResolver } from "../containers/dns.ts";
import type { ReferencedObjects } from "../containers/environment.ts";
import { kernelHostname, podHostname } from "../containers/hosts-file.ts";
import type { NodeResourceRules } from "../containers/linux-resources.ts";
import { sandboxConfig } from "../containers/sandbox-config.ts";
import type { SecurityOptions } from "../containers/security-context.ts";
import type { SwapOptions } from "../containers/swap.ts";
import type { UserNamespaces } from "../containers/user-namespaces.ts";
import { nextRestartCount, podLogDirectory } from "../logs/logs.ts";
import type { HttpGet } from "../probes/http.ts";
import type { ImageManager } from "../pulls/images.ts";
import { containerReference, podReference } from "../references.ts";
import type { PodAllocations } from "../resize/pod-allocations.ts";
import type { PodResizer } from "../resize/pod-resizer.ts";
import type { GivenResources } from "../resource-managers/container-resources.ts";
import { ignoringGone } from "../runtime/dead-containers.ts";
import { containerHash } from "../runtime/labels.ts";
import { latestContainer, type RuntimeContainer, type RuntimePod, readSandbox } from "../runtime/runtime-pod.ts";
import type { MountedVolumes } from "../volumes/volume-manager.ts";
import type { CrashBackOff } from "./crash-backoff.ts";
import { runHook } from "./lifecycle-hooks.ts";
import type { PodActions } from "./pod-actions.ts";
import type { PodKiller } from "./pod-killer.ts";
import { isSidecar, podText } from "./pod-spec.ts";
import { runtimeErrorText, runtimeMessage, StartError } from "./start-error.ts";

export interface PodStarterDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly recorder: EventRecorder;
  readonly images: ImageManager;
  readonly killer: PodKiller;
  readonly allocations: PodAllocations;
  readonly resizer: PodResizer;
  readonly crashes: CrashBackOff;
  readonly httpGet: HttpGet;
  readonly objects: ReferencedObjects;
  readonly services: () => Iterable<Service>;
  readonly nodeResolver: () => ResolverConfig;
  readonly runtimeHandler: (pod: Pod) => Promise<string>;
  /** What the runtime can do, by the handler of a RuntimeClass. */
  readonly runtimeFeatures: (handler: string) => NodeRuntimeHandlerFeatures;
  readonly userNamespaces: UserNamespaces;
  readonly hostIPs: () => readonly string[];
  readonly allocatable: () => Readonly<Record<string, string | number>>;
  /** Claims of the pod are to be usable before anything of it runs. Fails with what the pod's event shows. */
  readonly prepareClaims?: ((pod: Pod, signal: AbortSignal) => Promise<void>) | undefined;
  /** Devices and CPUs of the container. */
  readonly given: (pod: Pod, container: Container) => Promise<GivenResources>;
  readonly onImageVolume?: (outcome: "requested" | "mounted" | "failed") => void;
  readonly podDirectory: (podUid: string) => string;
  /** What pods' small files are written with. */
  readonly files: FileCalls;
  /** For what costs the runtime most: more at a time would only take each other's processors. */
  readonly turns: Turns;
}

export interface PodStarterOptions {
  readonly logsDirectory: string;
  readonly clusterDns: ClusterDns;
  readonly rules: NodeResourceRules;
  readonly ownStopSignals: boolean;
  readonly hugePages: readonly HugePages[];
  readonly security: SecurityOptions;
  /** Default: the runtime's. */
  readonly swap?: SwapOptions;
}

export interface ApplyRequest {
  readonly pod: Pod;
  readonly runtime: RuntimePod;
  readonly actions: PodActions;
  readonly volumes: MountedVolumes;
  readonly pullSecrets: readonly Secret[];
  readonly cgroupParent: string;
  readonly signal: AbortSignal;
  /** The sandbox and its network are there. */
  readonly onSandboxReady: () => void;
}

export interface ApplyResult {
  /** The runtime was changed. */
  readonly changed: boolean;
  /** By container name. */
  readonly started: readonly string[];
  readonly failed: ReadonlyMap<string, StartError>;
  /** Why running containers could not be set to what they were allocated. */
  readonly resizeProblem?: string;
  /** They were. */
  readonly resized?: boolean;
}

interface StartContext extends ApplyRequest {
  readonly sandboxId: string;
  readonly config: Input<PodSandboxConfig>;
  readonly podIPs: readonly string[];
  readonly handler: string;
  readonly userNamespace: UserNamespace | undefined;
}

/** Of a pod's sandbox. */
interface SandboxPlan {
  readonly config: Input<PodSandboxConfig>;
  readonly handler: string;
  readonly userNamespace: UserNamespace | undefined;
}

const sandboxTimeoutMs = 4 * 60_000;

/** Restarts of a container are counted under this key until its image or its resources change. */
export function crashKey(pod: Pod, container: Container): string {
  return `${pod.metadata.uid}_${container.name}_${containerHash(container)}_${JSON.stringify(container.resources ?? {})}`;
}

export class PodStarter {
  readonly #deps: PodStarterDependencies;
  readonly #options: PodStarterOptions;
  #instances = 0;

  constructor(deps: PodStarterDependencies, options: PodStarterOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Throws when the sandbox could not be made or something not be killed. */
  async apply(request: ApplyRequest): Promise<ApplyResult> {
    const { pod, runtime, actions, signal } = request;
    const killed = await this.#kill(request);
    if (actions.killPod && !actions.createSandbox) return { changed: true, started: [], failed: new Map() };
    const idle = actions.ephemeral.length + actions.init.length + actions.regular.length === 0 && !actions.resize;
    if (idle && !actions.createSandbox) return { changed: killed, started: [], failed: new Map() };

    const plan = await this.#sandboxPlan(request);
    let { sandboxId } = actions;
    let podIPs: readonly string[] = runtime.sandboxes.find((s) => s.id === sandboxId)?.ips ?? [];
    if (actions.createSandbox) {
      await this.#prepareClaims(pod, signal);
      sandboxId = await this.#createSandbox(request, plan);
      podIPs = await this.#addressesOf(pod, sandboxId, signal);
      request.onSandboxReady();
    }
    if (pod.spec.hostNetwork) podIPs = this.#deps.hostIPs();
    return await this.#startAll({ ...request, ...plan, sandboxId, podIPs });
  }

  async #prepareClaims(pod: Pod, signal: AbortSignal): Promise<void> {
    try {
      await this.#deps.prepareClaims?.(pod, signal);
    } catch (error) {
      signal.throwIfAborted();
      const message = `Failed to prepare dynamic resources: prepare dynamic resources: ${errorText(error)}`;
      this.#deps.recorder.record(podReference(pod), { type: "Warning", reason: "FailedPrepareDynamicResources", message });
      throw new Error(`preparing the claims of pod ${podText(pod)}: ${errorText(error)}`, { cause: error });
    }
  }

  async #kill({ pod, runtime, actions, signal }: ApplyRequest): Promise<boolean> {
    const { killer, cri, recorder } = this.#deps;
    if (actions.createSandbox && actions.sandboxId !== "") {
      const message = "Pod sandbox changed, it will be killed and re-created.";
      recorder.record(podReference(pod), { type: "Normal", reason: "SandboxChanged", message });
    }
    const podIP = runtime.sandboxes[0]?.ips[0] ?? "";
    if (actions.killPod) {
      await killer.killPod(pod, runtime, { signal, podIP });
      // A new sandbox begins with the first init container again: the old ones must not be taken for done.
      const init = new Set(actions.createSandbox ? (pod.spec.initContainers ?? []).map((c) => c.name) : []);
      for (const old of runtime.containers) if (init.has(old.name)) await cri.removeContainer({ containerId: old.id }, { signal });
      return runtime.sandboxes.length > 0;
    }
    for (const { container, id, message, reason } of actions.kill)
      await killer.killContainer({ pod, container, id, message, reason, podIP, signal });
    for (const { container, id, kill } of actions.reset) {
      const reason = "RestartAllContainers";
      if (kill) await killer.killContainer({ pod, container, id, message: "killing", reason, graceSeconds: 0, podIP, signal });
      // The logs stay: they tell how often a container was started.
      await ignoringGone(() => cri.removeContainer({ containerId: id }, { signal }));
    }
    return actions.kill.length + actions.reset.length > 0;
  }

  async #sandboxPlan(request: ApplyRequest): Promise<SandboxPlan> {
    const { pod, signal } = request;
    try {
      const handler = await this.#deps.runtimeHandler(pod);
      const userNamespace = await this.#deps.userNamespaces.mappingOf(pod, handler);
      return { config: this.#sandboxConfig(request, userNamespace), handler, userNamespace };
    } catch (error) {
      signal.throwIfAborted();
      throw this.#sandboxFailure(pod, error);
    }
  }

  #sandboxFailure(pod: Pod, error: unknown): Error {
    const message = `Failed to create pod sandbox: ${runtimeErrorText(error)}`;
    this.#deps.recorder.record(podReference(pod), { type: "Warning", reason: "FailedCreatePodSandBox", message });
    return new Error(`creating the sandbox of pod ${podText(pod)}: ${runtimeErrorText(error)}`, { cause: error });
  }

  #sandboxConfig({ pod, actions, cgroupParent }: ApplyRequest, userNamespace: UserNamespace | undefined): Input<PodSandboxConfig> {
    const { clusterDns, logsDirectory, rules } = this.#options;
    if (actions.createSandbox && missesClusterDns(pod, clusterDns)) {
      const message = `pod: "${podText(pod)}". ${missingClusterDnsMessage}`;
      this.#deps.recorder.record(podReference(pod), { type: "Warning", reason: "MissingClusterDNS", message });
    }
    const onLimit = (message: string): void => {
      if (actions.createSandbox) this.#deps.recorder.record(podReference(pod), { type: "Warning", reason: "DNSConfigForming", message });
    };
    return sandboxConfig(pod, {
      attempt: actions.attempt,
      hostname: pod.spec.hostNetwork ? "" : kernelHostname(podHostname(pod, clusterDns.domain), pod.spec.setHostnameAsFQDN),
      logDirectory: podLogDirectory(logsDirectory, pod),
      resolver: podResolver(pod, clusterDns, this.#deps.nodeResolver(), onLimit),
      ...{ cgroupParent, userNamespace },
      ...(rules.quota ? { quota: rules.quota } : {}),
    });
  }

  async #createSandbox({ pod, signal }: ApplyRequest, { config, handler: runtimeHandler }: SandboxPlan): Promise<string> {
    try {
      const make = () => this.#deps.cri.runPodSandbox({ config, runtimeHandler }, { signal, timeoutMs: sandboxTimeoutMs });
      const answer = await this.#deps.turns.take(make, { signal });
      return answer.podSandboxId;
    } catch (error) {
      signal.throwIfAborted();
      throw this.#sandboxFailure(pod, error);
    }
  }

  async #addressesOf(pod: Pod, sandboxId: string, signal: AbortSignal): Promise<readonly string[]> {
    try {
      const { status } = await this.#deps.cri.podSandboxStatus({ podSandboxId: sandboxId }, { signal });
      return status ? readSandbox(status).ips : [];
    } catch (error) {
      const message = `Unable to get pod sandbox status: ${runtimeErrorText(error)}`;
      this.#deps.recorder.record(podReference(pod), { type: "Warning", reason: "FailedPodSandBoxStatus", message });
      throw error;
    }
  }

  async #startAll(context: StartContext): Promise<ApplyResult> {
    const { actions, signal } = context;
    const started: string[] = [];
    const failed = new Map<string, StartError>();
    const tryStart = async (container: Container): Promise<boolean> => {
      signal.throwIfAborted();
      try {
        await this.#start(context, container);
        started.push(container.name);
        return true;
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        failed.set(container.name, error);
        return false;
      }
    };
    for (const container of actions.ephemeral) await tryStart(container);
    for (const container of actions.init)
      if (!(await tryStart(container)) && !isSidecar(container)) return { changed: true, started, failed };
    const resizeProblem = await this.#resize(context);
    for (const container of actions.regular) await tryStart(container);
    const changed = actions.createSandbox || actions.kill.length > 0 || started.length > 0 || actions.resize !== undefined;
    return { changed, started, failed, ...(resizeProblem === undefined ? { resized: actions.resize !== undefined } : { resizeProblem }) };
  }

  async #resize({ pod, actions, sandboxId, signal }: StartContext): Promise<string | undefined> {
    if (!actions.resize) return undefined;
    try {
      await this.#deps.resizer.resize({ pod, sandboxId, plan: actions.resize, signal });
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      return (error as Error).message;
    }
  }

  async #start(context: StartContext, container: Container): Promise<void> {
    const { pod, runtime, sandboxId, config, pullSecrets, signal } = context;
    const { cri, images, crashes, turns } = this.#deps;
    // A pod that was begun is finished before another one is begun.
    const urgent = { urgent: true, signal };
    const last = latestContainer(runtime, container.name);
    // Not always the last one, which may have been running until it was killed in this very step.
    const dead = runtime.containers.find((c) => c.name === container.name && c.state === "exited");
    // Made by a kubelet that did not get as far as starting it: this one takes its place.
    if (last?.state === "created") await ignoringGone(() => cri.removeContainer({ containerId: last.id }, { signal }));
    const about = { pod, sandboxConfig: config, pullSecrets, signal };
    const imageVolumes = await this.#imageVolumes(context, container);
    const image = await images.ensure({
      ...about,
      image: container.image ?? "",
      policy: container.imagePullPolicy ?? "IfNotPresent",
      about: containerReference(pod, container.name),
    });
    // An image that is not there has a back-off of its own.
    if (dead) crashes.next(crashKey(pod, container), dead.finishedAtMs);
    const containerConfig = await this.#step(context, container, "CreateContainerConfigError", async () => {
      const logDirectory = podLogDirectory(this.#options.logsDirectory, pod);
      return await buildContainerConfig({
        pod,
        container,
        image,
        restartCount: await this.#restartCount(last, logDirectory, container),
        podIPs: context.podIPs,
        volumes: context.volumes,
        environment: {
          objects: this.#deps.objects,
          services: this.#deps.services(),
          hostIPs: this.#deps.hostIPs(),
          allocatable: this.#deps.allocatable(),
        },
        podDirectory: this.#deps.podDirectory(pod.metadata.uid),
        logDirectory,
        clusterDomain: this.#options.clusterDns.domain,
        rules: this.#options.rules,
        ownStopSignals: this.#options.ownStopSignals,
        hugePages: this.#options.hugePages,
        security: this.#options.security,
        ...(this.#options.swap ? { swap: this.#options.swap } : {}),
        recursiveReadOnly: this.#deps.runtimeFeatures(context.handler).recursiveReadOnlyMounts === true,
        userNamespace: context.userNamespace,
        imageVolumes,
        given: await this.#deps.given(pod, container),
        instanceId: this.#newInstanceId(),
        files: this.#deps.files,
        ...targetOf(pod, runtime, container),
      });
    });
    const { containerId } = await this.#step(context, container, "CreateContainerError", () =>
      turns.take(
        () => cri.createContainer({ podSandboxId: sandboxId, config: containerConfig, sandboxConfig: config }, { signal }),
        urgent,
      ),
    );
    this.#event(pod, container, "Normal", "Created", "Container created");
    // Never given up once it is asked for: a runtime that is interrupted says of the container that it failed to start, and
    // that would be the pod's last word.
    await this.#step(context, container, "RunContainerError", () => turns.take(() => cri.startContainer({ containerId }), urgent));
    this.#deps.allocations.actuate(pod.metadata.uid, container.name, container.resources ?? {});
    this.#event(pod, container, "Normal", "Started", "Container started");
    signal.throwIfAborted();
    if (container.lifecycle?.postStart) await this.#postStart(context, container, containerId);
  }

  /** The images the container mounts, by volume: pulled as those of containers are. */
  async #imageVolumes(context: StartContext, container: Container): Promise<ReadonlyMap<string, Input<ImageSpec>>> {
    const { pod, config, pullSecrets, signal, handler } = context;
    const found = new Map<string, Input<ImageSpec>>();
    for (const { name } of container.volumeMounts ?? []) {
      const volume = pod.spec.volumes?.find((v) => v.name === name)?.image;
      if (!volume || found.has(name)) continue;
      const image = volume.reference ?? "";
      this.#deps.onImageVolume?.("requested");
      const policy = volume.pullPolicy ?? (/(:latest|^[^:@]*)$/.test(image) ? "Always" : "IfNotPresent");
      const ensured = await this.#deps.images
        .ensure({ pod, image, policy, about: podReference(pod), sandboxConfig: config, pullSecrets, signal })
        .catch((error: unknown) => {
          this.#deps.onImageVolume?.("failed");
          if (error instanceof StartError) this.#event(pod, container, "Warning", "Failed", `Error: ${error.reason}`);
          throw error;
        });
      this.#deps.onImageVolume?.("mounted");
      found.set(name, {
        image: ensured.id,
        userSpecifiedImage: image,
        runtimeHandler: handler,
        annotations: pod.metadata.annotations ?? {},
      });
    }
    return found;
  }

  async #restartCount(last: RuntimeContainer | undefined, logDirectory: string, { name }: Container): Promise<number> {
    if (!last) return await nextRestartCount(logDirectory, name, this.#deps.files);
    return last.state === "created" ? last.restartCount : last.restartCount + 1;
  }

  /** Runs a step; its failure becomes an event and a StartError of that reason. */
  async #step<T>({ pod, signal }: StartContext, container: Container, reason: StartError["reason"], run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      signal.throwIfAborted();
      const message = runtimeMessage(error);
      this.#event(pod, container, "Warning", "Failed", `Error: ${message}`);
      throw new StartError(reason, message, { cause: error });
    }
  }

  async #postStart({ pod, podIPs, signal }: StartContext, container: Container, containerId: string): Promise<void> {
    const handler = container.lifecycle?.postStart;
    if (!handler) return;
    const podIP = podIPs[0] ?? "";
    try {
      await runHook(this.#deps, { pod, container, containerId, podIP, handler, signal });
    } catch (error) {
      signal.throwIfAborted();
      // Without its text, which may hold secrets of the hook.
      this.#event(pod, container, "Warning", "FailedPostStartHook", "PostStartHook failed");
      const reason = "FailedPostStartHook";
      await this.#deps.killer.killContainer({ pod, container, id: containerId, message: reason, reason, podIP, signal });
      throw new StartError("PostStartHookError", (error as Error).message, { cause: error });
    }
  }

  #event(pod: Pod, container: Container, type: "Normal" | "Warning", reason: string, message: string): void {
    this.#deps.recorder.record(containerReference(pod, container.name), { type, reason, message });
  }

  #newInstanceId(): string {
    const random = Math.floor(this.#deps.clock.random() * 2 ** 32);
    return (random.toString(16).padStart(8, "0") + (this.#instances++).toString(16)).slice(-12);
  }
}

/** An ephemeral container may share the processes of another one; the runtime refuses one that does not run. */
function targetOf(pod: Pod, runtime: RuntimePod, container: Container): { readonly targetContainerId?: string } {
  const target = pod.spec.ephemeralContainers?.find((c) => c.name === container.name)?.targetContainerName;
  const id = target && latestContainer(runtime, target)?.id;
  return id ? { targetContainerId: id } : {};
}
