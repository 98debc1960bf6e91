// Wires an API server together: store, certificates, resources, authentication, authorization, admission, endpoints and
// the HTTPS port. The command, the all-in-one and the tests start the same wiring.
import { join } from "node:path";
import type { ResourceType } from "../../api/resource-type.ts";
import { registerFeatureMetrics } from "../../api/semantics/feature-gates.ts";
import type { AdmissionPlugin } from "../../apiserver/admission/admission.ts";
import { createAdmissionMetrics } from "../../apiserver/admission/admission-metrics.ts";
import {
  type AdmissionDependencies,
  type AdmissionOptions,
  createAdmissionPlugins,
} from "../../apiserver/admission/create-admission-plugins.ts";
import { type Aggregator, createAggregator } from "../../apiserver/aggregation/aggregator.ts";
import type { AuditStages } from "../../apiserver/audit/audit-stage.ts";
import { createAuthenticationMetrics } from "../../apiserver/authn/authentication-metrics.ts";
import { authenticationStage } from "../../apiserver/authn/authentication-stage.ts";
import { createImpersonationMetrics } from "../../apiserver/authn/impersonation-metrics.ts";
import { impersonationStage } from "../../apiserver/authn/impersonation-stage.ts";
import { createTokenTracking } from "../../apiserver/authn/legacy-token-tracking.ts";
import { authenticationReviews } from "../../apiserver/authn/reviews.ts";
import { tokenRequests } from "../../apiserver/authn/token-request.ts";
import { loopbackUser, type UserInfo } from "../../apiserver/authn/user.ts";
import { accessReviews } from "../../apiserver/authz/access-reviews.ts";
import { createAuthorizationMetrics } from "../../apiserver/authz/authorization-metrics.ts";
import { authorizationStage } from "../../apiserver/authz/authorization-stage.ts";
import type { Authorizer } from "../../apiserver/authz/authorizer.ts";
import { ensureVerb } from "../../apiserver/authz/ensure-verb.ts";
import { firstServiceIp } from "../../apiserver/bootstrap.ts";
import { createConnects, type KubeletAccess } from "../../apiserver/connect/connects.ts";
import { createPodLogMetrics } from "../../apiserver/connect/pod-log-metrics.ts";
import { versionInfo } from "../../apiserver/discovery/version-info.ts";
import type { EgressSelector } from "../../apiserver/egress/egress-selector.ts";
import { startFlowSchemaStatus } from "../../apiserver/flow-control/flow-schema-status.ts";
import { keepFlowControlDefaults } from "../../apiserver/flow-control/reconcile-defaults.ts";
import type { HealthCheck } from "../../apiserver/health.ts";
import { browserStages } from "../../apiserver/http/browser-headers.ts";
import type { EndpointSource } from "../../apiserver/http/endpoints.ts";
import { createFilterMetrics } from "../../apiserver/http/filter-metrics.ts";
import { createRequestMetrics } from "../../apiserver/http/request-metrics.ts";
import { createInProcessTransport } from "../../apiserver/in-process-transport.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import { type ComponentChecks, componentStatuses } from "../../apiserver/registry/component-statuses.ts";
import { createResourceHandler } from "../../apiserver/registry/handler.ts";
import type { Computed } from "../../apiserver/registry/handler-types.ts";
import { withEventTtl } from "../../apiserver/registry/resources/events.ts";
import { servedKinds } from "../../apiserver/registry/served-kinds.ts";
import { createServiceAllocators } from "../../apiserver/registry/service-allocators.ts";
import { createStorageFigures, registerStorageMetrics } from "../../apiserver/registry/storage-metrics.ts";
import { createResourceStores, type ResourceStores } from "../../apiserver/registry/stores.ts";
import { type ApiServer, createApiServer } from "../../apiserver/server.ts";
import { registerServerMetrics } from "../../apiserver/server-metrics.ts";
import { createWebhookClient } from "../../apiserver/webhook/create-webhook-client.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { createLogger, errorText, type Logger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { registerProcessMetrics } from "../../base/process-metrics.ts";
import { registerRegistryFigures } from "../../base/registry-figures.ts";
import type { Client } from "../../client/client.ts";
import { countedClient } from "../../client/counted-client.ts";
import { createClient } from "../../client/create-client.ts";
import { QueueFigures } from "../../client/queue-figures.ts";
import type { Transport } from "../../client/transport.ts";
import type { Dial } from "../../rpc/dial.ts";
import { tunnelAgents } from "../../rpc/tunnel.ts";
import { CommandError } from "../command-error.ts";
import { writeKubeconfig } from "../credentials/kubeconfig.ts";
import { loadOrCreatePki, type Pki, whyNotBelieved } from "../credentials/pki.ts";
import { writeUsersKubeconfig } from "../credentials/users-kubeconfig.ts";
import { readAdmissionOptions } from "./admission.ts";
import { advertiseAddressFor } from "./advertise-address.ts";
import { apiServerEndpoints, type ServerState } from "./apiserver-endpoints.ts";
import { createAudit } from "./audit.ts";
import { createAuthentication, tokenLimits } from "./authentication.ts";
import { type AuthenticationSources, openAuthenticationSources } from "./authentication-sources.ts";
import { openAuthorization } from "./authorization.ts";
import { bootstrap } from "./bootstrap-apiserver.ts";
import { serveCustomResources } from "./custom-resources.ts";
import { openEgress } from "./egress.ts";
import { openEncryption } from "./encryption.ts";
import { createFlowControl } from "./flow-control.ts";
import { loadKubeletClient } from "./kubelet-client.ts";
import { externalAddress, followCertificates, isEveryAddress, listen, urlHost } from "./listen-https.ts";
import { logLevelFor, openDebugEndpoints } from "./open-debugging.ts";
import { openStore, overrideChecks, storeElsewhere } from "./open-store.ts";
import { checkPeerAuthority, createPeers, peerChecks } from "./peers.ts";
import { openProxyClient } from "./proxy-client.ts";
import { servedApis } from "./served-apis.ts";
import { loadServingMaterial, type ServingMaterial } from "./serving-material.ts";
import { openTracing, type Tracing } from "./tracing.ts";

