// Starts an API server: opens what it is made of (open-apiserver.ts), wires the stages of a request (wire-apiserver.ts), listens,
// and starts what runs beside requests. The command, the all-in-one and the tests start the same server.
import { join } from "node:path";
import type { ResourceType } from "../../api/resource-type.ts";
import { createTokenTracking } from "../../apiserver/authn/legacy-token-tracking.ts";
import { loopbackUser, type UserInfo } from "../../apiserver/authn/user.ts";
import { startFlowSchemaStatus } from "../../apiserver/flow-control/flow-schema-status.ts";
import { keepFlowControlDefaults } from "../../apiserver/flow-control/reconcile-defaults.ts";
import type { HttpsServer } from "../../apiserver/http/https-server.ts";
import { createInProcessTransport } from "../../apiserver/in-process-transport.ts";
import type { ApiServerSettings } from "../../apiserver/options.ts";
import type { ComponentChecks } from "../../apiserver/registry/component-statuses.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Client } from "../../client/client.ts";
import { countedClient } from "../../client/counted-client.ts";
import { createClient } from "../../client/create-client.ts";
import type { Transport } from "../../client/transport.ts";
import { writeKubeconfig } from "../credentials/kubeconfig.ts";
import type { Pki } from "../credentials/pki.ts";
import { writeUsersKubeconfig } from "../credentials/users-kubeconfig.ts";
import type { ServerState } from "./apiserver-endpoints.ts";
import { bootstrap } from "./bootstrap-apiserver.ts";
import { serveCustomResources } from "./custom-resources.ts";
import { followCertificates, listen, urlHost } from "./listen-https.ts";
import { type OpenedApiServer, openApiServer, type StartApiServerDeps } from "./open-apiserver.ts";
import { createPeers } from "./peers.ts";
import { wireApiServer } from "./wire-apiserver.ts";

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
  const opened = await openApiServer(settings, deps, stack);
  const { clock, logger, metrics, pki } = opened;
  const state: ServerState = { ready: new Set(doneWhenOpened), stopping: false, port: settings.securePort };
  const componentChecks: ComponentChecks = new Map();
  const api = wireApiServer(opened, { state, componentChecks });
  state.ready.add("start-apiserver-admission-initializer");
  const transportFor = (user: UserInfo): Transport => createInProcessTransport(api, user, clock);
  const https = stack.add(await listen(api, settings, opened.material, { clock, logger, metrics }));
  state.port = https.port;
  stack.defer(() => announceStop(opened, state));
  const client = countedClient(createClient(transportFor(loopbackUser)), { metrics, clock, host: `127.0.0.1:${https.port}` });
  const bootstrapped = startLoops(opened, { client, https, state });
  const url = `https://${urlHost(settings.bindAddress)}:${https.port}`;
  const adminKubeconfig = join(settings.dataDir, "admin.kubeconfig");
  const ready = Promise.all([writeAdminKubeconfig(opened, adminKubeconfig, url), bootstrapped]).then(() => undefined);
  ready.catch((error: unknown) => logger.error("Bootstrap failed", { error }));
  if (settings.publishClusterInfo) publishClusterInfo(opened, { client, port: https.port, ready });
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

/** What the pieces of an opened server do from the moment on that they are made. */
const doneWhenOpened = [
  "generic-apiserver-start-informers",
  "start-apiextensions-informers",
  "storage-object-count-tracker-hook",
  "aggregator-reload-proxy-client-cert",
] as const;

interface Serving {
  readonly client: Client;
  readonly https: HttpsServer;
  readonly state: ServerState;
}

/** What runs beside requests; resolves when the cluster's own objects are there. */
function startLoops(opened: OpenedApiServer, { client, https, state }: Serving): Promise<void> {
  const { settings, clock, logger, metrics, queues, stack, stores, apis, aggregator, egress, tracing } = opened;
  const { reader } = stores;
  const loop = { client, reader, clock, queues };
  const flowControlLogger = logger.named("flow-control");
  const authenticationLogger = logger.named("authentication");
  stack.add(serveCustomResources({ ...loop, stores, metrics, logger: logger.named("custom-resources") }, { egress, tracing }));
  state.ready.add("start-apiextensions-controllers");
  stack.add(startFlowSchemaStatus({ ...loop, logger: flowControlLogger }));
  stack.add(keepFlowControlDefaults(client, { clock, logger: flowControlLogger }));
  state.ready.add("priority-and-fairness-config-consumer");
  state.ready.add("priority-and-fairness-filter");
  const authenticationMap = stack.add(followCertificates(opened.material, https, { ...loop, logger: authenticationLogger }));
  const serves = (type: ResourceType): boolean => apis.definitions.some((definition) => definition.type === type);
  const known = { hostname: opened.hostname, advertiseAddress: opened.advertiseAddress, securePort: https.port };
  const peers = stack.add(createPeers({ stores, client, logger, metrics, queues, serves }, settings, known));
  state.ready.add("peer-endpoint-reconciler-controller");
  state.ready.add("start-kube-apiserver-identity-lease-controller");
  state.ready.add("start-kube-apiserver-identity-lease-garbage-collector");
  const tokenTracking = stack.add(createTokenTracking({ ...loop, logger: authenticationLogger }));
  const types = apis.definitions.map(({ type }) => type);
  const storageVersions = types.some(({ resource }) => resource === "storageversions");
  return Promise.all([
    bootstrap(client, state, { serves, storageVersions, settings, authenticationMap, tokenTracking, peers }),
    aggregator.start(client, types),
    opened.peerProxy?.start(),
  ]).then(() => undefined);
}

/** Everything is served on until balancers have noticed. */
async function announceStop({ settings, clock, aggregator, peerProxy }: OpenedApiServer, state: ServerState): Promise<void> {
  const { delayMs, watchGraceMs } = settings.edge.shutdown;
  state.stopping = true;
  if (delayMs > 0) await clock.sleep(delayMs);
  if (watchGraceMs > 0) return;
  aggregator.endWatches();
  peerProxy?.endWatches();
}

async function writeAdminKubeconfig({ pki, logger }: OpenedApiServer, file: string, url: string): Promise<void> {
  const administrator = { server: url, authority: pki.ca.pem.certificate, credentials: pki.admin, user: "kubernetes-admin" };
  try {
    await writeUsersKubeconfig(file, administrator);
  } catch (error) {
    logger.warn("The administrator's kubeconfig is written anew", { file, error: errorText(error) });
    await writeKubeconfig(file, administrator);
  }
}

interface Publishing {
  readonly client: Client;
  readonly port: number;
  readonly ready: Promise<void>;
}

/** Tells whoever may ask how to join. Nobody waits for it: the cluster is ready before others may join. */
function publishClusterInfo({ advertiseAddress, pki, logger, stack }: OpenedApiServer, { client, port, ready }: Publishing): void {
  const info = { server: `https://${urlHost(advertiseAddress)}:${port}`, caPem: pki.ca.pem.certificate };
  const published = ready.then(async () => (await import("../../apiserver/node-joining.ts")).ensureNodeJoining(client, info));
  stack.defer(() => published.catch((error: unknown) => logger.warn("Publishing how to join failed", { error: errorText(error) })));
  published.catch(() => undefined);
}
