// A driver of dynamic resources for tests: publishes its devices in a ResourceSlice, again when somebody removes it, registers with the kubelet by a socket in
// plugins_registry, prepares claims by naming a CDI device for each device that is allocated in them, and tells of the health
// of its devices.
import { join } from "node:path";
import { isStatus } from "../api/meta/status-error.ts";
import { resourceclaims, resourceslices } from "../api/resources.generated.ts";
import type { Device } from "../api/types/resource-v1.ts";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import { silentLogger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { InformerFactory } from "../client/informer.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import {
  type DeviceHealth,
  type DRAResourceHealthHandlers,
  draHealthV1alpha1,
  type NodeWatchResourcesResponse,
} from "../kubelet/dra/generated/dra-health-v1alpha1.ts";
import { type Claim, type DRAPluginHandlers, draV1, type NodePrepareResourceResponse } from "../kubelet/dra/generated/dra-v1.ts";
import type { Input } from "../rpc/protocol.ts";
import { serveRpc } from "../rpc/server.ts";
import { servePluginRegistration, type WaitingPlugin } from "./sample-device-plugin.ts";

export interface SampleDraDriverOptions {
  readonly client: Client;
  readonly clock: Clock;
  /** The kubelet's. */
  readonly rootDirectory: string;
  readonly nodeName: string;
  /** "gpu.example.com". */
  readonly driver: string;
  readonly devices: readonly Device[];
  /** Of its gRPC service. Default v1. */
  readonly version?: "v1" | "v1beta1";
  /** Default: it says nothing of health. */
  readonly tellsHealth?: boolean;
}

export class SampleDraDriver implements Running {
  /** "prepare NAME" and "unprepare NAME", in order. */
  readonly calls: string[] = [];
  /** By UID of the claim. */
  readonly prepared = new Set<string>();
  /** Preparing, or undoing it, fails for each claim with this message. */
  failure: string | undefined;
  /** What it publishes, also when it publishes again. */
  devices: readonly Device[];
  readonly #options: SampleDraDriverOptions;
  readonly #wakes = new Set<() => void>();
  #health: readonly Input<DeviceHealth>[] = [];
  #server: Running | undefined;
  #registration: WaitingPlugin | undefined;
  #informers: InformerFactory | undefined;

  constructor(options: SampleDraDriverOptions) {
    this.#options = options;
    this.devices = options.devices;
  }

  /** What the kubelet has answered to its registration. */
  get told(): WaitingPlugin["told"] {
    return this.#registration?.told ?? [];
  }

  /** Serves, waits to be registered, and publishes its devices. */
  async start(): Promise<void> {
    const { rootDirectory, driver, version = "v1", tellsHealth = false } = this.#options;
    const endpoint = join(rootDirectory, "plugins", driver, "dra.sock");
    const protocol = version === "v1" ? draV1 : { ...draV1, package: "k8s.io.kubelet.pkg.apis.dra.v1beta1" };
    const services = [
      { protocol, service: "DRAPlugin", handlers: this.#handlers() },
      ...(tellsHealth ? [{ protocol: draHealthV1alpha1, service: "DRAResourceHealth", handlers: this.#healthHandlers() }] : []),
    ];
    this.#server = await serveRpc({ endpoint, services });
    const info = { type: "DRAPlugin", name: driver, endpoint, supportedVersions: [`${version}.DRAPlugin`] };
    this.#registration = await servePluginRegistration(join(rootDirectory, "plugins_registry", `${driver}-reg.sock`), info);
    await this.#publish();
    this.#informers = createInformerFactory(this.#options.client, { clock: this.#options.clock, logger: silentLogger });
    this.#informers.informer(resourceslices).addHandler({ onDelete: (slice) => void (slice.spec.driver === driver && this.#publish()) });
    this.#informers.start();
  }

  async stop(): Promise<void> {
    await this.#informers?.stop();
    await this.#registration?.stop();
    await this.#server?.stop();
  }

  /** Its devices, as one pool of the node's name. */
  async #publish(): Promise<void> {
    const { client, nodeName, driver } = this.#options;
    const devices = [...this.devices];
    const pool = { name: nodeName, generation: 1, resourceSliceCount: 1 };
    try {
      await client.create(resourceslices, { metadata: { name: `${nodeName}-${driver}` }, spec: { driver, nodeName, pool, devices } });
    } catch (error) {
      if (!isStatus(error, "AlreadyExists")) throw error;
    }
  }

  tellHealth(device: string, health: DeviceHealth["health"], message = ""): void {
    const { nodeName: poolName } = this.#options;
    const others = this.#health.filter((each) => each.device?.deviceName !== device);
    this.#health = [...others, { device: { poolName, deviceName: device }, health, message }];
    for (const wake of this.#wakes) wake();
  }

  #handlers(): DRAPluginHandlers {
    return {
      nodePrepareResources: async ({ claims }) => ({
        claims: Object.fromEntries(await Promise.all(claims.map(async (claim) => [claim.uid, await this.#prepare(claim)] as const))),
      }),
      nodeUnprepareResources: async ({ claims }) => ({
        claims: Object.fromEntries(claims.map((claim) => [claim.uid, this.#unprepare(claim)])),
      }),
    };
  }

  async #prepare({ namespace, name, uid }: Claim): Promise<Input<NodePrepareResourceResponse>> {
    this.calls.push(`prepare ${name}`);
    if (this.failure !== undefined) return { error: this.failure };
    const { client, driver } = this.#options;
    const claim = await client.get(resourceclaims, { namespace, name });
    this.prepared.add(uid);
    const own = (claim.status?.allocation?.devices?.results ?? []).filter((result) => result.driver === driver);
    return {
      devices: own.map(({ request, pool, device, shareID }) => ({
        ...{
          requestNames: [request.split("/")[0] ?? ""],
          poolName: pool,
          deviceName: device,
          cdiDeviceIds: [`${driver}/device=${device}`],
        },
        ...(shareID === undefined ? {} : { shareId: shareID }),
      })),
    };
  }

  #unprepare({ name, uid }: Claim): { readonly error?: string } {
    this.calls.push(`unprepare ${name}`);
    if (this.failure !== undefined) return { error: this.failure };
    this.prepared.delete(uid);
    return {};
  }

  #healthHandlers(): DRAResourceHealthHandlers {
    return { nodeWatchResources: (_request, { signal }) => this.#healths(signal) };
  }

  async *#healths(signal: AbortSignal): AsyncIterable<Input<NodeWatchResourcesResponse>> {
    while (!signal.aborted) {
      const devices = this.#health;
      yield { devices };
      if (devices !== this.#health) continue;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#wakes.delete(done);
          resolve();
        };
        this.#wakes.add(done);
        signal.addEventListener("abort", done, { once: true });
      });
    }
  }
}
