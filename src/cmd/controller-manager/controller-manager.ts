// The controllers as a command (`coracle controller-manager`, against any API server, one of several leading) and as the
// all-in-one starts them. As a command it serves health and metrics on a port of its own, leader or not.
import { registerFeatureMetrics, resolveFeatureGates } from "../../api/semantics/feature-gates.ts";
import { type Clock, realClock } from "../../base/clock.ts";
import { optimizeSooner } from "../../base/engine.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { createLogger, type Logger } from "../../base/log.ts";
import { logOptionsOf } from "../../base/log-flags.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { registerBuildInfo, registerProcessMetrics, registerVersionInfo } from "../../base/process-metrics.ts";
import type { Client } from "../../client/client.ts";
import { countedClient } from "../../client/counted-client.ts";
import { createEventRecorder } from "../../client/event-recorder.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import { ControllerMetrics } from "../../controllers/controller-metrics.ts";
import { type RunningControllers, type StartControllersOptions, startControllers } from "../../controllers/start-controllers.ts";
import { parseCommand, untilSignal } from "../command-flags.ts";
import { versionText } from "../component/component-flags.ts";
import { type ClusterClient, connectToCluster } from "../component/connect.ts";
import { type ElectedProcess, runElected } from "../component/run-elected.ts";
import { serveComponent } from "../component/serve-component.ts";
import { controllerManagerConfiguration } from "./controller-manager-configz.ts";
import { controllerGates, controllerManagerFlags, ignoredFlags } from "./controller-manager-flags.ts";
import { type ControllerManagerValues, controllerManagerOptions } from "./controller-manager-options.ts";
import { createServiceAccountClients } from "./service-account-clients.ts";

export interface ControllerManagerDeps {
  readonly client: Client;
  /** Clients with the identities of service accounts in kube-system, one for each controller. */
  readonly clientFor?: (serviceAccount: string) => Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics?: ControllerMetrics;
}

/** Resolves when the controllers run; their informers sync in the background. */
export async function startControllerManager(
  { client, clientFor, clock, logger, metrics }: ControllerManagerDeps,
  options: StartControllersOptions = {},
): Promise<Running & Pick<RunningControllers, "problems">> {
  const stack = new StopStack();
  const informers = stack.add(createInformerFactory(client, { clock, logger }));
  const recorder = stack.add(createEventRecorder({ client, clock, logger, component: "kube-controller-manager" }));
  const deps = { client, ...(clientFor ? { clientFor } : {}), informers, clock, recorder, logger, ...(metrics ? { metrics } : {}) };
  try {
    const controllers = stack.add(startControllers(deps, options));
    return { problems: () => controllers.problems(), stop: () => stack.stop() };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

export async function run(args: readonly string[]): Promise<number> {
  const usage = { name: "controller-manager", summary: "Runs the control loops of the cluster." };
  const values = parseCommand(usage, controllerManagerFlags, args)?.values;
  if (!values) return 0;
  const version = versionText(values);
  if (version !== undefined) {
    process.stdout.write(version);
    return 0;
  }
  const logger = createLogger("controller-manager", logOptionsOf(values));
  const options = await controllerManagerOptions(values);
  const ignored = ignoredFlags(values);
  if (ignored.length > 0) logger.info("Flags without effect here", { flags: ignored.map((name) => `--${name}`).join(" ") }, 1);
  const connection = { kubeconfig: values.kubeconfig, ...(values.master === undefined ? {} : { server: values.master }) };
  const cluster = await connectToCluster({ ...connection, clock: realClock, userAgent: "kube-controller-manager" });
  const stack = new StopStack();
  stack.defer(() => cluster.close());
  try {
    await runManager({ values, options, cluster, logger }, stack);
    optimizeSooner();
    await untilSignal(`controller-manager ${values["leader-elect"] ? "stands for election" : "runs"} at ${cluster.server}\n`);
  } finally {
    await stack.stop();
  }
  return 0;
}

interface Manager {
  readonly values: ControllerManagerValues;
  readonly options: StartControllersOptions;
  readonly cluster: ClusterClient;
  readonly logger: Logger;
}

async function runManager({ values, options, cluster, logger }: Manager, stack: StopStack): Promise<void> {
  const registry = new MetricsRegistry();
  registerProcessMetrics(registry, realClock);
  registerBuildInfo(registry);
  registerVersionInfo(registry);
  registerFeatureMetrics(registry, resolveFeatureGates(values["feature-gates"], controllerGates));
  const accounts = values["use-service-account-credentials"]
    ? createServiceAccountClients({ client: cluster.client, clock: realClock, connection: cluster.connection })
    : undefined;
  if (accounts) stack.defer(() => accounts.close());
  const client = countedClient(cluster.client, { metrics: registry, clock: realClock, host: new URL(cluster.server).host });
  const deps = {
    client,
    ...(accounts ? { clientFor: (account: string) => accounts.clientFor(account) } : {}),
    clock: realClock,
    logger,
    metrics: new ControllerMetrics(registry),
  };
  let controllers: Pick<RunningControllers, "problems"> | undefined;
  const start = async (): Promise<Running> => {
    const started = await startControllerManager(deps, options);
    controllers = started;
    return {
      stop: async () => {
        controllers = undefined;
        await started.stop();
      },
    };
  };
  let elected: ElectedProcess | undefined;
  const checks = (): ReadonlyMap<string, string | undefined> =>
    new Map([...(values["leader-elect"] ? [["leaderElection", elected?.problem] as const] : []), ...(controllers?.problems() ?? [])]);
  // What the process was started with; flags name files, never secrets.
  const configuration = { "kubecontrollermanager.config.k8s.io": controllerManagerConfiguration(values) };
  const shown = { component: "kube-controller-manager", configuration, flags: controllerManagerFlags };
  await serveComponent({ values, ...shown, metrics: registry, checks, client: cluster.client, clock: realClock, logger }, stack);
  elected = stack.add(
    await runElected({
      ...deps,
      lease: values["leader-elect-resource-name"],
      namespace: values["leader-elect-resource-namespace"],
      leaseDurationMs: values["leader-elect-lease-duration"],
      renewDeadlineMs: values["leader-elect-renew-deadline"],
      retryPeriodMs: values["leader-elect-retry-period"],
      elect: values["leader-elect"],
      registry,
      start,
    }),
  );
}
