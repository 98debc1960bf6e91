// The paths of the API server that are no resources, wired: discovery, OpenAPI, health, version, metrics, and the OpenID
// documents of the service-account issuer.
import { constants, gzipSync } from "node:zlib";
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import {
  builtInResources,
  clusterrolebindings,
  clusterroles,
  customresourcedefinitions,
  rolebindings,
  roles,
} from "../../api/resources.generated.ts";
import type { Aggregator } from "../../apiserver/aggregation/aggregator.ts";
import { openIdHandlers } from "../../apiserver/authn/openid.ts";
import type { ServiceAccountTokens } from "../../apiserver/authn/service-account-tokens.ts";
import { createDiscovery } from "../../apiserver/discovery/discovery.ts";
import { countDiscovery } from "../../apiserver/discovery/discovery-metrics.ts";
import { versionInfo } from "../../apiserver/discovery/version-info.ts";
import { compareVersions } from "../../apiserver/discovery/version-order.ts";
import type { StorageCheckSettings } from "../../apiserver/etcd-options.ts";
import { createHealth, type HealthCheck } from "../../apiserver/health.ts";
import { encodeJson } from "../../apiserver/http/encode.ts";
import { createEndpoints, type EndpointSource, fixedEndpoints, producing } from "../../apiserver/http/endpoints.ts";
import { allowsGzip } from "../../apiserver/http/http1.ts";
import { createOpenApi } from "../../apiserver/openapi/openapi.ts";
import type { PeerProxy } from "../../apiserver/peer-proxy/peer-proxy.ts";
import type { ResourceStore } from "../../apiserver/registry/resource-store.ts";
import type { ResourceStores } from "../../apiserver/registry/stores.ts";
import type { ApiRequest, ApiResponse, Handler } from "../../apiserver/request.ts";
import { createZPages } from "../../apiserver/z-pages.ts";
import type { Clock } from "../../base/clock.ts";
import { createHealthSlis } from "../../base/health-slis.ts";
import type { Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";

/** What a start does before /readyz is ok, by upstream's names and in its order. */
export const startSteps = [
  "start-apiserver-admission-initializer",
  "generic-apiserver-start-informers",
  "priority-and-fairness-config-consumer",
  "priority-and-fairness-filter",
  "storage-object-count-tracker-hook",
  "start-apiextensions-informers",
  "start-apiextensions-controllers",
  "crd-informer-synced",
  "start-system-namespaces-controller",
  "peer-endpoint-reconciler-controller",
  "mixed-version-proxy-handler",
  "local-discovery-cache-sync",
  "peer-discovery-workers",
  "start-cluster-authentication-info-controller",
  "start-kube-apiserver-identity-lease-controller",
  "start-kube-apiserver-identity-lease-garbage-collector",
  "storage-readiness",
  "start-legacy-token-tracking-controller",
  "start-service-ip-repair-controllers",
  "rbac/bootstrap-roles",
  "scheduling/bootstrap-system-priority-classes",
  "priority-and-fairness-config-producer",
  "bootstrap-controller",
  "start-kubernetes-service-cidr-controller",
  "aggregator-reload-proxy-client-cert",
] as const;

export type StartStep = (typeof startSteps)[number];

/** Of servers that pass requests on to peers. */
const peerSteps: ReadonlySet<StartStep> = new Set(["mixed-version-proxy-handler", "local-discovery-cache-sync", "peer-discovery-workers"]);

/** How far the server has come; read by the health checks. */
export interface ServerState {
  /** Names of the start-up steps that are done. */
  readonly ready: Set<StartStep>;
  stopping: boolean;
  /** The one really bound, once it is. */
  port: number;
}

export interface EndpointDeps {
  readonly stores: ResourceStores;
  readonly tokens: ServiceAccountTokens;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly state: ServerState;
  /** --service-account-jwks-uri. */
  readonly keysUri?: string | undefined;
  /** What every flag is, as text. */
  readonly flagTexts: Readonly<Record<string, string>>;
  readonly storageChecks: StorageCheckSettings;
  /** Whether the server speaks CBOR. */
  readonly cbor: boolean;
  /** Health checks of parts that are not always there. */
  readonly checks?: readonly HealthCheck[];
  /** Of stores of single resources. */
  readonly overrideChecks?: readonly HealthCheck[];
  /** What parts of the server serve of themselves. */
  readonly more?: readonly EndpointSource[];
  readonly aggregator: Aggregator;
  /** Where requests are passed on to peers. */
  readonly peerProxy?: PeerProxy | undefined;
  /** Whether it is counted how much peers have to do with discovery. */
  readonly countsPeers?: boolean;
  /** "192.168.1.10:6443", where others reach this server. */
  readonly address: () => string;
}

/** Every path that is no resource. */
export function apiServerEndpoints(deps: EndpointDeps): Handler {
  const { clock, logger, stores, tokens, metrics, address, aggregator, peerProxy } = deps;
  const served = servedResources(stores, ({ type }) => type);
  const version = versionInfo();
  const slis = createHealthSlis();
  const merges = metrics
    .counter("aggregator_discovery_aggregation_count_total", "[ALPHA] Counter of number of times discovery was aggregated")
    .series();
  const startSeconds = Math.floor(clock.now() / 1000 - process.uptime());
  return createEndpoints([
    createDiscovery({
      resources: servedResources(stores, ({ type, definition }) => definition.custom?.listedType() ?? type),
      serverAddress: address,
      aggregated: aggregator.groups,
      onMerge: () => merges.add(),
      peers: peerProxy?.groups,
      ...(deps.countsPeers ? { onProfile: countDiscovery(metrics) } : {}),
    }),
    createHealth(healthChecks(deps), { clock, logger, observe: slis.observe }),
    aggregator.openApi(
      createOpenApi(served, {
        publishedOf: ({ group, version, resource }) => stores.find(group, version, resource)?.definition.custom?.published,
        cbor: deps.cbor,
      }),
    ),
    createZPages({ clock, flags: deps.flagTexts }),
    ...(deps.more ?? []),
    fixedEndpoints({
      "/version": producing("application/json", async () => ({
        kind: "bytes",
        status: 200,
        contentType: "application/json",
        bytes: encodeJson(version, true),
      })),
      "/metrics": async ({ request }) => writtenMetrics(metrics, request, startSeconds),
      "/metrics/slis": async ({ request }) => writtenMetrics(slis.registry, request, startSeconds),
      ...openIdEndpoints(tokens, () => deps.keysUri ?? `https://${address()}/openid/v1/jwks`),
    }),
  ]);
}

/** Prometheus' library says since when the process runs, and compresses for who reads that. */
function writtenMetrics(
  metrics: MetricsRegistry,
  { headers: { "accept-encoding": accepted } }: ApiRequest,
  startSeconds: number,
): ApiResponse {
  const bytes = Buffer.from(metrics.text());
  const zip = allowsGzip(accepted);
  return {
    kind: "bytes",
    status: 200,
    contentType: "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
    bytes: zip ? gzipSync(bytes, { level: constants.Z_BEST_SPEED }) : bytes,
    headers: { "Process-Start-Time-Unix": String(startSeconds), ...(zip ? { "Content-Encoding": "gzip" } : {}) },
  };
}

function openIdEndpoints(tokens: ServiceAccountTokens, keysUri: () => string): Readonly<Record<string, Handler>> {
  const produced: Readonly<Record<string, string>> = { "/openid/v1/jwks": "application/jwk-set+json" };
  const handlers = Object.entries(openIdHandlers({ tokens, keysUri }));
  return Object.fromEntries(handlers.map(([path, handler]) => [path, producing(produced[path] ?? "application/json", handler)]));
}

/** The served resources as one array, the same as long as none has come, gone or changed. */
function servedResources(stores: ResourceStores, typeOf: (store: ResourceStore) => ResourceType): () => readonly ResourceType[] {
  let last: readonly ResourceType[] = [];
  return () => {
    const now = new Set(Array.from(stores.all, typeOf));
    // Built-in resources in their order, then the custom ones; the stores keep them in another.
    const ordered = [...builtInResources.filter((type) => now.delete(type)), ...[...now].sort(byGroupAndVersion)];
    if (ordered.length !== last.length || ordered.some((type, i) => type !== last[i])) last = ordered;
    return last;
  };
}

const byGroupAndVersion = (a: ResourceType, b: ResourceType): number =>
  a.group === b.group ? compareVersions(a.version, b.version) : a.group < b.group ? -1 : 1;

function healthChecks({
  stores,
  state,
  aggregator,
  peerProxy,
  storageChecks,
  overrideChecks = [],
  checks = [],
}: EndpointDeps): HealthCheck[] {
  const checkPeers = (): void => {
    if (!peerProxy?.isSynced) throw new Error("not finished");
  };
  const asked: Partial<Record<StartStep, () => void>> = {
    "crd-informer-synced"() {
      if (!stores.reader.informer(customresourcedefinitions).hasSynced) throw new Error("not finished");
    },
    "storage-readiness": () => checkCaches(stores),
    ...Object.fromEntries(Array.from(peerSteps, (step) => [step, checkPeers])),
  };
  const done = (name: StartStep): HealthCheck => ({
    name: `poststarthook/${name}`,
    check:
      asked[name] ??
      (() => {
        if (!state.ready.has(name)) throw new Error("not finished");
      }),
  });
  const askStore = async (): Promise<void> => void (await stores.store.currentRevision());
  return [
    { name: "ping", check: () => undefined },
    { name: "log", check: () => undefined },
    // The server's own requests stay in the process: there is no certificate of theirs that could expire.
    { name: "loopback-serving-certificate", livenessOnly: true, check: () => undefined },
    { name: "etcd", check: askStore, timeoutMs: storageChecks.healthTimeoutMs },
    { name: "etcd-readiness", readinessOnly: true, check: askStore, timeoutMs: storageChecks.readyTimeoutMs },
    ...overrideChecks,
    {
      name: "informer-sync",
      readinessOnly: true,
      check: () => checkCaches(stores),
    },
    ...checks,
    ...startSteps.filter((step) => peerProxy || !peerSteps.has(step)).map(done),
    ...aggregator.checks,
    {
      name: "shutdown",
      readinessOnly: true,
      check() {
        if (state.stopping) throw new Error("process is shutting down");
      },
    },
  ];
}

/** Throws while what every request needs is not there. */
function checkCaches({ reader }: ResourceStores): void {
  for (const type of neededTypes) if (!reader.informer<KubernetesObject>(type).hasSynced) throw new Error(`${type.resource} not synced`);
}

const neededTypes = [
  customresourcedefinitions,
  clusterroles,
  clusterrolebindings,
  roles,
  rolebindings,
] as readonly ResourceType<KubernetesObject>[];
