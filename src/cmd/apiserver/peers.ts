// What an API server does to be one of several on a store: the service "kubernetes" with its address among the others', its
// identity lease and the key that says where others reach it, and the repair of what the allocators hold.
import type { ApiServerSettings } from "../../apiserver/options.ts";
import { peerGate } from "../../apiserver/peer-options.ts";
import { apiServerIdentity, keepIdentityLease } from "../../apiserver/peers/identity-lease.ts";
import { KubernetesService } from "../../apiserver/peers/kubernetes-service.ts";
import { keepPeerEndpoint } from "../../apiserver/peers/peer-endpoints.ts";
import { startServiceRepair } from "../../apiserver/registry/service-repair.ts";
import type { ResourceStores } from "../../apiserver/registry/stores.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Client } from "../../client/client.ts";
import { createEventRecorder } from "../../client/event-recorder.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";

export interface Peers extends Running {
  /** Resolves when the service "kubernetes" is there. */
  startService(): Promise<void>;
  /** To be called when the system's namespaces and service ranges are there. */
  startLoops(): void;
}

export interface PeersDeps {
  readonly stores: ResourceStores;
  readonly client: Client;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly queues: QueueFigures;
}

export interface PeersOptions {
  /** By which the server is known. */
  readonly hostname: string;
  readonly advertiseAddress: string;
  readonly securePort: number;
}

export function createPeers(
  { stores, client, logger, metrics, queues }: PeersDeps,
  { serviceClusterIpRange, kubernetesServiceNodePort: nodePort, operations, featureGates, peers, etcd }: ApiServerSettings,
  { hostname, ...address }: PeersOptions,
): Peers {
  const { store, clock, prefix } = stores;
  const portErrors = metrics
    .counter(
      "apiserver_nodeport_repair_reconcile_errors_total",
      "[ALPHA] Number of reconciliation failures on the nodeport repair reconcile loop",
    )
    .series();
  const { host, port } = peers.advertiseAddress ?? { host: address.advertiseAddress, port: address.securePort };
  const peerAddress = featureGates.enabled(peerGate) ? (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`) : undefined;
  const stack = new StopStack();
  const service = new KubernetesService(
    { client, store, clock, logger: logger.named("kubernetes-service") },
    { prefix, serviceClusterIpRange, nodePort, ...address, keepsEndpoints: operations.endpointReconciler === "lease" },
  );
  return {
    startService() {
      stack.add(service);
      return service.start();
    },
    startLoops() {
      const known: Running[] = [];
      if (featureGates.enabled("APIServerIdentity"))
        known.push(keepIdentityLease({ client, clock, logger: logger.named("identity-lease") }, { hostname, peerAddress }));
      // Of another store there is no other server.
      if (etcd && featureGates.enabled(peerGate)) {
        const own = { prefix, identity: apiServerIdentity(hostname), address: { host, port } };
        known.push(keepPeerEndpoint({ store, clock, logger: logger.named("peer-endpoint") }, own));
      }
      // A store that does not answer is waited for once.
      stack.defer(() => Promise.all(known.map((running) => running.stop())).then(() => undefined));
      const recorder = stack.add(createEventRecorder({ client, clock, logger, component: "ipallocator-repair-controller" }));
      stack.add(startServiceRepair({ stores, client, recorder, queues, portErrors, logger: logger.named("service-repair") }));
    },
    stop: () => stack.stop(),
  };
}
