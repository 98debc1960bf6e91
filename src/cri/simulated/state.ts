// What the simulated runtime knows: its sandboxes and containers, and what happens to them.
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { Input } from "../../rpc/protocol.ts";
import { RpcError } from "../../rpc/rpc-error.ts";
import { criTime } from "../cri.ts";
import type {
  ContainerEventResponse,
  ContainerEventType,
  ContainerStatus,
  PodSandboxConfig,
  PodSandboxState,
  PodSandboxStatus,
  RuntimeService,
} from "../generated/runtime-v1.ts";
import { AddressPool } from "./addresses.ts";
import { SimulatedContainer } from "./container.ts";
import { EventStream } from "./events.ts";
import { createSimulatedImages, type SimulatedImages } from "./images.ts";
import { SimulatedNetwork } from "./network.ts";
import type { SimulatedPod } from "./process.ts";
import { type ImageBehaviour, SimulatedPrograms } from "./programs.ts";
import { type StageOptions, Stages } from "./stages.ts";
import { StreamingServer } from "./streaming.ts";

export interface SimulatedRuntimeOptions extends StageOptions {
  readonly clock: Clock;
  /** Ranges pods get their addresses from, one per family. Default ["10.244.0.0/16"]; UpdateRuntimeConfig changes it. */
  readonly podCidrs?: readonly string[];
  /** The address of pods on the host's network. Default 127.0.0.1. */
  readonly hostAddress?: string;
  /** Image name (completed as Docker does) → behaviour of its containers. */
  readonly behaviours?: Readonly<Record<string, ImageBehaviour>>;
  /** Behaviour of all other images. Default: run until stopped. */
  readonly defaultBehaviour?: ImageBehaviour;
  /** The same, shared by several runtimes, instead of the two above. */
  readonly programs?: SimulatedPrograms;
  /** Shared by the nodes of a cluster. Default one of its own. */
  readonly network?: SimulatedNetwork;
  /** Below which mounts are real directories to programs. Default everywhere. */
  readonly hostDirectories?: readonly string[];
  /** What failures follow. Default 1. */
  readonly seed?: number;
  /** On whose file system images and containers are said to lie. Default "/". */
  readonly imageDirectory?: string;
  /** Images that need no pull. */
  readonly images?: readonly string[];
  /** Of the names of sandboxes and containers, which the runtimes of one cluster should not share. Default "". */
  readonly idPrefix?: string;
  /** Throws to refuse a pull: `new RpcError("NOT_FOUND", "…")`. */
  readonly beforePull?: (image: string) => void | Promise<void>;
  /** Throws to make a call of RuntimeService fail; called with its name, "runPodSandbox". */
  readonly beforeCall?: (method: keyof RuntimeService) => void | Promise<void>;
}

export interface Sandbox {
  readonly id: string;
  readonly config: PodSandboxConfig;
  readonly createdAt: bigint;
  readonly runtimeHandler: string;
  readonly addresses: readonly string[];
  state: PodSandboxState;
}

export class SimulatedState {
  readonly clock: Clock;
  readonly images: SimulatedImages;
  readonly sandboxes = new Map<string, Sandbox>();
  readonly containers = new Map<string, SimulatedContainer>();
  readonly events = new EventStream<Input<ContainerEventResponse>>();
  readonly network: SimulatedNetwork;
  readonly streaming: StreamingServer;
  readonly stages: Stages;
  readonly #programs: SimulatedPrograms;
  readonly #hostDirectories: readonly string[] | undefined;
  readonly #hostAddress: string;
  readonly #idPrefix: string;
  /** By the metadata of their configuration, which only one may have. */
  readonly #sandboxNames = new Map<string, Sandbox>();
  #pools: readonly AddressPool[];
  #ids = 0;

