// Gives containers the devices they ask for as extended resources: knows the plugins that have registered, what they have,
// and who has which. Allocations come one after the other. They outlive the kubelet in the file kubelet_internal_checkpoint.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseQuantity } from "../../api/meta/quantity.ts";
import { podAmounts } from "../../api/semantics/pod-resources.ts";
import type { Container, Pod, ResourceStatus } from "../../api/types/core-v1.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { isSidecar } from "../pods/pod-spec.ts";
import { runtimeErrorText } from "../pods/start-error.ts";
import { Checkpoint } from "../resize/checkpoint.ts";
import { maskOf, type NodeMask } from "../resource-managers/node-mask.ts";
import { containersOf, type PodAllocation, type ResourceProvider } from "../resource-managers/provider.ts";
import { hintsFor, type Placed, type ProviderHints, type TopologyHint } from "../resource-managers/topology-hints.ts";
import { chooseDevices } from "./choose-devices.ts";
import { type ContainerDevices, containerDevices } from "./container-devices.ts";
import { DeviceAllocations, type DeviceCheckpoint, deviceCheckpointFormat } from "./device-allocations.ts";
import { type ConnectedPlugin, type DeviceFact, DeviceInventory, type NodeDevices } from "./device-inventory.ts";
import type { DeviceMetrics } from "./device-metrics.ts";
import { DevicePluginConnection } from "./device-plugin.ts";
import type { ContainerAllocateResponse, Device } from "./generated/device-plugin-v1beta1.ts";
import { checkDevicePlugin, serveRegistration } from "./plugin-registration.ts";
import type { PluginHandler } from "./plugin-watcher.ts";

export interface DeviceManagerDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: DeviceMetrics;
  /** Whether a pod still has what it was given; undefined while not all pods are known. */
  readonly isActive: (podUid: string) => boolean | undefined;
  /** The node has other devices than before. */
  readonly onNodeChange: () => void;
  /** The health of a device the pod has has changed. */
  readonly onPodChange: (podUid: string) => void;
}

export interface DeviceManagerOptions {
  /** <root>/device-plugins. */
  readonly directory: string;
  /** Of the machine. */
  readonly numaNodes: readonly number[];
}

/** By resource: devices of init containers that may be had again. */
type Reusable = Map<string, Set<string>>;

const expireEveryMs = 10_000;

