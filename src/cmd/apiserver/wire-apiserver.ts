// Wires the stages that a request passes (server.ts) and what answers at their end: the resources and the other endpoints.

import type { AdmissionPlugin } from "../../apiserver/admission/admission.ts";
import { createAdmissionMetrics } from "../../apiserver/admission/admission-metrics.ts";
import {
  type AdmissionDependencies,
  type AdmissionOptions,
  createAdmissionPlugins,
} from "../../apiserver/admission/create-admission-plugins.ts";
import { createAuthenticationMetrics } from "../../apiserver/authn/authentication-metrics.ts";
import { authenticationStage } from "../../apiserver/authn/authentication-stage.ts";
import { createImpersonationMetrics } from "../../apiserver/authn/impersonation-metrics.ts";
import { impersonationStage } from "../../apiserver/authn/impersonation-stage.ts";
import { authenticationReviews } from "../../apiserver/authn/reviews.ts";
import { tokenRequests } from "../../apiserver/authn/token-request.ts";
import { loopbackUser } from "../../apiserver/authn/user.ts";
import { accessReviews } from "../../apiserver/authz/access-reviews.ts";
import { createAuthorizationMetrics } from "../../apiserver/authz/authorization-metrics.ts";
import { authorizationStage } from "../../apiserver/authz/authorization-stage.ts";
import { ensureVerb } from "../../apiserver/authz/ensure-verb.ts";
import { createConnects } from "../../apiserver/connect/connects.ts";
import { createPodLogMetrics } from "../../apiserver/connect/pod-log-metrics.ts";
import { browserStages } from "../../apiserver/http/browser-headers.ts";
import { createFilterMetrics } from "../../apiserver/http/filter-metrics.ts";
import { createRequestMetrics } from "../../apiserver/http/request-metrics.ts";
import { createInProcessTransport } from "../../apiserver/in-process-transport.ts";
import { peerGate } from "../../apiserver/peer-options.ts";
import { type ComponentChecks, componentStatuses } from "../../apiserver/registry/component-statuses.ts";
import { createResourceHandler } from "../../apiserver/registry/handler.ts";
import { servedKinds } from "../../apiserver/registry/served-kinds.ts";
import { createServiceAllocators } from "../../apiserver/registry/service-allocators.ts";
import { type ApiServer, createApiServer } from "../../apiserver/server.ts";
import { createWebhookClient } from "../../apiserver/webhook/create-webhook-client.ts";
import { errorText } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { createClient } from "../../client/create-client.ts";
import { CommandError } from "../command-error.ts";
import { apiServerEndpoints, type ServerState } from "./apiserver-endpoints.ts";
import { type Authentication, createAuthentication, tokenLimits } from "./authentication.ts";
import { createFlowControl } from "./flow-control.ts";
import { externalAddress } from "./listen-https.ts";
import type { OpenedApiServer } from "./open-apiserver.ts";
import { peerChecks } from "./peers.ts";

export interface WiringOptions {
  readonly state: ServerState;
  /** Of the components of this process. */
  readonly componentChecks: ComponentChecks;
}

