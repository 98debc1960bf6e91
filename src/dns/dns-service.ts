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
import type { InformerFactory } from "../client/informer.ts";
import { createWorkQueue } from "../client/work-queue.ts";

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
  const { informers, clock, client } = deps;
  const logger = deps.logger.named("dns-service");
  const serviceInformer = informers.informer(services);
  const sliceInformer = informers.informer(endpointslices);
  let endpoint: DnsEndpoint | undefined;
  let isForeign = false;
  const queue = createWorkQueue({
    name: "dns-service",
    clock,
    logger,
    workers: 1,
    deadlineMs: 30_000,
    backoff: { baseMs: 100, maxMs: 30_000 },
    async process(_key, signal) {
      const service = serviceInformer.get(`${namespace}/${name}`);
      const foreign = service !== undefined && !isOurs(service);
      if (foreign !== isForeign)
        logger.info(foreign ? "Service kube-system/kube-dns is another's: its DNS serves the cluster" : "Serving the cluster's DNS again");
      isForeign = foreign;
      const slice = sliceInformer.get(`${namespace}/${sliceName}`);
      if (foreign || !endpoint) {
        if (slice) await ignoring("NotFound", client.delete(endpointslices, { namespace, name: sliceName }, { signal }));
        return undefined;
      }
      if (!service) await ignoring("AlreadyExists", client.create(services, dnsService(clusterIP), { signal }));
      await writeSlice(client, slice, dnsSlice(endpoint), signal);
      return undefined;
    },
  });
  const tell = (): void => queue.add(name);
  const onService = { onAdd: tellIf(name, tell), onUpdate: tellIf(name, tell), onDelete: tellIf(name, tell) };
  const onSlice = { onAdd: tellIf(sliceName, tell), onUpdate: tellIf(sliceName, tell), onDelete: tellIf(sliceName, tell) };
  const handlers = [serviceInformer.addHandler(onService), sliceInformer.addHandler(onSlice)];
  const stopping = new AbortController();
  const started = Promise.all([serviceInformer.synced(stopping.signal), sliceInformer.synced(stopping.signal)]).then(
    () => queue.start(),
    () => undefined, // stopped before
  );
  return {
    moved(to) {
      endpoint = to;
      tell();
    },
    async stop() {
      stopping.abort(new Error("stopped"));
      await started;
      for (const handler of handlers) handler.remove();
      await queue.stop();
    },
  };
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
