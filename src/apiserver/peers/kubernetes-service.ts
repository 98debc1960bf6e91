// The service "kubernetes" with the addresses of all API servers on the store. Each of them says every ten seconds that it
// lives, by a key that disappears 15 seconds later (masterleases/ADDRESS, upstream's key), and sets the endpoints to the
// servers that do; one that is stopped takes itself out. What somebody deletes or changes comes back the same way.
import type { FieldError } from "../../api/meta/field-error.ts";
import { parseIP } from "../../api/meta/ip.ts";
import type { KubernetesObject, New } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { endpointslices, endpoints as endpointsType, services } from "../../api/resources.generated.ts";
import type { Endpoints } from "../../api/types/core-v1.ts";
import type { EndpointSlice } from "../../api/types/discovery-v1.ts";
import { checkEndpointIP } from "../../api/validation/addresses.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client, NamedTarget } from "../../client/client.ts";
import { prefixEnd, type Store } from "../../storage/store.ts";
import { createMissing, find, firstServiceIp } from "../bootstrap.ts";
import { Kept } from "./kept.ts";

export interface KubernetesServiceDeps {
  readonly client: Client;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface KubernetesServiceOptions {
  /** Before every key of the store: "/registry/". */
  readonly prefix: string;
  readonly serviceClusterIpRange: string;
  /** Where pods reach this server. */
  readonly advertiseAddress: string;
  readonly securePort: number;
  /** Makes the service one with this port on every node. Default: it is a ClusterIP. */
  readonly nodePort?: number | undefined;
  /** Whether the endpoints are this server's business. Default true. */
  readonly keepsEndpoints?: boolean;
}

const periodMs = 10_000;
const leaseSeconds = 15;
const kubernetes: NamedTarget = { namespace: "default", name: "kubernetes" };
const serviceLabels = { component: "apiserver", provider: "kubernetes" };

export class KubernetesService implements Running {
  readonly #deps: KubernetesServiceDeps;
  readonly #options: KubernetesServiceOptions;
  readonly #leases: string;
  readonly #kept: Kept;
  #stopped = false;

  constructor(deps: KubernetesServiceDeps, options: KubernetesServiceOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#leases = `${options.prefix}masterleases/`;
    this.#kept = new Kept({ ...deps, what: "The service kubernetes", periodMs, reconcile: () => this.#reconcile() });
  }

  /** Resolves when service and endpoints are there; keeps them from then on. */
  start(): Promise<void> {
    return this.#kept.start();
  }

  /** Takes this server out of the endpoints. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.#kept.stop();
    if (!this.#keepsEndpoints) return;
    const { advertiseAddress } = this.#options;
    await this.#deps.store.transact({ conditions: [], operations: [{ type: "delete", key: this.#leases + advertiseAddress }] });
    await this.#publish(await this.#living());
  }

  get #keepsEndpoints(): boolean {
    return this.#options.keepsEndpoints ?? true;
  }

  async #reconcile(): Promise<void> {
    await this.#ensureService();
    if (!this.#keepsEndpoints) return;
    const { advertiseAddress } = this.#options;
    // A loopback address leads every pod to itself.
    if (isPublishable(advertiseAddress)) await this.#sayAlive(advertiseAddress);
    const living = await this.#living();
    await this.#publish(living);
  }

  async #sayAlive(ip: string): Promise<void> {
    const lease = { kind: "Endpoints", apiVersion: "v1", metadata: {}, subsets: [{ addresses: [{ ip }] }] };
    const value = Buffer.from(JSON.stringify(lease));
    await this.#deps.store.transact({
      conditions: [],
      operations: [{ type: "put", key: this.#leases + ip, value, ttlSeconds: leaseSeconds }],
    });
  }

  /** In the order of their addresses as text, as endpoints have them. */
  async #living(): Promise<readonly string[]> {
    const { items } = await this.#deps.store.range({ start: this.#leases, end: prefixEnd(this.#leases) });
    return items.map(({ key }) => key.slice(this.#leases.length));
  }

  async #ensureService(): Promise<void> {
    const { serviceClusterIpRange, securePort, nodePort } = this.#options;
    const clusterIP = firstServiceIp(serviceClusterIpRange);
    await createMissing(this.#deps.client, services, {
      metadata: { ...kubernetes, labels: serviceLabels },
      spec: {
        type: nodePort === undefined ? "ClusterIP" : "NodePort",
        clusterIP,
        clusterIPs: [clusterIP],
        ipFamilies: [familyOf(clusterIP)],
        ipFamilyPolicy: "SingleStack",
        sessionAffinity: "None",
        ports: [{ name: "https", protocol: "TCP", port: 443, targetPort: securePort, ...(nodePort === undefined ? {} : { nodePort }) }],
      },
    });
  }

  async #publish(addresses: readonly string[]): Promise<void> {
    const { securePort, advertiseAddress } = this.#options;
    const family = familyOf(advertiseAddress);
    const ports = [{ name: "https", port: securePort, protocol: "TCP" as const }];
    await this.#ensure(
      endpointsType,
      {
        metadata: { ...kubernetes, labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } },
        subsets: addresses.length > 0 ? [{ addresses: addresses.map((ip) => ({ ip })), ports }] : [],
      },
      ({ subsets = [] }: Endpoints) => {
        const [only] = subsets;
        if (addresses.length === 0) return subsets.length === 0;
        return (
          subsets.length === 1 &&
          sameTexts(
            only?.addresses?.map(({ ip }) => ip),
            addresses,
          ) &&
          only?.ports?.[0]?.port === securePort
        );
      },
    );
    const own = addresses.filter((address) => familyOf(address) === family);
    await this.#ensure(
      endpointslices,
      {
        metadata: { ...kubernetes, labels: { "kubernetes.io/service-name": "kubernetes" } },
        addressType: family,
        endpoints: own.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
        ports,
      },
      ({ endpoints = [], ports }: EndpointSlice) =>
        sameTexts(
          (endpoints ?? []).map(({ addresses: [ip = ""] }) => ip),
          own,
        ) && ports?.[0]?.port === securePort,
    );
  }

  async #ensure<T extends KubernetesObject>(type: ResourceType<T>, wanted: New<T>, isRight: (found: T) => boolean): Promise<void> {
    const { client } = this.#deps;
    const found = await find(client, type, kubernetes);
    if (!found) return createMissing(client, type, wanted);
    if (isRight(found)) return;
    try {
      // The kinds are the same: what was found with the contents it should have.
      await client.update(type, { ...found, ...wanted, metadata: { ...found.metadata, labels: wanted.metadata.labels } } as T);
    } catch (error) {
      // Another server is at it; what it writes is looked at again soon.
      if (!isStatus(error, "Conflict", "NotFound")) throw error;
    }
  }
}

const familyOf = (address: string): "IPv4" | "IPv6" => (parseIP(address)?.family === 6 ? "IPv6" : "IPv4");

const sameTexts = (a: readonly string[] = [], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, i) => text === b[i]);

/** Whether endpoints may carry it. */
function isPublishable(address: string): boolean {
  const problems: FieldError[] = [];
  checkEndpointIP(problems, "ip", address);
  return problems.length === 0;
}
