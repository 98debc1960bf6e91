// Everything a node hands out piece by piece, put together: device plugins and their sockets, CPUs of one's own, memory of
// certain NUMA nodes, and the pod-resources API. The rest of the kubelet asks here only.
import { join } from "node:path";
import { type Quantity, quantityOf } from "../../api/meta/quantity.ts";
import { podQos } from "../../api/semantics/pod-qos.ts";
import type { Container, Pod, ResourceStatus } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { FeatureGates } from "../configuration/feature-gates.ts";
import type { NodeDevices } from "../devices/device-inventory.ts";
import { DeviceManager } from "../devices/device-manager.ts";
import { registerDeviceMetrics, registerPodResourcesMetrics } from "../devices/device-metrics.ts";
import { type PluginHandler, PluginWatcher } from "../devices/plugin-watcher.ts";
import { type PodResourcesSource, servePodResources } from "../devices/pod-resources-server.ts";
import { keptBack, type Reservations } from "../node/node-allocatable.ts";
import { PullRate } from "../pulls/pull-rate.ts";
import type { InfeasibleResize } from "../resize/pod-resizes.ts";
import type { PodVerdict } from "../status/pod-status.ts";
import type { GivenResources } from "./container-resources.ts";
import { CpuManager, type RunningContainer } from "./cpu-manager.ts";
import { formatCpuSet } from "./cpu-set.ts";
import type { MachineTopology } from "./cpu-topology.ts";
import { registerManagerMetrics } from "./manager-metrics.ts";
import type { ResourceManagers } from "./manager-options.ts";
import { MemoryManager } from "./memory-manager.ts";
import { PodAdmission } from "./pod-admission.ts";
import { reservedByNode } from "./reserved-memory.ts";
import { changesOf } from "./resized-resources.ts";

export interface NodeManagersDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly topology: MachineTopology;
  /** Whether something of the pod may run here; undefined while not all pods are known. */
  readonly isActive: (podUid: string) => boolean | undefined;
  readonly activePods: () => readonly Pod[];
  readonly containers: () => Iterable<RunningContainer>;
  /** Of other types than device plugins: CSI and DRA drivers. Default none, and they are refused. */
  readonly pluginHandlers?: ReadonlyMap<string, PluginHandler>;
  /** Devices of claims, for the pod-resources API. */
  readonly claimsOf?: PodResourcesSource["claimsOf"];
  readonly onNodeChange: () => void;
  readonly onPodChange: (podUid: string) => void;
}

export interface NodeManagersOptions {
  readonly rootDirectory: string;
  readonly managers: ResourceManagers;
  readonly gates: FeatureGates;
  readonly reservations: Reservations;
  /** The node's. */
  readonly memoryBytes: number;
}

const podResourcesPerSecond = 100;
const podResourcesBurst = 10;

export class NodeManagers implements Running {
  readonly #deps: NodeManagersDependencies;
  readonly #options: NodeManagersOptions;
  readonly #stops = new StopStack();
  readonly #devices: DeviceManager;
  readonly #cpus: CpuManager;
  readonly #memory: MemoryManager;
  readonly #admission: PodAdmission;

