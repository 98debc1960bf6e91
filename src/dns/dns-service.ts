// Makes a DNS server that runs beside the cluster the one of the cluster: the Service kube-system/kube-dns at its well-known
// address, without a selector, and an EndpointSlice with where the server listens. Who installs a DNS of his own (a Service
// kube-dns with a selector, or one that is not ours) has the address to himself: our endpoints are taken away.
import { semanticallyEqual } from "../api/meta/equality.ts";
import type { New } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { endpointslices, services } from "../api/resources.generated.ts";
import type { Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { Informer, InformerFactory } from "../client/informer.ts";
import { createWorkQueue, type WorkQueue } from "../client/work-queue.ts";

export interface DnsServiceDeps {
  readonly client: Client;
  /** Of services and EndpointSlices; started by whoever owns it. */
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Where the server listens. */
export interface DnsEndpoint {
  readonly address: string;
  /** UDP and TCP. */
  readonly port: number;
  readonly metricsPort: number;
}

export interface DnsService extends Running {
  /** The server listens there now; undefined where nobody could reach it. */
  moved(endpoint: DnsEndpoint | undefined): void;
}

const namespace = "kube-system";
const name = "kube-dns";
const sliceName = "kube-dns-coracle";
const managedBy = "app.kubernetes.io/managed-by";
const us = "coracle";

export function publishDnsService(deps: DnsServiceDeps, { clusterIP }: { readonly clusterIP: string }): DnsService {
  const published = new PublishedDns(deps, clusterIP);
  published.start();
  return published;
}

class PublishedDns implements DnsService {
  readonly #client: Client;
  readonly #logger: Logger;
  readonly #clusterIP: string;
  readonly #services: Informer<Service>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #queue: WorkQueue;
  readonly #stopping = new AbortController();
  readonly #handlers: { remove(): void }[] = [];
  #begun: Promise<void> | undefined;
  #endpoint: DnsEndpoint | undefined;
  /** Somebody else's Service has been seen. */
  #isForeign = false;

  constructor({ client, informers, clock, logger }: DnsServiceDeps, clusterIP: string) {
    this.#client = client;
    this.#logger = logger.named("dns-service");
    this.#clusterIP = clusterIP;
    this.#services = informers.informer(services);
    this.#slices = informers.informer(endpointslices);
    const backoff = { baseMs: 100, maxMs: 30_000 };
    const process = (_key: string, signal: AbortSignal) => this.#reconcile(signal);
    this.#queue = createWorkQueue({ name: "dns-service", clock, logger: this.#logger, workers: 1, deadlineMs: 30_000, backoff, process });
  }

  start(): void {
    const tell = (): void => this.#queue.add(name);
    const [ofService, ofSlice] = [tellIf(name, tell), tellIf(sliceName, tell)];
    this.#handlers.push(
      this.#services.addHandler({ onAdd: ofService, onUpdate: ofService, onDelete: ofService }),
      this.#slices.addHandler({ onAdd: ofSlice, onUpdate: ofSlice, onDelete: ofSlice }),
    );
    const { signal } = this.#stopping;
    this.#begun = Promise.all([this.#services.synced(signal), this.#slices.synced(signal)]).then(
      () => this.#queue.start(),
      () => undefined, // stopped before
    );
  }

  moved(to: DnsEndpoint | undefined): void {
    this.#endpoint = to;
    this.#queue.add(name);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error("stopped"));
    await this.#begun;
    for (const handler of this.#handlers) handler.remove();
    await this.#queue.stop();
  }

  async #reconcile(signal: AbortSignal): Promise<undefined> {
    const service = this.#services.get(`${namespace}/${name}`);
    const slice = this.#slices.get(`${namespace}/${sliceName}`);
    const isForeign = service !== undefined && !isOurs(service);
    if (isForeign !== this.#isForeign)
      this.#logger.info(
        isForeign ? "Service kube-system/kube-dns is another's: its DNS serves the cluster" : "Serving the cluster's DNS again",
      );
    this.#isForeign = isForeign;
    if (isForeign || !this.#endpoint) {
      if (slice) await ignoring("NotFound", this.#client.delete(endpointslices, { namespace, name: sliceName }, { signal }));
      return;
    }
    if (!service) await ignoring("AlreadyExists", this.#client.create(services, dnsService(this.#clusterIP), { signal }));
    await writeSlice(this.#client, slice, dnsSlice(this.#endpoint), signal);
  }
}

function tellIf(wanted: string, tell: () => void) {
  return ({ metadata }: Service | EndpointSlice): void => {
    if (metadata.namespace === namespace && metadata.name === wanted) tell();
  };
}

/** Made by us, and not taken over by pods since. */
function isOurs({ metadata, spec }: Service): boolean {
  return metadata.labels?.[managedBy] === us && Object.keys(spec?.selector ?? {}).length === 0;
}

async function writeSlice(client: Client, old: EndpointSlice | undefined, wanted: New<EndpointSlice>, signal: AbortSignal): Promise<void> {
  if (!old) {
    await ignoring("AlreadyExists", client.create(endpointslices, wanted, { signal }));
    return;
  }
  const { addressType, endpoints, ports } = wanted;
  if (old.addressType !== addressType) {
    // It cannot be changed; the deletion brings us here again.
    await ignoring("NotFound", client.delete(endpointslices, { namespace, name: sliceName }, { signal }));
    return;
  }
  const updated: EndpointSlice = { ...old, ...(endpoints ? { endpoints } : {}), ...(ports ? { ports } : {}) };
  if (!semanticallyEqual(old, updated)) await client.update(endpointslices, updated, { signal });
}

async function ignoring(reason: "NotFound" | "AlreadyExists", call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isStatus(error, reason)) throw error;
  }
}

function dnsService(clusterIP: string): New<Service> {
  return {
    metadata: {
      name,
      namespace,
      labels: { "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS", [managedBy]: us },
      annotations: { "prometheus.io/port": "9153", "prometheus.io/scrape": "true" },
    },
    spec: {
      clusterIP,
      ports: [
        { name: "dns", port: 53, protocol: "UDP", targetPort: 53 },
        { name: "dns-tcp", port: 53, protocol: "TCP", targetPort: 53 },
        { name: "metrics", port: 9153, protocol: "TCP", targetPort: 9153 },
      ],
    },
  };
}

function dnsSlice({ address, port, metricsPort }: DnsEndpoint): New<EndpointSlice> {
  return {
    metadata: {
      name: sliceName,
      namespace,
      labels: { "kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": us, "k8s-app": "kube-dns" },
    },
    addressType: address.includes(":") ? "IPv6" : "IPv4",
    endpoints: [{ addresses: [address], conditions: { ready: true, serving: true, terminating: false } }],
    ports: [
      { name: "dns", port, protocol: "UDP" },
      { name: "dns-tcp", port, protocol: "TCP" },
      { name: "metrics", port: metricsPort, protocol: "TCP" },
    ],
  };
}
