// The scheduler as a command (`coracle scheduler`, against any API server, one of several leading) and as the all-in-one
// starts it. As a command it serves health and metrics on a port of its own, leader or not.

import { writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { pods } from "../../api/resources.generated.ts";
import { registerFeatureMetrics, resolveFeatureGates } from "../../api/semantics/feature-gates.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { type Clock, realClock } from "../../base/clock.ts";
import { optimizeSooner } from "../../base/engine.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { createLogger, type Logger } from "../../base/log.ts";
import { logOptionsOf } from "../../base/log-flags.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { registerBuildInfo, registerProcessMetrics, registerVersionInfo } from "../../base/process-metrics.ts";
import type { Client } from "../../client/client.ts";
import { countedClient } from "../../client/counted-client.ts";
import { createEventSeriesRecorder, type EventSeriesRecorder } from "../../client/event-series-recorder.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import type { SchedulerConfiguration } from "../../scheduler/configuration/scheduler-configuration.ts";
import { shownConfiguration } from "../../scheduler/configuration/shown-configuration.ts";
import type { Extender } from "../../scheduler/extenders/extender.ts";
import type { Profile } from "../../scheduler/framework.ts";
import { configuredProfile } from "../../scheduler/plugins/configured-profile.ts";
import { defaultProfile } from "../../scheduler/plugins/defaults.ts";
import { podResourcesText } from "../../scheduler/pod-resource-figures.ts";
import { Scheduler, type SchedulerOptions } from "../../scheduler/scheduler.ts";
import { SchedulerMetrics } from "../../scheduler/scheduler-metrics.ts";
import { CommandError } from "../command-error.ts";
import { parseCommand, untilSignal } from "../command-flags.ts";
import { versionText } from "../component/component-flags.ts";
import { type ClusterClient, connectToCluster } from "../component/connect.ts";
import { type ElectedProcess, runElected } from "../component/run-elected.ts";
import { serveComponent } from "../component/serve-component.ts";
import { electionOf, ignoredSchedulerFlags, type SchedulerValues, schedulerFlags, schedulerGates } from "./scheduler-flags.ts";
import {
  followSchedulerPlugins,
  readSchedulerSetup,
  type SchedulerFiles,
  type SchedulerInput,
  type SchedulerSetup,
} from "./scheduler-setup.ts";

export interface SchedulerProcessDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics?: SchedulerMetrics;
  /** A pod that did not fit is tried again after so long whatever happens. Default 5 minutes. */
  readonly maxUnschedulableMs?: number;
}

const defaultName = "default-scheduler";

export interface RunningScheduler extends Running {
  /** All of the cluster, as far as they are known by now. */
  readonly pods: () => Iterable<Pod>;
  /** Goes on with other plugins, from the next pod on. Throws what is wrong with them; then the ones of before stay. */
  reconfigure(setup: SchedulerSetup): Promise<void>;
}

/** Started as the all-in-one does: with what its files said, if there are any, whose plugins' modules are followed. */
export async function startSchedulerFromFiles(
  deps: SchedulerProcessDeps,
  files: SchedulerFiles,
  setup: SchedulerInput | undefined,
): Promise<Running & Pick<RunningScheduler, "pods">> {
  if (setup === undefined) return startScheduler(deps);
  const stack = new StopStack();
  const running = stack.add(await startScheduler(deps, setup));
  if (setup.modules)
    stack.add(await followSchedulerPlugins(files, setup.modules, { ...deps, changed: (next) => running.reconfigure(next) }));
  return { pods: running.pods, stop: () => stack.stop() };
}

/** Of each scheduler name. */
const maxBufferedEvents = 10_000;

