// What an API server does to be one of several on a store: the service "kubernetes" with its address among the others', its
// identity lease and the key that says where others reach it, the repair of what the allocators hold, and the election of those who
// have asked for a lease.
import { randomUUID } from "node:crypto";
import type { ResourceType } from "../../api/resource-type.ts";
import { ensureSystemNamespaces } from "../../apiserver/bootstrap.ts";
import { coordinationGate } from "../../apiserver/coordination-options.ts";
import type { HealthCheck } from "../../apiserver/health.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import { peerGate } from "../../apiserver/peer-options.ts";
import { DefaultServiceCidr, serviceCidrControllerName } from "../../apiserver/peers/default-service-cidr.ts";
import { apiServerIdentity, keepIdentityLease } from "../../apiserver/peers/identity-lease.ts";
import { Kept } from "../../apiserver/peers/kept.ts";
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
  /** Resolves when the system's namespaces are there. */
  startNamespaces(): Promise<void>;
  /** Resolves when the service "kubernetes" is there. */
  startService(): Promise<void>;
  /** Resolves when the ServiceCIDR "kubernetes" is there. */
  startServiceCidr(): Promise<void>;
  /** To be called when the system's namespaces and service ranges are there. */
  startLoops(): Promise<void>;
}

export interface PeersDeps {
  readonly stores: ResourceStores;
  readonly client: Client;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly queues: QueueFigures;
  readonly serves: (type: ResourceType) => boolean;
}

export interface PeersOptions {
  /** By which the server is known. */
  readonly hostname: string;
  readonly advertiseAddress: string;
  readonly securePort: number;
}

/** As upstream's, of loops that are not always there: they have begun as soon as the server has. */
export const peerChecks = ({ featureGates }: ApiServerSettings): readonly HealthCheck[] =>
  featureGates.enabled(coordinationGate)
    ? [{ name: "poststarthook/start-kube-apiserver-coordinated-leader-election-controller", check: () => undefined }]
    : [];

export function createPeers(
  { stores, client, logger, metrics, queues, serves }: PeersDeps,
  settings: ApiServerSettings,
  { hostname, ...address }: PeersOptions,
): Peers {
  const { serviceClusterIpRange, kubernetesServiceNodePort: nodePort, operations, featureGates, peers, etcd } = settings;
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
  const startElections = async (): Promise<void> => {
    const [{ leasecandidatesV1beta1 }, { startCoordinatedElection }] = await Promise.all([
      import("../../api/optional-resources.generated.ts"),
      import("../../apiserver/coordination/coordinated-election.ts"),
    ]);
    const named = logger.named("leader-election-controller");
    const deps = { reader: stores.reader, client, clock, queues, logger: named, identity: `${hostname}_${randomUUID()}` };
    if (serves(leasecandidatesV1beta1)) stack.add(startCoordinatedElection(deps, settings.coordination));
    else named.warn("Nobody is elected: --runtime-config does not turn on coordination.k8s.io/v1beta1");
  };
  return {
    startNamespaces() {
      const named = logger.named("system-namespaces");
      const reconcile = (): Promise<void> => ensureSystemNamespaces(client);
      return stack.add(new Kept({ clock, logger: named, what: "A system namespace", periodMs: 60_000, reconcile })).start();
    },
    startService() {
      stack.add(service);
      return service.start();
    },
    startServiceCidr() {
      const named = logger.named("service-cidr");
      const recorder = stack.add(createEventRecorder({ client, clock, logger, component: serviceCidrControllerName }));
      return stack.add(new DefaultServiceCidr({ client, clock, logger: named, recorder }, serviceClusterIpRange)).start();
    },
    async startLoops() {
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
      if (featureGates.enabled(coordinationGate)) await startElections();
    },
    stop: () => stack.stop(),
  };
}