  constructor(options: SimulatedRuntimeOptions) {
    const { clock, defaultBehaviour, behaviours = {} } = options;
    this.clock = clock;
    this.network = options.network ?? new SimulatedNetwork();
    this.streaming = new StreamingServer(this.network, clock);
    this.stages = new Stages(clock, options, options.seed ?? 1);
    this.#programs =
      options.programs ??
      new SimulatedPrograms(
        Object.entries(behaviours).map(([name, behaviour]) => ({ ...behaviour, name })),
        defaultBehaviour ? { defaultBehaviour } : {},
      );
    this.images = createSimulatedImages({
      clock,
      present: options.images ?? [],
      programs: this.#programs,
      stages: this.stages,
      beforePull: options.beforePull,
      directory: options.imageDirectory ?? "/",
    });
    this.#hostDirectories = options.hostDirectories;
    this.#idPrefix = options.idPrefix ?? "";
    this.#hostAddress = options.hostAddress ?? "127.0.0.1";
    this.#pools = (options.podCidrs ?? ["10.244.0.0/16"]).map((cidr) => new AddressPool(cidr));
  }

  usePodCidrs(cidrs: readonly string[]): void {
    if (cidrs.join() !== this.#pools.map((pool) => pool.cidr).join()) this.#pools = cidrs.map((cidr) => new AddressPool(cidr));
  }

  /** 64 hex digits, as other runtimes give. */
  newId(): string {
    return `${this.#idPrefix}${(++this.#ids).toString(16).padStart(12 - this.#idPrefix.length, "0")}`.padEnd(64, "0");
  }

  container(id: string): SimulatedContainer {
    return lookUp(this.containers, id, "container");
  }

  sandbox(id: string): Sandbox {
    return lookUp(this.sandboxes, id, "sandbox");
  }

  containersOf(sandboxId: string): readonly SimulatedContainer[] {
    return [...this.containers.values()].filter((container) => container.sandboxId === sandboxId);
  }

  runSandbox(config: PodSandboxConfig, runtimeHandler: string): Sandbox {
    const onHost = isOnHost(config);
    const twin = this.#sandboxNames.get(nameOf(config));
    if (twin) throw new RpcError("UNKNOWN", `failed to reserve sandbox name: it is reserved for ${twin.id}`);
    const addresses = onHost ? [this.#hostAddress] : this.#pools.map((pool) => pool.take());
    const sandbox: Sandbox = {
      id: this.newId(),
      config,
      createdAt: criTime(this.clock.now()),
      runtimeHandler,
      addresses,
      state: "SANDBOX_READY",
    };
    this.sandboxes.set(sandbox.id, sandbox);
    this.#sandboxNames.set(nameOf(config), sandbox);
    // A node's own address is the node's: on a real machine other things listen there too.
    if (!onHost) for (const address of addresses) this.network.join(address);
    this.emit("CONTAINER_STARTED_EVENT", sandbox.id, sandbox.id);
    return sandbox;
  }

  /** Its containers are killed; nothing happens when it is stopped or gone. */
  async stopSandbox(id: string): Promise<void> {
    const sandbox = this.sandboxes.get(id);
    if (!sandbox || sandbox.state === "SANDBOX_NOTREADY") return;
    await Promise.all(this.containersOf(id).map((container) => container.stop(0)));
    sandbox.state = "SANDBOX_NOTREADY";
    if (!isOnHost(sandbox.config)) for (const address of sandbox.addresses) this.network.leave(address);
    for (const [i, pool] of this.#pools.entries()) pool.release(sandbox.addresses[i] ?? "");
    this.emit("CONTAINER_STOPPED_EVENT", id, id);
  }

  async removeSandbox(id: string): Promise<void> {
    await this.stopSandbox(id);
    for (const container of this.containersOf(id)) await this.removeContainer(container.id);
    if (this.sandboxes.has(id)) this.emit("CONTAINER_DELETED_EVENT", id, id);
    const sandbox = this.sandboxes.get(id);
    if (sandbox) this.#sandboxNames.delete(nameOf(sandbox.config));
    this.sandboxes.delete(id);
  }

  createContainer(sandboxId: string, config: SimulatedContainer["config"], logDirectory: string): SimulatedContainer {
    const sandbox = this.sandbox(sandboxId);
    if (sandbox.state !== "SANDBOX_READY") throw new RpcError("UNKNOWN", `sandbox ${sandboxId} is not running`);
    const reference = config.image?.image ?? "";
    const image = this.images.find(reference);
    if (!image) throw new RpcError("NOT_FOUND", `image ${JSON.stringify(reference)} not found`);
    const container = new SimulatedContainer({
      id: this.newId(),
      sandboxId,
      config,
      pod: podOf(sandbox),
      imageId: image.id,
      behaviour: this.behaviourOf(reference),
      ...{ clock: this.clock, network: this.network, stages: this.stages, hostDirectories: this.#hostDirectories },
      logPath: config.logPath === "" || logDirectory === "" ? "" : join(logDirectory, config.logPath),
      onExit: (ended) => this.emit("CONTAINER_STOPPED_EVENT", ended.id, sandboxId),
    });
    this.containers.set(container.id, container);
    this.emit("CONTAINER_CREATED_EVENT", container.id, sandboxId);
    return container;
  }

  async removeContainer(id: string): Promise<void> {
    const container = this.containers.get(id);
    if (!container) return;
    await container.stop(0);
    this.containers.delete(id);
    this.emit("CONTAINER_DELETED_EVENT", id, container.sandboxId);
  }

  emit(type: ContainerEventType, containerId: string, sandboxId: string): void {
    const sandbox = this.sandboxes.get(sandboxId);
    this.events.push({
      containerId,
      containerEventType: type,
      createdAt: criTime(this.clock.now()),
      podSandboxStatus: sandbox && sandboxStatus(sandbox),
      containersStatuses: this.containersOf(sandboxId).map(containerStatus),
    });
  }

  /** Of an image that is there; otherwise that of unknown ones. */
  behaviourOf(reference: string): ImageBehaviour {
    const { repoTags = [], repoDigests = [] } = this.images.find(reference) ?? {};
    return this.#programs.behaviourOf(repoTags[0] ?? repoDigests[0] ?? "");
  }
}

const isOnHost = ({ linux }: PodSandboxConfig): boolean => linux?.securityContext?.namespaceOptions?.network === "NODE";
const nameOf = ({ metadata }: PodSandboxConfig): string => JSON.stringify(metadata);

function podOf({ config, addresses }: Sandbox): SimulatedPod {
  const { name = "", namespace = "", uid = "" } = config.metadata ?? {};
  return { name, namespace, uid, addresses };
}

export function sandboxStatus(sandbox: Sandbox): Input<PodSandboxStatus> & { readonly id: string } {
  const { config, addresses, state } = sandbox;
  const [ip = "", ...more] = state === "SANDBOX_READY" && !isOnHost(config) ? addresses : [];
  return {
    id: sandbox.id,
    metadata: config.metadata,
    state,
    createdAt: sandbox.createdAt,
    network: { ip, additionalIps: more.map((address) => ({ ip: address })) },
    linux: { namespaces: { options: config.linux?.securityContext?.namespaceOptions } },
    labels: config.labels,
    annotations: config.annotations,
    runtimeHandler: sandbox.runtimeHandler,
  };
}

export function containerStatus(container: SimulatedContainer): Input<ContainerStatus> & { readonly id: string } {
  const { config, id, state, createdAt, startedAt, finishedAt, exitCode, reason, logPath, imageId } = container;
  return {
    id,
    metadata: config.metadata,
    state,
    createdAt,
    startedAt,
    finishedAt,
    exitCode,
    reason,
    logPath,
    image: config.image,
    imageRef: imageId,
    imageId,
    labels: config.labels,
    annotations: config.annotations,
    mounts: config.mounts,
    resources: { linux: container.resources },
    stopSignal: config.stopSignal,
  };
}

/** Ids may be given shortened, where only one begins so. */
function lookUp<T>(all: ReadonlyMap<string, T>, id: string, what: string): T {
  const exact = all.get(id);
  if (exact) return exact;
  const matches = id === "" ? [] : [...all].filter(([key]) => key.startsWith(id));
  if (matches.length === 1 && matches[0]) return matches[0][1];
  throw new RpcError("NOT_FOUND", `an error occurred when try to find ${what} "${id}": not found`);
}
