// What an API server does to be one of several on a store: the service "kubernetes" with its address among the others', its
// identity lease, the repair of what the allocators hold, and the election of those who have asked for a lease.
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import type { ResourceType } from "../../api/resource-type.ts";
import { AuthorityBundle } from "../../apiserver/authn/client-authorities.ts";
import { coordinationGate } from "../../apiserver/coordination-options.ts";
import type { HealthCheck } from "../../apiserver/health.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import { peerGate } from "../../apiserver/peer-options.ts";
import { keepIdentityLease } from "../../apiserver/peers/identity-lease.ts";
import { KubernetesService } from "../../apiserver/peers/kubernetes-service.ts";
import { startServiceRepair } from "../../apiserver/registry/service-repair.ts";
import type { ResourceStores } from "../../apiserver/registry/stores.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Client } from "../../client/client.ts";
import { createEventRecorder } from "../../client/event-recorder.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";
import { CommandError } from "../command-error.ts";

export interface Peers extends Running {
  /** Resolves when the service "kubernetes" is there. */
  startService(): Promise<void>;
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

/** Throws CommandError for a --peer-ca-file that is no authority's. */
export async function checkPeerAuthority({ peers: { caFile } }: ApiServerSettings): Promise<void> {
  if (caFile === undefined) return;
  try {
    new AuthorityBundle(await readFile(caFile, "utf8"));
  } catch (error) {
    throw new CommandError(`--peer-ca-file: ${errorText(error)}`);
  }
}

/** As upstream's, of loops that are not always there: they have begun as soon as the server has. */
export const peerChecks = ({ featureGates }: ApiServerSettings): readonly HealthCheck[] =>
  featureGates.enabled(coordinationGate)
    ? [{ name: "poststarthook/start-kube-apiserver-coordinated-leader-election-controller", check: () => undefined }]
    : [];

export function createPeers(
  { stores, client, logger, metrics, queues, serves }: PeersDeps,
  { serviceClusterIpRange, kubernetesServiceNodePort: nodePort, operations, featureGates, peers, coordination }: ApiServerSettings,
  address: { readonly advertiseAddress: string; readonly securePort: number },
): Peers {
  const { store, clock, prefix } = stores;
  const portErrors = metrics
    .counter(
      "apiserver_nodeport_repair_reconcile_errors_total",
      "[ALPHA] Number of reconciliation failures on the nodeport repair reconcile loop",
    )
    .series();
  const { advertiseAddress: host, securePort } = address;
  const ownAddress = host.includes(":") ? `[${host}]:${securePort}` : `${host}:${securePort}`;
  const peerAddress = featureGates.enabled(peerGate) ? (peers.advertiseAddress ?? ownAddress) : undefined;
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
    const deps = { reader: stores.reader, client, clock, queues, logger: named, identity: `${hostname()}_${randomUUID()}` };
    if (serves(leasecandidatesV1beta1)) stack.add(startCoordinatedElection(deps, coordination));
    else named.warn("Nobody is elected: --runtime-config does not turn on coordination.k8s.io/v1beta1");
  };
  return {
    startService() {
      stack.add(service);
      return service.start();
    },
    async startLoops() {
      if (featureGates.enabled("APIServerIdentity"))
        stack.add(keepIdentityLease({ client, clock, logger: logger.named("identity-lease") }, { hostname: hostname(), peerAddress }));
      const recorder = stack.add(createEventRecorder({ client, clock, logger, component: "ipallocator-repair-controller" }));
      stack.add(startServiceRepair({ stores, client, recorder, queues, portErrors, logger: logger.named("service-repair") }));
      if (featureGates.enabled(coordinationGate)) await startElections();
    },
    stop: () => stack.stop(),
  };
}
