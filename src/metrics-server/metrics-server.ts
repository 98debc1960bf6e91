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
import { type FrontProxy, followFrontProxy } from "./front-proxy-trust.ts";
import { MetricStore } from "./metric-store.ts";
import { answerMetrics } from "./metrics-api.ts";
import { type MetricsServing, startMetricsHttp } from "./metrics-http.ts";
import { apiServiceName, isOurs, register, registerRoles } from "./registration.ts";
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

/** In a cluster that names no front proxy the API is registered all the same, and found unavailable. */
const trustTimeoutMs = 5_000;

/** Resolves when it listens and has tried to register itself, which it goes on trying until it works. */
export async function startMetricsServer(deps: MetricsServerDependencies, options: MetricsServerOptions): Promise<Running> {
  const { client, registrar, clock, logger, kubelets } = deps;
  const { serving, resolutionMs = 15_000, timeoutMs = 10_000 } = options;
  const stack = new StopStack();
  try {
    const store = new MetricStore(resolutionMs);
    const server = stack.add(await startMetricsHttp((request) => answerMetrics({ client, clock, store }, request), serving, logger));
    const scraper = stack.add(new Scraper({ client, clock, logger, store, access: kubelets }, { resolutionMs, timeoutMs }));
    const following = stack.add(createInformerFactory(client, { clock, logger }));
    const trusted = new AbortController();
    const trust = (proxy: FrontProxy): void => {
      server.trust(proxy);
      trusted.abort();
    };
    stack.add(followFrontProxy(following, trust));
    let isFollowing = false;
    const step = async (): Promise<void> => {
      await registerRoles(registrar);
      // Only now may this server read the config map; and only when it knows the front proxy will its answers be taken for good.
      if (!isFollowing) following.start();
      isFollowing = true;
      await clock.sleep(trustTimeoutMs, trusted.signal).catch(() => undefined);
      const isServing = await register(registrar, { address: serving.address, port: server.port });
      await (isServing ? scraper.start() : scraper.stop());
    };
    stack.defer(() => trusted.abort());
    await stack.add(keepRegistered(deps, step)).attempted;
    return { stop: () => stack.stop() };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

/** Takes the step at the start, and when the APIService comes, goes, or changes hands; again until it succeeds. */
function keepRegistered(
  { registrar, clock, logger }: MetricsServerDependencies,
  step: () => Promise<void>,
): Running & { readonly attempted: Promise<void> } {
  const stack = new StopStack();
  let attempt = (): void => undefined;
  const attempted = new Promise<void>((resolve) => {
    attempt = resolve;
  });
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
        } finally {
          attempt();
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
  return {
    attempted,
    stop() {
      attempt();
      return stack.stop();
    },
  };
}