  get #freesQuota(): boolean {
    return this.#options.gates.enabled("DisableCPUQuotaWithExclusiveCPUs");
  }

  /** Throws when the options do not fit the machine. */
  constructor(deps: NodeManagersDependencies, options: NodeManagersOptions) {
    this.#deps = deps;
    this.#options = options;
    const { rootDirectory, managers } = options;
    const { clock, topology } = deps;
    const nodes = topology.nodes.length > 0 ? topology.nodes.map((node) => node.id) : topology.cpus.numaNodes;
    const metrics = registerManagerMetrics(deps.metrics);
    const deviceOptions = { directory: join(rootDirectory, "device-plugins"), numaNodes: nodes };
    this.#devices = this.#stops.add(new DeviceManager({ ...deps, metrics: registerDeviceMetrics(deps.metrics) }, deviceOptions));
    const reservedMilliCpu = this.#reserved("cpu").milliValue();
    const cpuOptions = { ...managers.cpu, path: join(rootDirectory, "cpu_manager_state"), reservedMilliCpu };
    this.#cpus = this.#stops.add(new CpuManager({ ...deps, metrics, topology: topology.cpus }, cpuOptions));
    this.#memory = this.#stops.add(new MemoryManager({ ...deps, metrics, nodes: topology.nodes }, this.#memoryOptions()));
    const providers = [this.#devices, this.#cpus, this.#memory];
    const placed = topology.nodes.length > 0 ? topology.nodes : nodes.map((id) => ({ id, distances: [] }));
    this.#admission = new PodAdmission({ clock, metrics, providers }, { ...managers.topology, nodes: placed });
  }

  #reserved(resource: string): Quantity {
    const { reservations, memoryBytes } = this.#options;
    return keptBack(resource, quantityOf(memoryBytes, "BinarySI"), reservations);
  }

  #memoryOptions() {
    const { rootDirectory, managers } = this.#options;
    const { policy, reserved } = managers.memory;
    const path = join(rootDirectory, "memory_manager_state");
    if (policy === "None") return { path, policy, reserved: new Map() };
    const nodes = this.#deps.topology.nodes.map((node) => node.id);
    return { path, policy, reserved: reservedByNode(reserved, { nodes, kept: new Map([["memory", this.#reserved("memory")]]) }) };
  }

  /** Throws when the state of an earlier kubelet is not one to go on with. */
  async start(): Promise<void> {
    await Promise.all([this.#devices.start(), this.#cpus.start(), this.#memory.start()]);
    await Promise.all([this.#startPodResources(), this.#startPluginWatcher()]);
  }

  stop(): Promise<void> {
    return this.#stops.stop();
  }

  async #startPluginWatcher(): Promise<void> {
    const { clock, logger, pluginHandlers = new Map<string, PluginHandler>() } = this.#deps;
    const handlers = new Map([...pluginHandlers, ["DevicePlugin", this.#devices.pluginHandler]]);
    const directory = join(this.#options.rootDirectory, "plugins_registry");
    const watcher = this.#stops.add(new PluginWatcher(directory, { clock, logger, handlers }));
    await watcher.start();
  }

  /** A node whose socket cannot be made goes on without it. */
  async #startPodResources(): Promise<void> {
    const { activePods, claimsOf, clock, logger } = this.#deps;
    const socketPath = join(this.#options.rootDirectory, "pod-resources", "kubelet.sock");
    try {
      this.#stops.add(
        await servePodResources(socketPath, {
          ...{ pods: activePods, claimsOf },
          devicesOf: (uid, container) => this.#devices.devicesOf(uid, container),
          allocatableDevices: () => this.#devices.allocatableDevices(),
          cpusOf: (uid, container) => this.#cpus.exclusiveCpus(uid, container) ?? [],
          allocatableCpus: () => this.#cpus.allocatableCpus(),
          memoryOf: (uid, container) => this.#memory.blocksOf(uid, container),
          allocatableMemory: () => this.#memory.allocatableMemory(),
          metrics: registerPodResourcesMetrics(this.#deps.metrics),
          rate: new PullRate(clock, { perSecond: podResourcesPerSecond, burst: podResourcesBurst }),
        }),
      );
    } catch (error) {
      logger.error("The pod-resources API is not served", { socketPath, error: errorText(error) });
    }
  }

  /** Whether the pod has to be admitted by admit(). */
  concerns(pod: Pod): boolean {
    return this.#admission.concerns(pod);
  }

  /** Why the pod is refused; undefined when it has been given everything. */
  admit(pod: Pod): Promise<PodVerdict | undefined> {
    return this.#admission.admit(pod);
  }

  /** Nothing is left of the pod. */
  release(podUid: string): void {
    this.#devices.release(podUid);
    this.#cpus.release(podUid);
    this.#memory.release(podUid);
  }

  /** For a container that is about to be started. Throws an Error whose message its status shows. */
  async given(pod: Pod, container: Container): Promise<GivenResources> {
    this.#cpus.starting(pod, container);
    this.#memory.starting(pod, container);
    const devices = await this.#devices.containerDevices(pod, container);
    const cpus = this.#cpus.cpusFor(pod.metadata.uid, container.name);
    const hasOwnCpus = this.#freesQuota && this.#cpus.exclusiveCpus(pod.metadata.uid, container.name) !== undefined;
    const cpusetMems = this.#memory.memoryNodes(pod.metadata.uid, container.name);
    return {
      ...(devices ? { devices } : {}),
      ...(cpus ? { cpusetCpus: formatCpuSet(cpus), hasOwnCpus } : {}),
      ...(cpusetMems === undefined ? {} : { cpusetMems }),
    };
  }

  /** No quota keeps the pod from using its CPUs. */
  hasOwnCpus(podUid: string): boolean {
    return this.#freesQuota && this.#cpus.hasExclusiveCpus(podUid);
  }

  /** Health of the container's devices. */
  healthOf(podUid: string, container: string): readonly ResourceStatus[] {
    return this.#devices.healthOf(podUid, container);
  }

  nodeDevices(): NodeDevices {
    return this.#devices.nodeDevices();
  }

  /** Whether whoever hands out the resource counts it too. */
  manages(resource: string): boolean {
    return this.#devices.manages(resource);
  }

  /** Why the pod, which has been allocated something else than it asks for, can never be resized so here. */
  infeasibleResize(pod: Pod, allocated: Pod): InfeasibleResize | undefined {
    if (podQos(pod) !== "Guaranteed") return undefined;
    const changes = changesOf(pod, allocated);
    const { gates } = this.#options;
    const why = (manager: string, policy: string): string =>
      `Resize is infeasible for Guaranteed Pods alongside ${manager} Manager policy ${JSON.stringify(policy)}`;
    if (this.#cpus.isStatic && changes.has("cpu") && !gates.enabled("InPlacePodVerticalScalingExclusiveCPUs"))
      return { message: why("CPU", "static"), detail: "guaranteed_pod_cpu_manager_static_policy" };
    if (this.#memory.isStatic && changes.has("memory") && !gates.enabled("InPlacePodVerticalScalingExclusiveMemory"))
      return { message: why("Memory", "Static"), detail: "guaranteed_pod_memory_manager_static_policy" };
    return undefined;
  }
}
