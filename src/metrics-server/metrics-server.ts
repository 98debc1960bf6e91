// The cluster's metrics server: what `kubectl top` and the horizontal pod autoscaler ask, metrics.k8s.io/v1beta1. It asks the
// kubelets every 15 s and serves an extension API over HTTPS behind the aggregation layer. While somebody else's APIService is
// registered it does nothing.
import { isStatus } from "../api/meta/status-error.ts";
import { apiservices } from "../api/resources.generated.ts";
import type { APIService } from "../api/types/apiregistration-v1.ts";
import type { Clock } from "../base/clock.ts";
import { KeyedQueue, type KeyOutcome } from "../base/keyed-queue.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import { followFrontProxy } from "./front-proxy-trust.ts";
import { MetricStore } from "./metric-store.ts";
import { answerMetrics } from "./metrics-api.ts";
import { type MetricsServing, startMetricsHttp } from "./metrics-http.ts";
import { apiServiceName, isOurs, register } from "./registration.ts";
import { type KubeletAccess, Scraper } from "./scraper.ts";

export interface MetricsServerDependencies {
  /** Speaks as metricsServerUser. */
  readonly client: Client;
  /** May make roles and APIServices. */
  readonly registrar: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly kubelets: KubeletAccess;
}

export interface MetricsServerOptions {
  readonly serving: MetricsServing;
  /** --metric-resolution. Default 15 s. */
  readonly resolutionMs?: number;
  /** --kubelet-request-timeout. Default 10 s. */
  readonly timeoutMs?: number;
}

/** Resolves when it listens; it registers itself in the background, and tries again until that works. */
export async function startMetricsServer(deps: MetricsServerDependencies, options: MetricsServerOptions): Promise<Running> {
  const { client, registrar, clock, logger, kubelets } = deps;
  const { serving, resolutionMs = 15_000, timeoutMs = 10_000 } = options;
  const stack = new StopStack();
  try {
    const store = new MetricStore(resolutionMs);
    const server = stack.add(await startMetricsHttp((request) => answerMetrics({ client, clock, store }, request), serving, logger));
    const scraper = stack.add(new Scraper({ client, clock, logger, store, access: kubelets }, { resolutionMs, timeoutMs }));
    const following = stack.add(createInformerFactory(client, { clock, logger }));
    stack.add(followFrontProxy(following, (proxy) => server.trust(proxy)));
    let isFollowing = false;
    const step = async (): Promise<void> => {
      const isServing = await register(registrar, { address: serving.address, port: server.port });
      // Only now may this server read the config map.
      if (!isFollowing) following.start();
      isFollowing = true;
      await (isServing ? scraper.start() : scraper.stop());
    };
    stack.add(keepRegistered(deps, step));
    return { stop: () => stack.stop() };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

/** Takes the step at the start, and when the APIService comes, goes, or changes hands; again until it succeeds. */
function keepRegistered({ registrar, clock, logger }: MetricsServerDependencies, step: () => Promise<void>): Running {
  const stack = new StopStack();
  const queue = stack.add(
    new KeyedQueue<string>({
      ...{ clock, workers: 1, backoff: { baseMs: 500, maxMs: 30_000 } },
      async work(): Promise<KeyOutcome> {
        try {
          await step();
          return { kind: "done" };
        } catch (error) {
          if (!isStatus(error, "Conflict")) logger.info("Registering the metrics API failed, trying again", { error }, 1);
          return { kind: "retry" };
        }
      },
    }),
  );
  queue.start();
  const look = (): void => queue.add(apiServiceName);
  look();
  const informers = stack.add(createInformerFactory(registrar, { clock, logger }));
  const informer = informers.informer(apiservices, { fieldSelector: `metadata.name=${apiServiceName}` });
  const onUpdate = (now: APIService, before: APIService): void => {
    if (isOurs(now) !== isOurs(before)) look();
  };
  const handler = informer.addHandler({ onAdd: look, onDelete: look, onUpdate });
  stack.defer(() => handler.remove());
  informers.start();
  return stack;
}
