// Everything a node hands out piece by piece, put together: device plugins and their sockets, CPUs of one's own, and the
// pod-resources API. The rest of the kubelet asks here only.
import { join } from "node:path";
import { parseQuantity } from "../../api/meta/quantity.ts";
import { podQos } from "../../api/semantics/pod-qos.ts";
import type { Container, Pod, ResourceStatus } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { NodeDevices } from "../devices/device-inventory.ts";
import { DeviceManager } from "../devices/device-manager.ts";
import { registerDeviceMetrics, registerPodResourcesMetrics } from "../devices/device-metrics.ts";
import { type PluginHandler, PluginWatcher } from "../devices/plugin-watcher.ts";
import { type PodResourcesSource, servePodResources } from "../devices/pod-resources-server.ts";
import type { PodVerdict } from "../pod-status.ts";
import { PullRate } from "../pulls/pull-rate.ts";
import type { GivenResources } from "./container-resources.ts";
import { CpuManager, type RunningContainer } from "./cpu-manager.ts";
import { formatCpuSet } from "./cpu-set.ts";
import type { CpuTopology } from "./cpu-topology.ts";
import { registerManagerMetrics } from "./manager-metrics.ts";
import type { ResourceManagers } from "./manager-options.ts";
import { PodAdmission } from "./pod-admission.ts";

export interface NodeManagersDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly topology: CpuTopology;
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
  /** systemReserved and kubeReserved. */
  readonly reserved: readonly Readonly<Record<string, string>>[];
}

const podResourcesPerSecond = 100;
const podResourcesBurst = 10;

export class NodeManagers implements Running {
  readonly #deps: NodeManagersDependencies;
  readonly #options: NodeManagersOptions;
  readonly #stops = new StopStack();
  readonly #devices: DeviceManager;
  readonly #cpus: CpuManager;
  readonly #admission: PodAdmission;

  /** Throws when the options do not fit the machine. */
  constructor(deps: NodeManagersDependencies, options: NodeManagersOptions) {
    this.#deps = deps;
    this.#options = options;
    const { rootDirectory, managers } = options;
    const { clock, topology } = deps;
    const { numaNodes } = topology;
    const metrics = registerManagerMetrics(deps.metrics);
    const directory = join(rootDirectory, "device-plugins");
    this.#devices = this.#stops.add(new DeviceManager({ ...deps, metrics: registerDeviceMetrics(deps.metrics) }, { directory, numaNodes }));
    const reservedMilliCpu = options.reserved.reduce((sum, of) => sum + parseQuantity(of.cpu ?? 0).milliValue(), 0);
    const path = join(rootDirectory, "cpu_manager_state");
    this.#cpus = this.#stops.add(new CpuManager({ ...deps, metrics }, { ...managers.cpu, path, reservedMilliCpu }));
    const { topology: policy, scope } = managers;
    this.#admission = new PodAdmission({ clock, metrics, providers: [this.#devices, this.#cpus] }, { policy, scope, numaNodes });
  }

  /** Throws when the state of an earlier kubelet is not one to go on with. */
  async start(): Promise<void> {
    await Promise.all([this.#devices.start(), this.#cpus.start()]);
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
  }

  /** Throws an Error whose message the container's status shows. */
  async given(pod: Pod, container: Container): Promise<GivenResources> {
    const devices = await this.#devices.containerDevices(pod, container);
    const cpus = this.#cpus.cpusFor(pod.metadata.uid, container.name);
    const hasOwnCpus = this.#cpus.exclusiveCpus(pod.metadata.uid, container.name) !== undefined;
    return { ...(devices ? { devices } : {}), ...(cpus ? { cpusetCpus: formatCpuSet(cpus), hasOwnCpus } : {}) };
  }

  hasOwnCpus(podUid: string): boolean {
    return this.#cpus.hasExclusiveCpus(podUid);
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

  /** Why such a pod can never be resized here. */
  infeasibleResize(pod: Pod): string | undefined {
    if (!this.#cpus.isStatic || podQos(pod) !== "Guaranteed") return undefined;
    return `Resize is infeasible for Guaranteed Pods alongside CPU Manager policy "static"`;
  }
}
