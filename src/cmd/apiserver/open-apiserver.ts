// Opens what an API server is made of, in the order in which it can be refused: first what the flags and their files say, then
// the data (store, certificates, keys), then what reads them. Nothing is served yet; the stack owns whatever runs already.

import { hostname as machineName } from "node:os";
import { registerFeatureMetrics } from "../../api/semantics/feature-gates.ts";
import type { AdmissionOptions } from "../../apiserver/admission/create-admission-plugins.ts";
import { type Aggregator, createAggregator } from "../../apiserver/aggregation/aggregator.ts";
import type { AuditStages } from "../../apiserver/audit/audit-stage.ts";
import type { Authorizer } from "../../apiserver/authz/authorizer.ts";
import { firstServiceIp } from "../../apiserver/bootstrap.ts";
import type { KubeletAccess } from "../../apiserver/connect/connects.ts";
import { versionInfo } from "../../apiserver/discovery/version-info.ts";
import type { EgressSelector } from "../../apiserver/egress/egress-selector.ts";
import type { Encryption } from "../../apiserver/encryption/encryption.ts";
import type { HealthCheck } from "../../apiserver/health.ts";
import type { EndpointSource } from "../../apiserver/http/endpoints.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { PeerProxy } from "../../apiserver/peer-proxy/peer-proxy.ts";
import { apiServerIdentity } from "../../apiserver/peers/identity-lease.ts";
import { withEventTtl } from "../../apiserver/registry/resources/events.ts";
import { createStorageFigures, registerStorageMetrics } from "../../apiserver/registry/storage-metrics.ts";
import { createResourceStores, type ResourceStores } from "../../apiserver/registry/stores.ts";
import { registerServerMetrics } from "../../apiserver/server-metrics.ts";
import type { Clock } from "../../base/clock.ts";
import type { StopStack } from "../../base/lifecycle.ts";
import { createLogger, type Logger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { registerProcessMetrics } from "../../base/process-metrics.ts";
import { registerRegistryFigures } from "../../base/registry-figures.ts";
import { QueueFigures } from "../../client/queue-figures.ts";
import type { Dial } from "../../rpc/dial.ts";
import { tunnelAgents } from "../../rpc/tunnel.ts";
import { loadOrCreatePki, type Pki, whyNotBelieved } from "../credentials/pki.ts";
import { readAdmissionOptions } from "./admission.ts";
import { advertiseAddressFor } from "./advertise-address.ts";
import { createAudit } from "./audit.ts";
import { type AuthenticationSources, openAuthenticationSources } from "./authentication-sources.ts";
import { openAuthorization } from "./authorization.ts";
import { openEgress } from "./egress.ts";
import { openEncryption } from "./encryption.ts";
import { openKubeletClient } from "./kubelet-client.ts";
import { isEveryAddress } from "./listen-https.ts";
import { logLevelFor, openDebugEndpoints } from "./open-debugging.ts";
import { type OpenStore, openStore, overrideChecks, storeElsewhere } from "./open-store.ts";
import { openPeerProxy, readPeerAuthority } from "./peer-proxy.ts";
import { openProxyClient } from "./proxy-client.ts";
import { type ServedApis, servedApis } from "./served-apis.ts";
import { loadServingMaterial, type ServingMaterial } from "./serving-material.ts";
import { openTracing, type Tracing } from "./tracing.ts";

export interface StartApiServerDeps {
  readonly clock: Clock;
  /** Default: standard error, as the settings say. */
  readonly logger?: Logger;
  /** Reaches nodes and pods that are simulated in this process. Default: there are none. */
  readonly dial?: Dial | undefined;
  /** By which the server is known among those of its store. Default: the machine's name. */
  readonly hostname?: string;
}

/** What everything in a server is given. */
export interface ApiServerBase {
  readonly settings: ApiServerSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly queues: QueueFigures;
  /** By which the server is known among those of its store. */
  readonly hostname: string;
  /** Owns what runs. */
  readonly stack: StopStack;
}

/** What the flags and the files say that they name. */
interface Configuration {
  readonly egress: EgressSelector;
  readonly sources: AuthenticationSources;
  readonly admission: AdmissionOptions;
  readonly advertiseAddress: string;
  /** PEM of what other servers of the store are believed by; undefined where they are not asked. */
  readonly peerAuthority: string | undefined;
  readonly tracing: Tracing;
  readonly apis: ServedApis;
  /** Endpoints for debugging at the server's own port. */
  readonly debug: readonly EndpointSource[];
}

/** What is kept from one run to the next, and what reads it. */
interface Data {
  readonly stores: ResourceStores;
  readonly pki: Pki;
  readonly material: ServingMaterial;
  readonly kubelets: KubeletAccess;
  readonly encryption: Encryption | undefined;
  readonly authorizer: Authorizer;
  readonly audit: AuditStages | undefined;
  readonly aggregator: Aggregator;
  /** Reaches other servers of the store, where it is to. */
  readonly peerProxy: PeerProxy | undefined;
  /** Ask each server that keeps the objects. */
  readonly storeChecks: OpenStore["checks"];
  /** Of the stores that hold single resources. */
  readonly overrideChecks: readonly HealthCheck[];
}

export interface OpenedApiServer extends ApiServerBase, Configuration, Data {}

/** Rejects with CommandError for what the user has to mend. */
export async function openApiServer(settings: ApiServerSettings, deps: StartApiServerDeps, stack: StopStack): Promise<OpenedApiServer> {
  const level = logLevelFor(settings);
  const logger = deps.logger ?? createLogger("apiserver", level ? { ...settings.log, level } : settings.log);
  const metrics = new MetricsRegistry();
  const base = {
    settings,
    clock: deps.clock,
    logger,
    metrics,
    queues: new QueueFigures(metrics),
    hostname: deps.hostname ?? machineName(),
    stack,
  };
  const configuration = await openConfiguration(base, level);
  registerProcessMetrics(metrics, base.clock);
  registerRegistryFigures(metrics);
  metrics.hide(settings.operations.disabledMetrics);
  registerFeatureMetrics(metrics, settings.featureGates);
  return { ...base, ...configuration, ...(await openData(base, configuration, deps.dial)) };
}

/** What can be wrong with the flags comes first: nothing is being written yet when it is refused. */
async function openConfiguration(base: ApiServerBase, level: ReturnType<typeof logLevelFor>): Promise<Configuration> {
  const { settings, clock, logger, metrics, stack } = base;
  const egress = await openEgress(settings);
  const authentication = { egress, clock, logger: logger.named("authentication"), metrics };
  const sources = stack.add(await openAuthenticationSources(settings, authentication));
  const [admission, advertiseAddress] = await Promise.all([
    readAdmissionOptions(settings, { clock, logger: logger.named("admission"), metrics, stack }),
    settings.advertiseAddress ?? advertiseAddressFor(settings.bindAddress),
  ]);
  const peerAuthority = await readPeerAuthority(settings);
  const tracing = stack.add(await openTracing(settings, { clock, logger: logger.named("tracing") }));
  const apis = await servedApis(settings, { clock, logger });
  const debugging = level && stack.add(await openDebugEndpoints(settings, { clock, logger: logger.named("debugging"), level }));
  return { egress, sources, admission, advertiseAddress, peerAuthority, tracing, apis, debug: debugging?.atPort ?? [] };
}

async function openData(base: ApiServerBase, configuration: Configuration, dial: Dial | undefined): Promise<Data> {
  const { settings, clock, logger, metrics, stack } = base;
  const { egress, advertiseAddress, tracing } = configuration;
  const [opened, pki] = await Promise.all([
    openStore(settings, { clock, logger }),
    loadOrCreatePki({
      dataDir: settings.dataDir,
      serverNames: isEveryAddress(settings.bindAddress) ? [advertiseAddress] : [advertiseAddress, settings.bindAddress],
      serviceIp: firstServiceIp(settings.serviceClusterIpRange),
      clock,
    }),
  ]);
  stack.defer(() => opened.store.close());
  for (const other of opened.others) stack.defer(() => other.store.close());
  const disbelief = whyNotBelieved(pki, clock.now());
  if (disbelief !== undefined) logger.warn(`Nobody will believe the certificates: ${disbelief}`);
  const material = await loadServingMaterial(settings, pki, { clock, logger });
  const kubelets = {
    ...stack.add(await openKubeletClient(settings.edge.kubelet, pki, { clock, logger })).access,
    dial,
    agents: egress.cluster && tunnelAgents(egress.cluster),
  };
  const proxyClient = stack.add(await openProxyClient(settings, pki, { clock, logger }));
  stack.add(opened.compactor);
  const encryption = await openEncryption(settings, { clock, logger: logger.named("encryption"), metrics });
  if (encryption) stack.add(encryption);
  const stores = stack.add(openResourceStores(base, configuration, { opened, encryption }));
  const authorization = { egress, reader: stores.reader, clock, logger: logger.named("authorization"), metrics };
  const { authorizer } = stack.add(await openAuthorization(settings, authorization));
  const audit = await createAudit(settings.operations.audit, { egress, clock, logger: logger.named("audit"), metrics });
  if (audit) stack.add(audit);
  const remote = {
    clock,
    metrics,
    queues: base.queues,
    clientCertificate: () => proxyClient.current(),
    tracer: tracing.tracer,
  };
  const aggregator = stack.add(
    createAggregator(
      {
        ...remote,
        reader: stores.reader,
        logger: logger.named("aggregator"),
        tunnel: egress.cluster,
      },
      { requestTimeoutMs: settings.requestTimeoutMs, forwardsRedirects: settings.forwardsRedirects },
    ),
  );
  const peerProxy =
    configuration.peerAuthority === undefined
      ? undefined
      : await openPeerProxy(
          settings,
          {
            ...remote,
            stores,
            stack,
            logger: logger.named("peer-proxy"),
            tunnel: egress.controlplane,
            authority: configuration.peerAuthority,
          },
          apiServerIdentity(base.hostname),
        );
  return {
    stores,
    pki,
    material,
    kubelets,
    encryption,
    authorizer,
    audit: audit?.stages,
    aggregator,
    peerProxy,
    storeChecks: opened.checks,
    overrideChecks: overrideChecks(opened.others, settings),
  };
}

/** What holds the objects of all resources: in the store, or in one of their own; encrypted or not. */
function openResourceStores(
  { settings, clock, logger, metrics }: ApiServerBase,
  { apis, tracing }: Configuration,
  { opened, encryption }: { readonly opened: OpenStore; readonly encryption: Encryption | undefined },
): ResourceStores {
  const { store, others, prefix, sizeBytes } = opened;
  const stores = createResourceStores(
    {
      ...apis,
      store: tracing.store(store, settings.storage),
      clock,
      definitions: withEventTtl(apis.definitions, settings.operations.eventTtlMs / 1000),
    },
    {
      log: logger.named("watch-cache"),
      prefix,
      figuresOf: createStorageFigures(metrics, clock),
      shards: settings.featureGates.enabled("ShardedListAndWatch"),
      ...(others.length > 0 ? { keptIn: storeElsewhere(others, tracing) } : {}),
      ...(encryption ? { storeFor: encryption.storeFor } : {}),
    },
  );
  registerServerMetrics(metrics, stores, versionInfo());
  registerStorageMetrics(metrics, stores, sizeBytes);
  return stores;
}
