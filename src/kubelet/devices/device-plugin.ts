// The connection to one device plugin: its options, its list of devices for as long as it is there, and the calls to it,
// each with a deadline.
import { connectRpc, type RpcConnection } from "../../rpc/client.ts";
import type { ConnectedPlugin } from "./device-inventory.ts";
import { type ContainerAllocateResponse, type Device, type DevicePlugin, devicePluginV1beta1 } from "./generated/device-plugin-v1beta1.ts";

const connectTimeoutMs = 10_000;
const allocateTimeoutMs = 60_000;
const preStartTimeoutMs = 30_000;

export class DevicePluginConnection implements ConnectedPlugin {
  readonly #connection: RpcConnection;
  readonly #plugin: DevicePlugin;
  readonly #abort = new AbortController();
  preStartRequired = false;
  hasPreferences = false;

  constructor(socketPath: string) {
    this.#connection = connectRpc({ endpoint: socketPath, timeoutMs: allocateTimeoutMs });
    this.#plugin = this.#connection.service<DevicePlugin>(devicePluginV1beta1, "DevicePlugin");
  }

  /** Resolves when the plugin has answered. */
  async connect(): Promise<void> {
    const { signal } = this.#abort;
    await this.#connection.ready({ timeoutMs: connectTimeoutMs, signal });
    const options = await this.#plugin.getDevicePluginOptions({}, { timeoutMs: connectTimeoutMs, signal });
    this.preStartRequired = options.preStartRequired;
    this.hasPreferences = options.getPreferredAllocationAvailable;
  }

  /** Every list of devices the plugin sends; ends, or throws, when the plugin has gone. */
  async *lists(): AsyncIterable<readonly Device[]> {
    for await (const { devices } of this.#plugin.listAndWatch({}, { signal: this.#abort.signal })) yield devices;
  }

  async allocate(ids: readonly string[]): Promise<ContainerAllocateResponse> {
    const { containerResponses } = await this.#plugin.allocate({ containerRequests: [{ devicesIds: ids }] }, this.#call());
    const [answer] = containerResponses;
    if (!answer)
      throw new Error("no containers return in allocation response &AllocateResponse{ContainerResponses:[]*ContainerAllocateResponse{},}");
    return answer;
  }

  async preferred(request: { readonly available: readonly string[]; readonly mustInclude: readonly string[]; readonly size: number }) {
    const { available: availableDeviceIDs, mustInclude: mustIncludeDeviceIDs, size: allocationSize } = request;
    const asked = { containerRequests: [{ availableDeviceIDs, mustIncludeDeviceIDs, allocationSize }] };
    const { containerResponses } = await this.#plugin.getPreferredAllocation(asked, this.#call());
    return containerResponses[0]?.deviceIDs ?? [];
  }

  async preStart(ids: readonly string[]): Promise<void> {
    await this.#plugin.preStartContainer({ devicesIds: ids }, { ...this.#call(), timeoutMs: preStartTimeoutMs });
  }

  close(): void {
    this.#abort.abort(new Error("the device plugin was disconnected"));
    this.#connection.close();
  }

  #call(): { readonly signal: AbortSignal } {
    return { signal: this.#abort.signal };
  }
}