export interface StartApiServerDeps {
  readonly clock: Clock;
  /** Default: standard error, as the settings say. */
  readonly logger?: Logger;
  /** Reaches nodes and pods that are simulated in this process. Default: there are none. */
  readonly dial?: Dial | undefined;
}

export interface RunningApiServer extends Running {
  /** "https://127.0.0.1:6443". */
  readonly url: string;
  readonly port: number;
  /** PEM of the authority that signed the serving certificate. */
  readonly caPem: string;
  /** A kubeconfig of a cluster administrator. */
  readonly adminKubeconfig: string;
  readonly pki: Pki;
  readonly metrics: MetricsRegistry;
  /** Resolves when /readyz is ok, rejects when the cluster's own objects could not be made. */
  readonly ready: Promise<void>;
  /** Of the components of this process, for ComponentStatus; the others are asked where they serve their health. */
  readonly componentChecks: ComponentChecks;
  /** The way in for components of this process, under the identity they would have over HTTPS. */
  transportFor(user: UserInfo): Transport;
  clientFor(user: UserInfo): Client;
}

/** Serves when it resolves; rejects with CommandError for what the user has to mend. */
export async function startApiServer(settings: ApiServerSettings, deps: StartApiServerDeps): Promise<RunningApiServer> {
  const stack = new StopStack();
  try {
    return await start(settings, deps, stack);
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

async function start(settings: ApiServerSettings, deps: StartApiServerDeps, stack: StopStack): Promise<RunningApiServer> {
  const { clock } = deps;
  const level = logLevelFor(settings);
  const logger = deps.logger ?? createLogger("apiserver", level ? { ...settings.log, level } : settings.log);
  const metrics = new MetricsRegistry();
  // What can be wrong with the flags comes first: nothing is being written yet when it is refused.
  const authenticationLogger = logger.named("authentication");
  const egress = await openEgress(settings);
  const sources = stack.add(await openAuthenticationSources(settings, { egress, clock, logger: authenticationLogger, metrics }));
  const [admission, advertiseAddress] = await Promise.all([
    readAdmissionOptions(settings, { clock, logger: logger.named("admission"), metrics, stack }),
    settings.advertiseAddress ?? advertiseAddressFor(settings.bindAddress),
  ]);
  await checkPeerAuthority(settings);
  const tracing = stack.add(await openTracing(settings, { clock, logger: logger.named("tracing") }));
  const apis = await servedApis(settings, { clock, logger });
  const debugging = level && stack.add(await openDebugEndpoints(settings, { clock, logger: logger.named("debugging"), level }));
  const [{ store, others, prefix, compactor, checks: storeChecks, sizeBytes }, pki] = await Promise.all([
    openStore(settings, { clock, logger }),
    loadOrCreatePki({
      dataDir: settings.dataDir,
      serverNames: isEveryAddress(settings.bindAddress) ? [advertiseAddress] : [advertiseAddress, settings.bindAddress],
      serviceIp: firstServiceIp(settings.serviceClusterIpRange),
      clock,
    }),
  ]);
  stack.defer(() => store.close());
  for (const other of others) stack.defer(() => other.store.close());
  const disbelief = whyNotBelieved(pki, clock.now());
  if (disbelief !== undefined) logger.warn(`Nobody will believe the certificates: ${disbelief}`);
  const material = await loadServingMaterial(settings, pki, { clock, logger });
  const kubelets = {
    ...(await loadKubeletClient(settings.edge.kubelet, pki)),
    dial: deps.dial,
    agents: egress.cluster && tunnelAgents(egress.cluster),
  };
  const proxyClient = stack.add(await openProxyClient(settings, pki, { clock, logger }));
  stack.add(compactor);
  registerProcessMetrics(metrics, clock);
  registerRegistryFigures(metrics);
  metrics.hide(settings.operations.disabledMetrics);
  registerFeatureMetrics(metrics, settings.featureGates);
  const encryption = await openEncryption(settings, { clock, logger: logger.named("encryption"), metrics });
  if (encryption) stack.add(encryption);
  const stores = stack.add(
    createResourceStores(
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
        ...(others.length > 0 ? { keptIn: storeElsewhere(others, tracing) } : {}),
        ...(encryption ? { storeFor: encryption.storeFor } : {}),
      },
    ),
  );
  registerServerMetrics(metrics, stores, versionInfo());
  registerStorageMetrics(metrics, stores, sizeBytes);
  const state: ServerState = { ready: new Set(), stopping: false, port: settings.securePort };
  // What the pieces made here do from the moment on that they are made.
  for (const step of ["generic-apiserver-start-informers", "start-apiextensions-informers", "storage-object-count-tracker-hook"] as const)
    state.ready.add(step);
  state.ready.add("aggregator-reload-proxy-client-cert");
  const authorization = { egress, reader: stores.reader, clock, logger: logger.named("authorization"), metrics };
  const { authorizer } = stack.add(await openAuthorization(settings, authorization));
  const audit = await createAudit(settings.operations.audit, { egress, clock, logger: logger.named("audit"), metrics });
  if (audit) stack.add(audit);
  const queues = new QueueFigures(metrics);
  const aggregator = stack.add(
    createAggregator(
      {
        reader: stores.reader,
        clock,
        logger: logger.named("aggregator"),
        metrics,
        queues,
        clientCertificate: () => proxyClient.current(),
        tracer: tracing.tracer,
        tunnel: egress.cluster,
      },
      { requestTimeoutMs: settings.requestTimeoutMs, forwardsRedirects: settings.forwardsRedirects },
    ),
  );
  const componentChecks: ComponentChecks = new Map();
  const api = wire({
    computed: componentStatuses({ clock, components: componentChecks, stores: storeChecks }),
    stack,
    aggregator,
    audit: audit?.stages,
    tracing,
    debug: debugging?.atPort ?? [],
    checks: [...(encryption?.healthChecks ?? []), ...peerChecks(settings)],
    storeChecks: overrideChecks(others, settings),
    settings,
    admission,
    sources,
    authorizer,
    egress,
    material,
    clock,
    logger,
    stores,
    pki,
    kubelets,
    metrics,
    state,
    advertiseAddress,
  });
  state.ready.add("start-apiserver-admission-initializer");
  const transportFor = (user: UserInfo): Transport => createInProcessTransport(api, user, clock);
  const https = stack.add(await listen(api, settings, material, { clock, logger, metrics }));
  state.port = https.port;
  stack.defer(async () => {
    state.stopping = true;
    // Everything is served on until balancers have noticed.
    if (settings.edge.shutdown.delayMs > 0) await clock.sleep(settings.edge.shutdown.delayMs);
    if (settings.edge.shutdown.watchGraceMs === 0) aggregator.endWatches();
  });
  const client = countedClient(createClient(transportFor(loopbackUser)), { metrics, clock, host: `127.0.0.1:${https.port}` });
  stack.add(
    serveCustomResources({ stores, client, clock, metrics, queues, logger: logger.named("custom-resources") }, { egress, tracing }),
  );
  state.ready.add("start-apiextensions-controllers");
  stack.add(startFlowSchemaStatus({ reader: stores.reader, client, clock, queues, logger: logger.named("flow-control") }));
  stack.add(keepFlowControlDefaults(client, { clock, logger: logger.named("flow-control") }));
  state.ready.add("priority-and-fairness-config-consumer");
  state.ready.add("priority-and-fairness-filter");
  const authenticationMap = stack.add(
    followCertificates(material, https, { client, reader: stores.reader, clock, logger: authenticationLogger }),
  );
  const url = `https://${urlHost(settings.bindAddress)}:${https.port}`;
  const adminKubeconfig = join(settings.dataDir, "admin.kubeconfig");
  const administrator = { server: url, authority: pki.ca.pem.certificate, credentials: pki.admin, user: "kubernetes-admin" };
  const written = writeUsersKubeconfig(adminKubeconfig, administrator).catch((error: unknown) => {
    logger.warn("The administrator's kubeconfig is written anew", { file: adminKubeconfig, error: errorText(error) });
    return writeKubeconfig(adminKubeconfig, administrator);
  });
  const serves = (type: ResourceType): boolean => apis.definitions.some((definition) => definition.type === type);
  const peers = stack.add(
    createPeers({ stores, client, logger, metrics, queues, serves }, settings, { advertiseAddress, securePort: https.port }),
  );
  state.ready.add("peer-endpoint-reconciler-controller");
  state.ready.add("start-kube-apiserver-identity-lease-controller");
  state.ready.add("start-kube-apiserver-identity-lease-garbage-collector");
  const tokenTracking = stack.add(createTokenTracking({ client, reader: stores.reader, clock, logger: authenticationLogger }));
  const storageVersions = apis.definitions.some(({ type }) => type.resource === "storageversions");
  const facts = { serves, storageVersions, settings, authenticationMap, tokenTracking, peers, nowMs: clock.now() };
  const bootstrapped = bootstrap(client, state, facts);
  const ready = Promise.all([
    written,
    bootstrapped,
    aggregator.start(
      client,
      apis.definitions.map(({ type }) => type),
    ),
  ]).then(() => undefined);
  ready.catch((error: unknown) => logger.error("Bootstrap failed", { error }));
  if (settings.publishClusterInfo) {
    // Nobody waits for it: the cluster is ready before others may join.
    const info = { server: `https://${urlHost(advertiseAddress)}:${https.port}`, caPem: pki.ca.pem.certificate };
    const published = ready.then(async () => (await import("../../apiserver/node-joining.ts")).ensureNodeJoining(client, info));
    stack.defer(() => published.catch((error: unknown) => logger.warn("Publishing how to join failed", { error: errorText(error) })));
    published.catch(() => undefined);
  }
  return {
    url,
    port: https.port,
    caPem: pki.ca.pem.certificate,
    adminKubeconfig,
    pki,
    metrics,
    ready,
    componentChecks,
    transportFor,
    clientFor: (user) => createClient(transportFor(user)),
    stop: () => stack.stop(),
  };
}

interface Wiring {
  readonly computed: Computed;
  readonly stack: StopStack;
  readonly aggregator: Aggregator;
  readonly audit: AuditStages | undefined;
  readonly tracing: Tracing;
  readonly debug: readonly EndpointSource[];
  readonly checks: readonly HealthCheck[];
  readonly storeChecks: readonly HealthCheck[];
  readonly settings: ApiServerSettings;
  readonly admission: AdmissionOptions;
  readonly sources: AuthenticationSources;
  readonly authorizer: Authorizer;
  readonly egress: EgressSelector;
  readonly material: ServingMaterial;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stores: ResourceStores;
  readonly pki: Pki;
  readonly kubelets: KubeletAccess;
  readonly metrics: MetricsRegistry;
  readonly state: ServerState;
  readonly advertiseAddress: string;
}

function wire(w: Wiring): ApiServer {
  const { settings, sources, authorizer, clock, logger, stores, pki, metrics, state, advertiseAddress, aggregator, tracing } = w;
  const { reader } = stores;
  // What is inside the server has a client too, which goes through the server's own stages.
  const self: ApiServer = { handle: (request) => api.handle(request) };
  const client = createClient(createInProcessTransport(self, loopbackUser, clock));
  const {
    authenticators,
    anyToken,
    serviceAccountTokens: tokens,
  } = createAuthentication(settings, sources, {
    reader,
    client,
    clock,
    pki,
    logger: logger.named("authentication"),
    metrics,
    requestHeader: settings.featureGates.enabled("RemoteRequestHeaderUID")
      ? w.material.requestHeader
      : { ...w.material.requestHeader, uidHeaders: [] },
  });
  const filters = createFilterMetrics(metrics);
  const nodePorts = settings.serviceNodePortRange;
  const limits = tokenLimits(settings, sources);
  const anonymous = sources.anonymous.enabled && sources.anonymous.paths.length === 0;
  const resources = createResourceHandler(stores, {
    clock,
    minWatchTimeoutMs: settings.minWatchTimeoutMs,
    authorizer,
    admission: admissionPlugins(
      {
        reader,
        authorizer,
        client,
        clock,
        logger,
        metrics,
        webhooks: tracing.webhooks(w.stack.add(createWebhookClient({ clock }, { egress: w.egress }))),
        tracer: tracing.tracer,
        kinds: servedKinds(stores),
      },
      w.admission,
    ),
    admissionMetrics: createAdmissionMetrics(metrics, clock),
    creators: {
      ...accessReviews(authorizer),
      ...authenticationReviews({ tokens: anyToken, audiences: tokens.audiences, anonymous, clock }),
      ...tokenRequests({ tokens, client, clock, ...limits }),
    },
    hooks: {
      "/services": createServiceAllocators(stores, {
        serviceClusterIpRange: settings.serviceClusterIpRange,
        nodePorts: `${nodePorts.first}-${nodePorts.last}`,
        metrics,
      }),
    },
    connects: createConnects(reader, {
      ...w.kubelets,
      logMetrics: createPodLogMetrics(metrics),
      webSocketsToKubelets: settings.featureGates.enabled("ExtendWebSocketsToKubelet"),
      checkStreams: settings.featureGates.enabled("AuthorizePodWebsocketUpgradeCreatePermission")
        ? (context) => ensureVerb(authorizer, context, "create")
        : undefined,
    }),
    computed: w.computed,
  });
  const constrained = settings.featureGates.enabled("ConstrainedImpersonation");
  const impersonating = constrained ? "constrainedimpersonation" : "impersonation";
  const flowControl = w.stack.add(createFlowControl({ settings, stores, clock, metrics, filters }));
  const api = createApiServer(
    {
      edge: browserStages(settings.edge),
      authentication: authenticationStage({
        authenticators,
        anonymous: sources.anonymous,
        logger,
        metrics: createAuthenticationMetrics(metrics, clock, filters("authentication")),
      }),
      tracing: tracing.request,
      audit: w.audit && { ...w.audit, requests: tracing.stage("audit", w.audit.requests) },
      impersonation: tracing.stage(
        impersonating,
        impersonationStage(
          authorizer,
          constrained,
          createImpersonationMetrics(metrics, clock, () => filters(impersonating)),
        ),
      ),
      flowControl: tracing.stage("priorityandfairness", flowControl.stage),
      authorization: tracing.stage(
        "authorization",
        authorizationStage(authorizer, createAuthorizationMetrics(metrics, clock, filters("authorization"))),
      ),
      resources: aggregator.routed(tracing.resources(resources)),
      endpoints: aggregator.routed(
        apiServerEndpoints({
          stores,
          tokens,
          metrics,
          clock,
          logger,
          state,
          aggregator,
          flagTexts: settings.flagTexts,
          storageChecks: settings.storageChecks,
          cbor: settings.featureGates.enabled("CBORServingAndStorage"),
          keysUri: settings.authentication.serviceAccounts.jwksUri,
          checks: w.checks,
          overrideChecks: w.storeChecks,
          more: [...flowControl.endpoints, ...w.debug],
          address: () => externalAddress(settings.externalHostname ?? advertiseAddress, state.port),
        }),
      ),
      metrics: createRequestMetrics(metrics),
      clock,
      logger,
    },
    { requestTimeoutMs: settings.requestTimeoutMs },
  );
  return api;
}

function admissionPlugins(deps: AdmissionDependencies, options: AdmissionOptions): readonly AdmissionPlugin[] {
  try {
    return createAdmissionPlugins(deps, options);
  } catch (error) {
    throw new CommandError(`--enable-admission-plugins, --disable-admission-plugins: ${errorText(error)}`);
  }
}
