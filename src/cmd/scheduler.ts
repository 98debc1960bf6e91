// The scheduler as a command (`coracle scheduler`, against any API server, one of several leading) and as the all-in-one
// starts it.
import { hostname } from "node:os";
import { type Clock, realClock } from "../base/clock.ts";
import { boolean, flag, integer, optionalText } from "../base/flags.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import { createLogger, type Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { createEventSeriesRecorder } from "../client/event-series-recorder.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import { defaultProfile } from "../scheduler/plugins/defaults.ts";
import { Scheduler } from "../scheduler/scheduler.ts";
import { parseCommand, untilSignal } from "./command-flags.ts";
import { connectToCluster } from "./connect.ts";
import { runElected } from "./run-elected.ts";

export interface SchedulerProcessDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Resolves when pods are being scheduled. */
export async function startScheduler({ client, clock, logger }: SchedulerProcessDeps): Promise<Running> {
  const stack = new StopStack();
  const informers = stack.add(createInformerFactory(client, { clock, logger }));
  const name = "default-scheduler";
  const recorder = stack.add(
    createEventSeriesRecorder({ client, clock, logger, reportingController: name, reportingInstance: `${name}-${hostname()}` }),
  );
  const deps = { client, informers, clock, logger, recorder };
  const scheduler = stack.add(new Scheduler(deps, { profiles: [defaultProfile(deps)] }));
  try {
    await scheduler.start();
  } catch (error) {
    await stack.stop();
    throw error;
  }
  return stack;
}

const flags = {
  kubeconfig: flag(
    optionalText,
    undefined,
    "how to reach the API server; default $KUBECONFIG, ~/.kube/config or the pod's service account",
  ),
  "leader-elect": flag(boolean, true, "let one of several schedulers lead, by the lease kube-system/kube-scheduler"),
  v: flag(integer({ min: 0, max: 10 }), 0, "verbosity of the log", "v"),
};

export async function run(args: readonly string[]): Promise<number> {
  const input = parseCommand({ name: "scheduler", summary: "Assigns pods to nodes." }, flags, args);
  if (!input) return 0;
  const { kubeconfig, v, "leader-elect": elect } = input.values;
  const logger = createLogger("scheduler", { verbosity: v });
  const cluster = await connectToCluster({ kubeconfig, clock: realClock, userAgent: "kube-scheduler" });
  const deps = { client: cluster.client, clock: realClock, logger };
  const running = await runElected({ ...deps, lease: "kube-scheduler", elect, start: () => startScheduler(deps) });
  process.stdout.write(`scheduler ${elect ? "stands for election" : "runs"} at ${cluster.server}\n`);
  await untilSignal();
  await running.stop();
  await cluster.close();
  return 0;
}
