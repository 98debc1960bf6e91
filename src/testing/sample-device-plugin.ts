// A device plugin for tests: devices that are files, given to containers as an environment variable, a mount, an annotation
// and a device node. Registers with the kubelet whose device-plugins directory it is given, or waits in plugins_registry to
// be found there.
import { join } from "node:path";
import type { Running } from "../base/lifecycle.ts";
import {
  type ContainerAllocateResponse,
  type Device,
  type DevicePluginHandlers,
  devicePluginV1beta1,
  type ListAndWatchResponse,
  type Registration,
} from "../kubelet/devices/generated/device-plugin-v1beta1.ts";
import {
  pluginRegistrationV1,
  type RegistrationHandlers,
  type RegistrationStatus,
} from "../kubelet/devices/generated/plugin-registration-v1.ts";
import { connectRpc } from "../rpc/client.ts";
import type { Input } from "../rpc/protocol.ts";
import { RpcError } from "../rpc/rpc-error.ts";
import { serveRpc } from "../rpc/server.ts";

export interface SampleDevicePluginOptions {
  /** <root>/device-plugins. */
  readonly directory: string;
  /** "example.com/widget". */
  readonly resource: string;
  readonly devices: readonly Input<Device>[];
  /** The socket's name in the directory. Default "widget.sock". */
  readonly socket?: string;
  /** What a container is given beside the variable WIDGETS. */
  readonly answer?: Input<ContainerAllocateResponse>;
  /** Which devices it would rather give. Default no opinion. */
  readonly prefer?: (available: readonly string[], size: number) => readonly string[];
  readonly preStart?: (ids: readonly string[]) => void;
  /** Allocate fails with this message. */
  readonly failAllocate?: string;
}

export class SampleDevicePlugin implements Running {
  /** Every call to Allocate, in order. */
  readonly allocated: (readonly string[])[] = [];
  readonly #options: SampleDevicePluginOptions;
  readonly #wakes = new Set<() => void>();
  #devices: readonly Input<Device>[];
  #server: Running | undefined;

  constructor(options: SampleDevicePluginOptions) {
    this.#options = options;
    this.#devices = options.devices;
  }

  get #socketPath(): string {
    return join(this.#options.directory, this.#options.socket ?? "widget.sock");
  }

  /** Serves, and registers with the kubelet. Throws what the kubelet answers. */
  async start(): Promise<void> {
    await this.serve();
    await this.register();
  }

  async serve(): Promise<void> {
    const service = { protocol: devicePluginV1beta1, service: "DevicePlugin", handlers: this.#handlers() };
    this.#server = await serveRpc({ endpoint: this.#socketPath, services: [service] });
  }

  async register(fields: { readonly version?: string; readonly resourceName?: string } = {}): Promise<void> {
    const { directory, resource, socket = "widget.sock" } = this.#options;
    const connection = connectRpc({ endpoint: join(directory, "kubelet.sock"), timeoutMs: 15_000 });
    try {
      const registration = connection.service<Registration>(devicePluginV1beta1, "Registration");
      await registration.register({ version: "v1beta1", endpoint: socket, resourceName: resource, ...fields });
    } finally {
      connection.close();
    }
  }

  /** Tells the kubelet of other devices. */
  list(devices: readonly Input<Device>[]): void {
    this.#devices = devices;
    for (const wake of this.#wakes) wake();
  }

  setHealth(id: string, health: "Healthy" | "Unhealthy"): void {
    this.list(this.#devices.map((d) => (d.id === id ? { ...d, health } : d)));
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
  }

  #handlers(): DevicePluginHandlers {
    const { prefer, preStart, answer, failAllocate } = this.#options;
    return {
      getDevicePluginOptions: async () => ({
        preStartRequired: preStart !== undefined,
        getPreferredAllocationAvailable: prefer !== undefined,
      }),
      listAndWatch: (_request, { signal }) => this.#lists(signal),
      getPreferredAllocation: async ({ containerRequests }) => ({
        containerResponses: containerRequests.map((r) => ({ deviceIDs: prefer?.(r.availableDeviceIDs, r.allocationSize) ?? [] })),
      }),
      allocate: async ({ containerRequests }) => {
        if (failAllocate !== undefined) throw new RpcError("INTERNAL", failAllocate);
        return {
          containerResponses: containerRequests.map(({ devicesIds }) => {
            this.allocated.push(devicesIds);
            return { ...answer, envs: { WIDGETS: [...devicesIds].sort().join(), ...answer?.envs } };
          }),
        };
      },
      preStartContainer: async ({ devicesIds }) => {
        preStart?.(devicesIds);
        return {};
      },
    };
  }

  async *#lists(signal: AbortSignal): AsyncIterable<Input<ListAndWatchResponse>> {
    while (!signal.aborted) {
      const devices = this.#devices;
      yield { devices };
      if (devices === this.#devices) await this.#changed(signal);
    }
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#wakes.delete(done);
        resolve();
      };
      this.#wakes.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }
}

/** Of plugins that are found by their socket. */
export interface WaitingPlugin extends Running {
  /** What the kubelet has told it. */
  readonly told: readonly RegistrationStatus[];
}

/** A socket in plugins_registry that says who it is. */
export async function servePluginRegistration(
  socketPath: string,
  info: { readonly type: string; readonly name: string; readonly endpoint?: string; readonly supportedVersions: readonly string[] },
): Promise<WaitingPlugin> {
  const told: RegistrationStatus[] = [];
  const handlers: RegistrationHandlers = {
    getInfo: async () => info,
    async notifyRegistrationStatus(status) {
      told.push(status);
      return {};
    },
  };
  const server = await serveRpc({
    endpoint: socketPath,
    services: [{ protocol: pluginRegistrationV1, service: "Registration", handlers }],
  });
  return { told, stop: () => server.stop() };
}
