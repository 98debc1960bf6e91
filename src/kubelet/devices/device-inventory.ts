// The devices that plugins have announced, by resource: which there are, which are healthy, and whether their plugin is there.
// Devices of a plugin that has gone count as unhealthy; after five minutes without it the resource is forgotten, and stays in
// the node's status with none.
import type { ContainerAllocateResponse, Device } from "./generated/device-plugin-v1beta1.ts";

/** What the inventory keeps for whoever calls the plugin. */
export interface ConnectedPlugin {
  readonly preStartRequired: boolean;
  readonly hasPreferences: boolean;
  /** Throw RpcErrors. */
  allocate(ids: readonly string[]): Promise<ContainerAllocateResponse>;
  preferred(request: {
    readonly available: readonly string[];
    readonly mustInclude: readonly string[];
    readonly size: number;
  }): Promise<readonly string[]>;
  preStart(ids: readonly string[]): Promise<void>;
}

export interface DeviceFact {
  readonly id: string;
  readonly isHealthy: boolean;
  /** NUMA nodes; empty where the plugin names none. */
  readonly nodes: readonly number[];
}

interface Resource {
  readonly devices: Map<string, DeviceFact>;
  plugin: ConnectedPlugin | undefined;
  /** Since when its plugin is away. */
  stoppedAtMs: number | undefined;
  /** A plugin has listed its devices at some time. */
  isListed: boolean;
  /** The one that is connected has. */
  isCurrent: boolean;
}

export interface NodeDevices {
  readonly capacity: Readonly<Record<string, string>>;
  readonly allocatable: Readonly<Record<string, string>>;
}

const graceMs = 5 * 60_000;

export class DeviceInventory {
  readonly #resources = new Map<string, Resource>();

  /** Known from before the kubelet was started; their plugins have yet to come. */
  restore(names: Iterable<string>, nowMs: number): void {
    for (const name of names)
      this.#resources.set(name, { devices: new Map(), plugin: undefined, stoppedAtMs: nowMs, isListed: true, isCurrent: false });
  }

  connected(name: string, plugin: ConnectedPlugin): void {
    const known = this.#resources.get(name);
    const { devices = new Map<string, DeviceFact>(), isListed = false } = known ?? {};
    this.#resources.set(name, { devices, plugin, stoppedAtMs: undefined, isListed, isCurrent: false });
  }

  /** Nothing happens when another plugin has taken its place. */
  disconnected(name: string, plugin: ConnectedPlugin, nowMs: number): boolean {
    const resource = this.#resources.get(name);
    if (resource?.plugin !== plugin) return false;
    resource.stoppedAtMs = nowMs;
    return true;
  }

  /** Returns the devices that are new, or whose health is not what it was. */
  listed(name: string, devices: readonly Device[]): readonly string[] {
    const resource = this.#resources.get(name);
    if (!resource) return [];
    const before = new Map(resource.devices);
    resource.devices.clear();
    for (const { id, health, topology } of devices)
      resource.devices.set(id, { id, isHealthy: health === "Healthy", nodes: (topology?.nodes ?? []).map((n) => n.id) });
    resource.isListed = true;
    resource.isCurrent = true;
    return [...resource.devices.values()].filter((d) => before.get(d.id)?.isHealthy !== d.isHealthy).map((d) => d.id);
  }

  /** Whether devices of this name are given out by a plugin, also by one that is away for now. */
  has(name: string): boolean {
    return this.#resources.get(name)?.isListed === true;
  }

  names(): readonly string[] {
    return [...this.#resources].filter(([, r]) => r.isListed).map(([name]) => name);
  }

  plugin(name: string): ConnectedPlugin | undefined {
    return this.#resources.get(name)?.plugin;
  }

  /** Calls to its plugin would reach nobody. */
  isStopped(name: string): boolean {
    return this.#resources.get(name)?.stoppedAtMs !== undefined;
  }

  device(name: string, id: string): DeviceFact | undefined {
    return this.#resources.get(name)?.devices.get(id);
  }

  devices(name: string): readonly DeviceFact[] {
    return [...(this.#resources.get(name)?.devices.values() ?? [])];
  }

  healthy(name: string): readonly DeviceFact[] {
    const resource = this.#resources.get(name);
    if (!resource?.isCurrent || resource.stoppedAtMs !== undefined) return [];
    return this.devices(name).filter((d) => d.isHealthy);
  }

  /** For the node's status. */
  counts(): NodeDevices {
    const capacity: Record<string, string> = {};
    const allocatable: Record<string, string> = {};
    for (const name of this.names()) {
      capacity[name] = String(this.devices(name).length);
      allocatable[name] = String(this.healthy(name).length);
    }
    return { capacity, allocatable };
  }

  /** Forgets the resources whose plugins have been away for too long; returns them. */
  expire(nowMs: number): readonly string[] {
    const gone = [...this.#resources].filter(([, r]) => r.stoppedAtMs !== undefined && nowMs - r.stoppedAtMs > graceMs);
    for (const [name] of gone) this.#resources.delete(name);
    return gone.map(([name]) => name);
  }
}