/** Throws CommandError for admission plugins that cannot be. */
export function wireApiServer(opened: OpenedApiServer, options: WiringOptions): ApiServer {
  const { settings, clock, logger, metrics, stack, stores, sources, authorizer, aggregator, peerProxy, tracing } = opened;
  // What is inside the server has a client too, which goes through the server's own stages.
  const self: ApiServer = { handle: (request) => api.handle(request) };
  const client = createClient(createInProcessTransport(self, loopbackUser, clock));
  const authentication = authenticationOf(opened, client);
  const filters = createFilterMetrics(metrics);
  const flowControl = stack.add(createFlowControl({ settings, stores, clock, metrics, filters }));
  const resources = resourceHandler(opened, { client, authentication, componentChecks: options.componentChecks });
  const served = aggregator.routed(tracing.resources(resources));
  const endpoints = apiServerEndpoints({
    stores,
    tokens: authentication.serviceAccountTokens,
    metrics,
    clock,
    logger,
    state: options.state,
    aggregator,
    peerProxy,
    countsPeers: settings.featureGates.enabled(peerGate),
    flagTexts: settings.flagTexts,
    storageChecks: settings.storageChecks,
    cbor: settings.featureGates.enabled("CBORServingAndStorage"),
    keysUri: settings.authentication.serviceAccounts.jwksUri,
    checks: [...(opened.encryption?.healthChecks ?? []), ...peerChecks(settings)],
    overrideChecks: opened.overrideChecks,
    more: [...flowControl.endpoints, ...opened.debug],
    address: () => externalAddress(settings.externalHostname ?? opened.advertiseAddress, options.state.port),
  });
  const constrained = settings.featureGates.enabled("ConstrainedImpersonation");
  const impersonating = constrained ? "constrainedimpersonation" : "impersonation";
  const impersonationMetrics = createImpersonationMetrics(metrics, clock, () => filters(impersonating));
  const authorizationMetrics = createAuthorizationMetrics(metrics, clock, filters("authorization"));
  const { audit } = opened;
  const api = createApiServer(
    {
      edge: browserStages(settings.edge),
      authentication: authenticationStage({
        authenticators: authentication.authenticators,
        anonymous: sources.anonymous,
        logger,
        metrics: createAuthenticationMetrics(metrics, clock, filters("authentication")),
      }),
      tracing: tracing.request,
      audit: audit && { ...audit, requests: tracing.stage("audit", audit.requests) },
      impersonation: tracing.stage(impersonating, impersonationStage(authorizer, constrained, impersonationMetrics)),
      flowControl: tracing.stage("priorityandfairness", flowControl.stage),
      authorization: tracing.stage("authorization", authorizationStage(authorizer, authorizationMetrics)),
      resources: peerProxy ? peerProxy.routed(served) : served,
      endpoints: aggregator.routed(endpoints),
      metrics: createRequestMetrics(metrics),
      clock,
      logger,
    },
    { requestTimeoutMs: settings.requestTimeoutMs },
  );
  return api;
}

function authenticationOf(opened: OpenedApiServer, client: Client): Authentication {
  const { settings, sources, stores, clock, pki, logger, metrics, material } = opened;
  const { requestHeader } = material;
  return createAuthentication(settings, sources, {
    reader: stores.reader,
    client,
    clock,
    pki,
    logger: logger.named("authentication"),
    metrics,
    requestHeader: settings.featureGates.enabled("RemoteRequestHeaderUID") ? requestHeader : { ...requestHeader, uidHeaders: [] },
  });
}

interface ResourceHandlerParts {
  readonly client: Client;
  readonly authentication: Authentication;
  readonly componentChecks: ComponentChecks;
}

function resourceHandler(
  opened: OpenedApiServer,
  { client, authentication, componentChecks }: ResourceHandlerParts,
): ReturnType<typeof createResourceHandler> {
  const { settings, clock, logger, metrics, stack, stores, sources, authorizer, tracing } = opened;
  const { reader } = stores;
  const { anyToken, serviceAccountTokens: tokens } = authentication;
  const { first, last } = settings.serviceNodePortRange;
  const webhooks = tracing.webhooks(stack.add(createWebhookClient({ clock }, { egress: opened.egress })));
  const admission = { reader, authorizer, client, clock, logger, metrics, webhooks, tracer: tracing.tracer, kinds: servedKinds(stores) };
  return createResourceHandler(stores, {
    clock,
    minWatchTimeoutMs: settings.minWatchTimeoutMs,
    authorizer,
    admission: admissionPlugins(admission, opened.admission),
    admissionMetrics: createAdmissionMetrics(metrics, clock),
    creators: {
      ...accessReviews(authorizer),
      ...authenticationReviews({
        tokens: anyToken,
        audiences: tokens.audiences,
        anonymous: sources.anonymous.enabled && sources.anonymous.paths.length === 0,
        clock,
      }),
      ...tokenRequests({ tokens, client, clock, ...tokenLimits(settings, sources) }),
    },
    hooks: {
      "/services": createServiceAllocators(stores, {
        serviceClusterIpRange: settings.serviceClusterIpRange,
        nodePorts: `${first}-${last}`,
        metrics,
      }),
    },
    connects: createConnects(reader, {
      ...opened.kubelets,
      logMetrics: createPodLogMetrics(metrics),
      webSocketsToKubelets: settings.featureGates.enabled("ExtendWebSocketsToKubelet"),
      checkStreams: settings.featureGates.enabled("AuthorizePodWebsocketUpgradeCreatePermission")
        ? (context) => ensureVerb(authorizer, context, "create")
        : undefined,
    }),
    computed: componentStatuses({ clock, components: componentChecks, stores: opened.storeChecks }),
  });
}

function admissionPlugins(deps: AdmissionDependencies, options: AdmissionOptions): readonly AdmissionPlugin[] {
  try {
    return createAdmissionPlugins(deps, options);
  } catch (error) {
    throw new CommandError(`--enable-admission-plugins, --disable-admission-plugins: ${errorText(error)}`);
  }
}
