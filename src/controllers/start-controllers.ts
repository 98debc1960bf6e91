// Runs a selection of controllers: creates each over shared informers, waits until what it watches is synced, and feeds
// its queue. Says of each whether it is well, and counts what its queue does.
import type { KubernetesObject } from "../api/meta/object.ts";
import type { ResourceType } from "../api/resource-type.ts";
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import { errorText, type Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { RunningEventRecorder } from "../client/event-recorder.ts";
import type { Informer, InformerFactory, InformerOptions } from "../client/informer.ts";
import { createWorkQueue } from "../client/work-queue.ts";
import type { Controller, ControllerContext } from "./controller.ts";
import type { ControllerMetrics } from "./controller-metrics.ts";
import { selectControllers } from "./controller-names.ts";
import type { ControllerOptions } from "./controller-options.ts";
import { allControllers } from "./registry.ts";

export interface ControllersDeps {
  /** For informers' sake one identity reads for all; calls are made with it too where there is no `clientFor`. */
  readonly client: Client;
  /** A client with the identity of a service account in kube-system: each controller may do no more than it must. */
  readonly clientFor?: (serviceAccount: string) => Client;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly recorder: Pick<RunningEventRecorder, "named">;
  readonly logger: Logger;
  readonly metrics?: ControllerMetrics;
}

export interface StartControllersOptions extends ControllerOptions {
  /** Names, "*" and "-name". Default ["*"]. */
  readonly controllers?: readonly string[];
}

export interface RunningControllers extends Running {
  /** Names of those that run. */
  readonly names: readonly string[];
  /** What is wrong with each controller by its name; undefined where nothing is. */
  problems(): ReadonlyMap<string, string | undefined>;
  /** No controller has anything to do at present; what it will come back to later does not count. */
  readonly isIdle: boolean;
}

/** Starts the selected controllers; their informers sync and their queues begin in the background. */
export function startControllers(deps: ControllersDeps, options: StartControllersOptions = {}): RunningControllers {
  const selected = selectControllers(allControllers, options.controllers ?? ["*"]);
  const stack = new StopStack();
  const running = selected.map((controller) => stack.add(startController(controller, deps, options)));
  return {
    names: selected.map((controller) => controller.name),
    problems: () => new Map(running.map(({ name, problem }) => [name, problem])),
    get isIdle() {
      return running.every((controller) => controller.isIdle);
    },
    stop: () => stack.stop(),
  };
}

interface RunningController extends Running {
  readonly name: string;
  /** Why it does not work; undefined where it does, or is about to begin. */
  readonly problem: string | undefined;
  readonly isIdle: boolean;
}

/** Starts one controller over the given informers. */
export function startController(controller: Controller, deps: ControllersDeps, options: ControllerOptions = {}): RunningController {
  const { clock } = deps;
  const logger = deps.logger.named(controller.name);
  const watched = new Set<Informer<KubernetesObject>>();
  const informers = recording(deps.informers, watched);
  const stopping = new AbortController();
  const stack = new StopStack();
  let ready = false;
  let problem: string | undefined;
  const workers = options.concurrency?.[controller.name] ?? controller.workers;

  const queue = createWorkQueue({
    name: controller.name,
    clock,
    logger,
    process: (key, signal) => loop.reconcile(key, { signal }), // the queue starts when the loop is there
    ...(workers === undefined ? {} : { workers }),
    ...(deps.metrics ? { metrics: deps.metrics.hooks(controller.name) } : {}),
    ...(controller.deadlineMs === undefined ? {} : { deadlineMs: controller.deadlineMs }),
    ...(controller.paceMs === undefined ? {} : { paceMs: controller.paceMs }),
  });
  const context: ControllerContext = {
    client: (controller.actsAsManager ? undefined : deps.clientFor?.(controller.serviceAccount ?? controller.name)) ?? deps.client,
    informers,
    clock,
    recorder: deps.recorder.named(controller.component ?? controller.name),
    logger,
    options,
    ...(deps.metrics ? { metrics: deps.metrics } : {}),
    enqueue: (key, delayMs = 0) => queue.addAfter(key, delayMs),
  };
  const loop = controller.create(context);
  for (const source of loop.watches) {
    const registration = source.start((key) => queue.add(key));
    stack.defer(() => registration.remove());
  }
  stack.add(queue);
  deps.informers.start();
  if (deps.metrics) stack.defer(deps.metrics.running(controller.name, queue));

  const begin = async (): Promise<void> => {
    await Promise.all([...watched].map((informer) => informer.synced(stopping.signal)));
    if (loop.start) stack.add(loop.start());
    queue.start();
    ready = true;
  };
  const begun = begin().catch((error: unknown) => {
    if (stopping.signal.aborted) return;
    problem = `failed to start: ${errorText(error)}`;
    logger.error("Failed to start", { error });
  });
  return {
    name: controller.name,
    get problem() {
      return problem;
    },
    get isIdle() {
      return ready && queue.isIdle;
    },
    async stop() {
      stopping.abort(new Error(`${controller.name} is stopped`));
      await begun;
      await stack.stop();
    },
  };
}

/** The same factory, which notes the informers that are asked for. */
function recording(factory: InformerFactory, asked: Set<Informer<KubernetesObject>>): InformerFactory {
  return {
    informer<T extends KubernetesObject>(type: ResourceType<T>, scope?: InformerOptions): Informer<T> {
      const informer = factory.informer(type, scope);
      asked.add(informer as unknown as Informer<KubernetesObject>);
      return informer;
    },
    drop: (type, scope) => factory.drop(type, scope),
    start: () => factory.start(),
    synced: (signal) => factory.synced(signal),
    stop: () => factory.stop(),
  };
}
