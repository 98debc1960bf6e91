// Health and figures of the controllers and the scheduler of `coracle up`, at the ports and with the access that they have as
// processes of their own: HTTPS on this machine, 10257 and 10259, for whoever may get /metrics. Of several clusters on a machine
// the first has them; another one waits until they are free, and works without.
import type { Clock, Timer } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { registerBuildInfo, registerProcessMetrics, registerVersionInfo } from "../../base/process-metrics.ts";
import type { Client } from "../../client/client.ts";
import { ControllerMetrics } from "../../controllers/controller-metrics.ts";
import { SchedulerMetrics } from "../../scheduler/scheduler-metrics.ts";

export interface LoopMetrics {
  readonly controllers: { readonly registry: MetricsRegistry; readonly metrics: ControllerMetrics };
  readonly scheduler: { readonly registry: MetricsRegistry; readonly metrics: SchedulerMetrics };
}

export function createLoopMetrics(clock: Clock): LoopMetrics {
  const [ofControllers, ofScheduler] = [new MetricsRegistry(), new MetricsRegistry()];
  for (const registry of [ofControllers, ofScheduler]) {
    // Of the process that both are in.
    registerProcessMetrics(registry, clock);
    registerBuildInfo(registry);
    registerVersionInfo(registry);
  }
  return {
    controllers: { registry: ofControllers, metrics: new ControllerMetrics(ofControllers) },
    scheduler: { registry: ofScheduler, metrics: new SchedulerMetrics(ofScheduler) },
  };
}

export interface ServedLoop {
  /** For the log: "scheduler". */
  readonly name: string;
  readonly port: number;
  readonly registry: MetricsRegistry;
  readonly checks: () => ReadonlyMap<string, string | undefined>;
  /** More pages of figures, by path. */
  readonly pages?: Readonly<Record<string, () => string>>;
  /** What /configz shows. */
  readonly configuration: Readonly<Record<string, unknown>>;
  /** Of the component: it asks the API server who may look. */
  readonly client: Client;
}

export interface ServeLoopsDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** PEM of the authority whose certificates clients may have. */
  readonly clientCaPem: string;
}

const address = "127.0.0.1";
const retryMs = 5_000;
/** May be asked for by everybody, as upstream's --authorization-always-allow-paths. */
const openPaths = ["/healthz", "/readyz", "/livez"];

/** Resolves after the first try to listen. */
export async function serveLoops(loops: readonly ServedLoop[], deps: ServeLoopsDeps): Promise<Running> {
  const stack = new StopStack();
  for (const loop of loops) if (loop.port !== 0) stack.add(await serveLoop(loop, deps));
  return stack;
}

async function serveLoop(loop: ServedLoop, { clock, logger, clientCaPem }: ServeLoopsDeps): Promise<Running> {
  const [{ startComponentServer }, { createComponentAccess }, { servingPair }] = await Promise.all([
    import("../component/component-server.ts"),
    import("../component/component-access.ts"),
    import("../component/component-certificate.ts"),
  ]);
  const { name, registry: metrics, checks, configuration, client, pages = {} } = loop;
  const shown = { component: name, configuration, flags: {} };
  const access = createComponentAccess({ client, clock, alwaysAllow: openPaths });
  const options = { address, port: loop.port, clientCa: clientCaPem, ...(await servingPair(undefined, undefined, clock)) };
  const served = { logger: logger.named(name), clock, metrics, access, checks, pages, ...shown };
  let running: Running | undefined;
  let retry: Timer | undefined;
  let isStopped = false;
  let hasFailed = false;
  const tryToListen = async (): Promise<void> => {
    try {
      running = await startComponentServer(served, options);
      if (isStopped) await running.stop();
    } catch (error) {
      if (!hasFailed) logger.info("Health and metrics of a component are not served", { component: name, error: errorText(error) }, 1);
      hasFailed = true;
      if (!isStopped) retry = clock.after(retryMs, () => void tryToListen());
    }
  };
  await tryToListen();
  return {
    async stop() {
      isStopped = true;
      retry?.cancel();
      await running?.stop();
    },
  };
}