export class DeviceManager implements ResourceProvider, Running {
  readonly #deps: DeviceManagerDependencies;
  readonly #options: DeviceManagerOptions;
  readonly #inventory = new DeviceInventory();
  readonly #allocations = new DeviceAllocations();
  readonly #checkpoint: Checkpoint<DeviceCheckpoint>;
  readonly #connections = new Map<string, DevicePluginConnection>();
  readonly #following = new Set<Promise<void>>();
  readonly #stops = new StopStack();
  /** Shown as none from now on. */
  readonly #removed = new Set<string>();
  #queue: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(deps: DeviceManagerDependencies, options: DeviceManagerOptions) {
    this.#deps = deps;
    this.#options = options;
    const path = join(options.directory, "kubelet_internal_checkpoint");
    this.#checkpoint = this.#stops.add(new Checkpoint(path, () => this.#content(), deps, deviceCheckpointFormat));
  }

  /** Takes over what an earlier kubelet gave, and lets plugins register. A node without that goes on without devices. */
  async start(): Promise<void> {
    const { directory } = this.#options;
    await mkdir(directory, { recursive: true, mode: 0o750 });
    const known = await this.#checkpoint.load();
    this.#allocations.restore(known?.PodDeviceEntries ?? []);
    this.#inventory.restore(Object.keys(known?.RegisteredDevices ?? {}), this.#deps.clock.now());
    try {
      this.#stops.add(
        await serveRegistration({
          directory,
          onRequest: (resource) => this.#deps.metrics.registrations.series(resource).add(),
          connect: (resource, socketPath) => this.connect(resource, socketPath),
        }),
      );
    } catch (error) {
      this.#deps.logger.error("Device plugins cannot register", { directory, error: errorText(error) });
    }
    this.#expireSoon();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const connection of this.#connections.values()) connection.close();
    await Promise.all(this.#following);
    await this.#stops.stop();
  }

  /** For plugins that are found by their socket in plugins_registry. */
  get pluginHandler(): PluginHandler {
    return {
      validate: (name, _endpoint, versions) => checkDevicePlugin(name, versions),
      register: (name, endpoint) => this.connect(name, endpoint),
      deregister: (name) => this.#connections.get(name)?.close(),
    };
  }

  /** Takes the place of a plugin of the same resource. Throws when nobody answers on the socket. */
  async connect(resource: string, socketPath: string): Promise<void> {
    const connection = new DevicePluginConnection(socketPath);
    try {
      await connection.connect();
    } catch (error) {
      connection.close();
      throw new Error(`failed to dial device plugin: ${runtimeErrorText(error)}`, { cause: error });
    }
    if (this.#stopped) return connection.close();
    this.#connections.get(resource)?.close();
    this.#connections.set(resource, connection);
    this.#inventory.connected(resource, connection);
    this.#removed.delete(resource);
    const following = this.#follow(resource, connection).finally(() => this.#following.delete(following));
    this.#following.add(following);
  }

  async #follow(resource: string, connection: DevicePluginConnection): Promise<void> {
    const { logger, clock, onNodeChange } = this.#deps;
    try {
      for await (const devices of connection.lists()) this.#listed(resource, connection, devices);
    } catch (error) {
      if (!this.#stopped) logger.info("A device plugin has gone", { resource, error: errorText(error) }, 1);
    }
    connection.close();
    if (this.#connections.get(resource) === connection) this.#connections.delete(resource);
    if (this.#inventory.disconnected(resource, connection, clock.now()) && !this.#stopped) onNodeChange();
  }

  #listed(resource: string, connection: ConnectedPlugin, devices: readonly Device[]): void {
    // The last words of one that has been replaced.
    if (this.#inventory.plugin(resource) !== connection) return;
    const changed = this.#inventory.listed(resource, devices);
    this.#checkpoint.touch();
    for (const uid of this.#allocations.podsWith(resource, changed)) this.#deps.onPodChange(uid);
    this.#deps.onNodeChange();
  }

  #expireSoon(): void {
    if (this.#stopped) return;
    this.#timer = this.#deps.clock.after(expireEveryMs, () => {
      const gone = this.#inventory.expire(this.#deps.clock.now());
      for (const resource of gone) this.#removed.add(resource);
      if (gone.length > 0) {
        this.#checkpoint.touch();
        this.#deps.onNodeChange();
      }
      this.#expireSoon();
    });
  }

  #content(): DeviceCheckpoint {
    const entries = this.#allocations.entries();
    const registered = this.#inventory.names().map((name) => [name, this.#inventory.healthy(name).map((d) => d.id)] as const);
    return { PodDeviceEntries: entries.length === 0 ? null : entries, RegisteredDevices: Object.fromEntries(registered) };
  }

  /** For the node's status: those of plugins that did not come back are there, with none. */
  nodeDevices(): NodeDevices {
    const { capacity, allocatable } = this.#inventory.counts();
    const none = Object.fromEntries([...this.#removed].map((name) => [name, "0"]));
    return { capacity: { ...none, ...capacity }, allocatable: { ...none, ...allocatable } };
  }

  /** Whether the resource is given out here, and not only counted. */
  manages(resource: string): boolean {
    return this.#inventory.has(resource) || this.#allocations.uses(resource);
  }

  concerns(pod: Pod): boolean {
    return containersOf(pod).some((container) => this.#requests(container).length > 0);
  }

  /** What the container asks for; of extended resources limits and requests are equal. */
  #requests({ resources }: Container): readonly (readonly [resource: string, count: number])[] {
    return Object.entries(resources?.limits ?? {})
      .filter(([name]) => name.includes("/") && this.manages(name))
      .map(([name, quantity]) => [name, parseQuantity(quantity).value()] as const)
      .filter(([, count]) => count > 0);
  }

  begin(pod: Pod): PodAllocation {
    const reusable: Reusable = new Map();
    this.#dropInactive();
    return {
      hints: (container) => this.#hints(pod, container, reusable),
      podHints: () => this.#podHints(pod),
      allocate: async (container, { nodes: affinity }) => {
        await this.#allocateInTurn(pod, container, reusable, affinity);
        this.#reuse(pod, container, reusable);
      },
    };
  }

  /** Nobody is to get what the pod had or was about to get. */
  release(podUid: string): void {
    if (this.#allocations.removePod(podUid)) this.#checkpoint.touch();
  }

  /** The pods that went while nobody was asked for devices. */
  #dropInactive(): void {
    for (const uid of this.#allocations.pods()) if (this.#deps.isActive(uid) === false) this.release(uid);
  }

  #allocateInTurn(pod: Pod, container: Container, reusable: Reusable, affinity: NodeMask | undefined): Promise<void> {
    const turn = this.#queue.then(() => this.#allocate(pod, container, reusable, affinity));
    this.#queue = turn.catch(() => undefined); // its failure is the caller's
    return turn;
  }

  async #allocate(pod: Pod, container: Container, reusable: Reusable, affinity: NodeMask | undefined): Promise<void> {
    let isChanged = false;
    for (const [resource, count] of this.#requests(container)) {
      const reuse = [...(reusable.get(resource) ?? [])];
      if (await this.#allocateResource(pod, container, { resource, count, reuse, affinity })) isChanged = true;
    }
    if (!isChanged) return;
    this.#checkpoint.touch();
    await this.#checkpoint.flush();
  }

  /** Whether the container was given something now. */
  async #allocateResource(pod: Pod, container: Container, { resource, count, reuse, affinity }: ResourceRequest): Promise<boolean> {
    const { uid } = pod.metadata;
    const before = this.#allocations.ids(uid, container.name, resource);
    if (before && before.length !== count)
      throw new Error(
        `pod ${JSON.stringify(uid)} container ${JSON.stringify(container.name)} changed request for resource ${JSON.stringify(resource)} from ${before.length} to ${count}`,
      );
    const healthy = this.#requireHealthy(resource, before);
    if (before) return false;
    const used = this.#allocations.used(resource);
    const plugin = this.#inventory.plugin(resource);
    if (!plugin) throw new Error(`unknown Device Plugin ${resource}`);
    const available = healthy.filter((d) => !used.has(d.id));
    const prefer = preferenceOf(plugin);
    const ids = await chooseDevices({ resource, count, available, reusable: reuse, affinity, prefer });
    const answer = await this.#askPlugin(resource, plugin, ids);
    this.#allocations.set(uid, container.name, resource, { byNode: this.#byNode(resource, ids), answer });
    return true;
  }

  #requireHealthy(resource: string, before: readonly string[] | undefined): readonly DeviceFact[] {
    if (!this.#inventory.has(resource)) throw new Error(`cannot allocate unregistered device ${resource}`);
    const healthy = this.#inventory.healthy(resource);
    if (healthy.length === 0) throw new Error(`no healthy devices present; cannot allocate unhealthy devices ${resource}`);
    if (before?.some((id) => !healthy.some((d) => d.id === id)))
      throw new Error(`previously allocated devices are no longer healthy; cannot allocate unhealthy devices ${resource}`);
    return healthy;
  }

  async #askPlugin(resource: string, plugin: ConnectedPlugin, ids: readonly string[]): Promise<ContainerAllocateResponse> {
    const { clock, metrics } = this.#deps;
    const begunMs = clock.monotonic();
    try {
      return await plugin.allocate(ids);
    } catch (error) {
      throw new Error(runtimeErrorText(error), { cause: error });
    } finally {
      metrics.allocations.series(resource).observe((clock.monotonic() - begunMs) / 1000);
    }
  }

  #byNode(resource: string, ids: readonly string[]): Readonly<Record<string, readonly string[]>> {
    const byNode: Record<string, string[]> = {};
    for (const id of ids) {
      const nodes = this.#inventory.device(resource, id)?.nodes ?? [];
      for (const node of nodes.length === 0 ? [-1] : nodes) byNode[node] = [...(byNode[node] ?? []), id];
    }
    return byNode;
  }

  /** Init containers end before those after them begin; the others keep what they have. */
  #reuse(pod: Pod, container: Container, reusable: Reusable): void {
    const ends = pod.spec.initContainers?.some((c) => c.name === container.name) === true && !isSidecar(container);
    for (const [resource] of this.#allocations.of(pod.metadata.uid, container.name))
      for (const id of this.#allocations.ids(pod.metadata.uid, container.name, resource) ?? []) {
        const ids = reusable.get(resource) ?? new Set<string>();
        if (ends) reusable.set(resource, ids.add(id));
        else ids.delete(id);
      }
  }

  /** What the runtime is to be told; undefined for a container without devices. Calls PreStartContainer where a plugin asks for it. */
  async containerDevices(pod: Pod, container: Container): Promise<ContainerDevices | undefined> {
    const { uid } = pod.metadata;
    const requests = this.#requests(container);
    if (requests.length === 0) return undefined;
    for (const [resource] of requests) {
      const plugin = this.#inventory.plugin(resource);
      if (!plugin?.preStartRequired) continue;
      const ids = this.#allocations.ids(uid, container.name, resource);
      if (!ids)
        throw new Error(`no devices found allocated in local cache for pod ${uid}, container ${container.name}, resource ${resource}`);
      await this.#preStart(resource, plugin, ids);
    }
    // Nothing is known of it only when this kubelet has not admitted the pod, and no earlier one has left a word.
    if (requests.some(([resource]) => !this.#allocations.ids(uid, container.name, resource)))
      await this.#allocateInTurn(pod, container, new Map(), undefined);
    return containerDevices([...this.#allocations.of(uid, container.name).values()].map((a) => a.answer));
  }

  async #preStart(resource: string, plugin: ConnectedPlugin, ids: readonly string[]): Promise<void> {
    const why = this.#inventory.isStopped(resource)
      ? `endpoint ${resource} has been stopped`
      : await plugin.preStart(ids).then(() => undefined, runtimeErrorText);
    if (why !== undefined) throw new Error(`device plugin PreStartContainer rpc failed with err: ${why}`);
  }

  /** By resource, for the pod-resources API. */
  devicesOf(podUid: string, container: string): ReadonlyMap<string, readonly DeviceFact[]> {
    const found = new Map<string, readonly DeviceFact[]>();
    for (const [resource, { byNode }] of this.#allocations.of(podUid, container)) {
      const nodes = new Map<string, number[]>();
      for (const [node, ids] of Object.entries(byNode))
        for (const id of ids) nodes.set(id, [...(nodes.get(id) ?? []), ...(node === "-1" ? [] : [Number(node)])]);
      found.set(
        resource,
        [...nodes].map(([id, of]) => ({ id, isHealthy: true, nodes: of })),
      );
    }
    return found;
  }

  /** Healthy ones of all resources. */
  allocatableDevices(): ReadonlyMap<string, readonly DeviceFact[]> {
    return new Map(this.#inventory.names().map((name) => [name, this.#inventory.healthy(name)]));
  }

  /** For the container's status; empty for one without devices. */
  healthOf(podUid: string, container: string): readonly ResourceStatus[] {
    return [...this.#allocations.of(podUid, container).keys()].map((name) => ({
      name,
      resources: (this.#allocations.ids(podUid, container, name) ?? []).map((resourceID) => ({
        resourceID,
        // A device nobody tells of any more is not known to be ill.
        health: this.#inventory.device(name, resourceID)?.isHealthy === false ? "Unhealthy" : "Healthy",
      })),
    }));
  }

  #hints(pod: Pod, container: Container, reusable: Reusable): ProviderHints {
    const { uid } = pod.metadata;
    const hints = this.#requests(container).map(([resource, count]) => {
      const before = this.#allocations.ids(uid, container.name, resource);
      const reuse = [...(reusable.get(resource) ?? [])];
      return [resource, this.#resourceHints(resource, count, { before, reuse })] as const;
    });
    return Object.fromEntries(hints);
  }

  #podHints(pod: Pod): ProviderHints {
    const hints = Object.entries(podAmounts(pod.spec, { of: "limits" }))
      .filter(([name, count]) => count > 0 && name.includes("/") && this.manages(name))
      .map(([resource, count]) => {
        const ids = containersOf(pod).flatMap((c) => this.#allocations.ids(pod.metadata.uid, c.name, resource) ?? []);
        const before = ids.length > 0 ? [...new Set(ids)] : undefined;
        return [resource, this.#resourceHints(resource, count, { before, reuse: [] })] as const;
      });
    return Object.fromEntries(hints);
  }

  #resourceHints(
    resource: string,
    count: number,
    { before, reuse }: { readonly before: readonly string[] | undefined; readonly reuse: readonly string[] },
  ): readonly TopologyHint[] | undefined {
    const devices = this.#inventory.devices(resource);
    if (devices.every((d) => d.nodes.length === 0)) return undefined;
    const known = new Set(devices.flatMap((d) => d.nodes));
    const withDevices = this.#options.numaNodes.filter((node) => known.has(node));
    const nodes = withDevices.length > 0 ? withDevices : this.#options.numaNodes;
    const placed = (ids: readonly string[]): readonly Placed[] =>
      ids.map((id) => ({ nodes: maskOf(this.#inventory.device(resource, id)?.nodes ?? []) }));
    const all = placed(devices.map((d) => d.id));
    if (before) return before.length === count ? hintsFor(count, nodes, { all, available: placed(before) }) : [];
    const used = this.#allocations.used(resource);
    const available = this.#inventory.healthy(resource).flatMap((d) => (used.has(d.id) ? [] : [d.id]));
    if (new Set([...available, ...reuse]).size < count) return [];
    return hintsFor(count, nodes, { all, available: placed(available), mustHave: placed(reuse) });
  }
}

interface ResourceRequest {
  readonly resource: string;
  readonly count: number;
  readonly reuse: readonly string[];
  readonly affinity: NodeMask | undefined;
}

function preferenceOf(plugin: ConnectedPlugin): Parameters<typeof chooseDevices>[0]["prefer"] {
  return async (request) => {
    if (!plugin.hasPreferences) return [];
    try {
      return await plugin.preferred(request);
    } catch (error) {
      throw new Error(`device plugin GetPreferredAllocation rpc failed with err: ${runtimeErrorText(error)}`, { cause: error });
    }
  };
}