/** Resolves when pods are being scheduled. Without a setup there is the default profile alone. */
export async function startScheduler(given: SchedulerProcessDeps, setup?: SchedulerSetup): Promise<RunningScheduler> {
  const { client, clock, logger } = given;
  const configuration = setup?.configuration;
  const stack = new StopStack();
  try {
    const informers = stack.add(createInformerFactory(client, { clock, logger }));
    const recorders = new Map<string, EventSeriesRecorder>();
    let started: Scheduler | undefined;
    const recorderOf = (name: string): EventSeriesRecorder => {
      const own = {
        ...{ reportingController: name, reportingInstance: `${name}-${hostname()}` },
        // Pods get their places first; what happened to them is told after.
        ...{ maxBuffered: maxBufferedEvents, isBusy: () => started?.isBusy ?? false },
      };
      const recorder = recorders.get(name) ?? stack.add(createEventSeriesRecorder({ client, clock, logger, ...own }));
      recorders.set(name, recorder);
      return recorder;
    };
    const extenders = await startExtenders(configuration, clock, stack);
    const unschedulable = given.maxUnschedulableMs === undefined ? {} : { maxUnschedulableMs: given.maxUnschedulableMs };
    const deps = { ...given, informers, recorder: recorderOf(defaultName), extenders };
    const profilesOf = ({ configuration: { profiles }, userPlugins }: SchedulerSetup): readonly Profile[] =>
      profiles.map((settings) => configuredProfile({ ...deps, recorder: recorderOf(settings.schedulerName) }, settings, userPlugins));
    const profiles = setup ? profilesOf(setup) : [defaultProfile(deps)];
    const scheduler = stack.add(new Scheduler(deps, { ...optionsOf(configuration), ...unschedulable, profiles, recorders, extenders }));
    started = scheduler;
    await scheduler.start();
    return {
      pods: () => informers.informer(pods).list(),
      reconfigure: (next) => scheduler.replaceProfiles(profilesOf(next)),
      stop: () => stack.stop(),
    };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

async function startExtenders(
  configuration: SchedulerConfiguration | undefined,
  clock: Clock,
  stack: StopStack,
): Promise<readonly Extender[]> {
  if (!configuration || configuration.extenders.length === 0) return [];
  const { createHttpExtender } = await import("../../scheduler/extenders/http-extender.ts");
  return configuration.extenders.map((settings) => {
    const extender = createHttpExtender(settings, clock);
    stack.defer(() => extender.close());
    return extender;
  });
}

/** The rest of a binding cycle has this long besides volumes and devices. */
const bindingMs = 600_000;

function optionsOf(configuration: SchedulerConfiguration | undefined): Omit<SchedulerOptions, "profiles"> {
  if (!configuration) return {};
  const waits = configuration.profiles.flatMap(({ args }) => [
    args.VolumeBinding.bindTimeoutSeconds * 1000,
    args.DynamicResources.bindingTimeoutMs,
  ]);
  return {
    initialBackoffMs: configuration.podInitialBackoffSeconds * 1000,
    maxBackoffMs: configuration.podMaxBackoffSeconds * 1000,
    bindTimeoutMs: Math.max(bindingMs, ...waits),
  };
}

export async function run(args: readonly string[]): Promise<number> {
  const input = parseCommand({ name: "scheduler", summary: "Assigns pods to nodes." }, schedulerFlags, args);
  if (!input) return 0;
  const { values, given } = input;
  const version = versionText(values);
  if (version !== undefined) {
    process.stdout.write(version);
    return 0;
  }
  const logger = createLogger("scheduler", logOptionsOf(values));
  const files = { flagName: "config", config: values.config, pluginFlag: "plugin", plugins: values.plugin };
  const setup = await readSchedulerSetup(files);
  const { configuration } = setup;
  const ignored = ignoredSchedulerFlags(values);
  if (ignored.length > 0) logger.info("Flags without effect here", { flags: ignored.map((name) => `--${name}`).join(" ") }, 1);
  const kubeconfig = given.has("kubeconfig") ? values.kubeconfig : configuration.clientConnection.kubeconfig;
  const target = values["write-config-to"];
  if (target !== undefined) {
    await writeConfiguration(
      target,
      shownConfiguration(configuration, { leaderElection: electionOf(configuration, values, given), kubeconfig }),
    );
    return 0;
  }
  const connection = { kubeconfig, ...(values.master === undefined ? {} : { server: values.master }) };
  const cluster = await connectToCluster({ ...connection, clock: realClock, userAgent: "kube-scheduler" });
  const stack = new StopStack();
  stack.defer(() => cluster.close());
  try {
    const elected = await runScheduler({ values, given, files, setup, cluster, logger }, stack);
    optimizeSooner();
    await untilSignal(`scheduler ${elected ? "stands for election" : "runs"} at ${cluster.server}\n`);
  } finally {
    await stack.stop();
  }
  return 0;
}

/** What it says is what --config takes. */
async function writeConfiguration(file: string, shown: Readonly<Record<string, unknown>>): Promise<void> {
  const { stringify } = await import("../../api/encode/yaml-text.ts");
  try {
    await writeFile(file, stringify(shown, { sortMapEntries: true, indentSeq: false, lineWidth: 0 }), { mode: 0o600 });
  } catch (cause) {
    throw new CommandError(`--write-config-to: ${file} cannot be written`, { cause });
  }
}

interface SchedulerProcess {
  readonly values: SchedulerValues;
  readonly given: ReadonlySet<string>;
  readonly files: SchedulerFiles;
  readonly setup: SchedulerInput;
  readonly cluster: ClusterClient;
  readonly logger: Logger;
}

/** Resolves with whether it stands for election. */
async function runScheduler({ values, given, files, setup, cluster, logger }: SchedulerProcess, stack: StopStack): Promise<boolean> {
  const { configuration, modules } = setup;
  const metrics = new MetricsRegistry();
  registerProcessMetrics(metrics, realClock);
  registerBuildInfo(metrics);
  registerVersionInfo(metrics);
  registerFeatureMetrics(metrics, resolveFeatureGates(values["feature-gates"], schedulerGates));
  const client = countedClient(cluster.client, { metrics, clock: realClock, host: new URL(cluster.server).host });
  const maxUnschedulableMs = values["pod-max-in-unschedulable-pods-duration"];
  const deps = { client, clock: realClock, logger, maxUnschedulableMs };
  const ofScheduler = new SchedulerMetrics(metrics);
  const election = electionOf(configuration, values, given);
  let elected: ElectedProcess | undefined;
  let isScheduling = false;
  let current: SchedulerSetup = setup;
  let scheduler: RunningScheduler | undefined;
  const checks = (): ReadonlyMap<string, string | undefined> =>
    new Map(
      election.leaderElect ? [["leaderElection", elected?.problem]] : [["schedulerStarted", isScheduling ? undefined : "not started"]],
    );
  const kubeconfig = values.kubeconfig ?? configuration.clientConnection.kubeconfig;
  const shown = { componentconfig: shownConfiguration(configuration, { leaderElection: election, kubeconfig }) };
  await serveComponent(
    {
      ...deps,
      ...{ component: "kube-scheduler", flags: schedulerFlags, configuration: shown },
      ...{ values, metrics, checks, pages: { "/metrics/resources": () => podResourcesText(scheduler?.pods() ?? []) } },
    },
    stack,
  );
  const start = async (): Promise<Running> => {
    scheduler = await startScheduler({ ...deps, metrics: ofScheduler }, current);
    isScheduling = true;
    return scheduler;
  };
  if (modules) {
    const changed = async (next: SchedulerSetup): Promise<void> => {
      await scheduler?.reconfigure(next);
      current = next;
    };
    stack.add(await followSchedulerPlugins(files, modules, { clock: realClock, logger, changed }));
  }
  const { leaderElect: elect, resourceName: lease, resourceNamespace: namespace, ...periods } = election;
  elected = stack.add(await runElected({ ...deps, ...periods, lease, namespace, elect, start, registry: metrics }));
  return elect;
}
