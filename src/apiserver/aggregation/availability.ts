// Keeps the condition Available of APIServices: whether the service is there, and whether the server behind it answers for the
// group version. Looked at when the APIService, its service or the service's endpoints change, and every half minute.

import { isStatus } from "../../api/meta/status-error.ts";
import { apiservices, endpointslices, services } from "../../api/resources.generated.ts";
import { findCondition, withCondition } from "../../api/semantics/conditions.ts";
import type { APIService, APIServiceCondition } from "../../api/types/apiregistration-v1.ts";
import type { Service } from "../../api/types/core-v1.ts";
import type { EndpointSlice } from "../../api/types/discovery-v1.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import { KeyedQueue, type KeyOutcome } from "../../base/keyed-queue.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Client } from "../../client/client.ts";
import type { Informer } from "../../client/informer.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import { slicesOfService } from "../webhook/service-resolver.ts";
import { type Backend, isAvailable } from "./backend.ts";
import type { Backends } from "./backends.ts";
import { type Availability, checkService, local, passed, unavailable } from "./check-service.ts";
import { fetchDocument } from "./fetch-document.ts";

export interface AvailabilityDeps {
  /** Where its work queue is counted. */
  readonly queues?: QueueFigures | undefined;
  readonly reader: AdmissionReader;
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly backends: Backends;
}

/** Who asks: allowed everywhere, so that a refusal is no sign of a broken server. */
export const aggregatorUser = { name: "system:kube-aggregator", groups: ["system:masters"] };

const workers = 5;
const recheckMs = 30_000;
const backoff = { baseMs: 5, maxMs: recheckMs };
/** As many calls at once, to endpoints picked by chance: one that answers is enough. */
const attempts = 5;
const probeTimeoutMs = 5000;
const maxProbeBytes = 8 * 1024 * 1024;
const byService = "service";

const servicesOf = ({ spec }: APIService): readonly string[] => (spec.service ? [`${spec.service.namespace}/${spec.service.name}`] : []);

export function startAvailability(deps: AvailabilityDeps): Running {
  return new AvailabilityController(deps);
}

class AvailabilityController implements Running {
  readonly #deps: AvailabilityDeps;
  readonly #apiServices: Informer<APIService>;
  readonly #queue: KeyedQueue<string>;
  readonly #handlers: { remove(): void }[] = [];
  readonly #turnedUnavailable;
  /** The services' caches are followed from the first APIService on that names one. */
  #followed: Promise<void> | undefined;

  constructor(deps: AvailabilityDeps) {
    this.#deps = deps;
    this.#apiServices = deps.reader.informer(apiservices);
    this.#apiServices.addIndex(byService, servicesOf);
    this.#turnedUnavailable = this.#registerMetrics(deps.metrics);
    const metrics = deps.queues?.hooks("RemoteAvailabilityController");
    this.#queue = new KeyedQueue<string>({
      clock: deps.clock,
      workers,
      backoff,
      work: (name, signal) => this.#work(name, signal),
      ...(metrics ? { metrics } : {}),
    });
    deps.queues?.measure("RemoteAvailabilityController", this.#queue);
    const changed = (service: APIService): void => {
      if (service.spec.service && !this.#followed) {
        this.#followed = this.#followServices();
        // Who waits for it learns that the caches have stopped.
        this.#followed.catch(() => undefined);
      }
      this.#queue.add(service.metadata.name);
    };
    this.#handlers.push(this.#apiServices.addHandler({ onAdd: changed, onUpdate: changed }));
    this.#apiServices.start();
    this.#queue.start();
  }

  async stop(): Promise<void> {
    for (const handler of this.#handlers) handler.remove();
    await this.#queue.stop();
  }

  #registerMetrics(metrics: MetricsRegistry) {
    const gauge = metrics.gauge(
      "aggregator_unavailable_apiservice",
      "[ALPHA] Gauge of APIServices which are marked as unavailable broken down by APIService name.",
      ["name"],
    );
    metrics.beforeScrape(() => {
      gauge.reset();
      for (const service of this.#apiServices.list()) gauge.series(service.metadata.name).set(isAvailable(service) ? 0 : 1);
    });
    return metrics.counter(
      "aggregator_unavailable_apiservice_total",
      "[ALPHA] Counter of APIServices which are marked as unavailable broken down by APIService name and reason.",
      ["name", "reason"],
    );
  }

  async #followServices(): Promise<void> {
    const { reader } = this.#deps;
    const concerned = (service: string): void => {
      for (const { metadata } of this.#apiServices.byIndex(byService, service)) this.#queue.add(metadata.name);
    };
    const onService = ({ metadata }: Service): void => concerned(`${metadata.namespace}/${metadata.name}`);
    const onSlice = ({ metadata }: EndpointSlice): void =>
      concerned(`${metadata.namespace}/${metadata.labels?.["kubernetes.io/service-name"]}`);
    const [all, slices] = [reader.informer(services), reader.informer(endpointslices)];
    this.#handlers.push(
      all.addHandler({ onAdd: onService, onUpdate: onService, onDelete: onService }),
      slices.addHandler({ onAdd: onSlice, onUpdate: onSlice, onDelete: onSlice }),
    );
    all.start();
    slices.start();
    await Promise.all([all.synced(), slices.synced()]);
  }

  async #work(name: string, signal: AbortSignal): Promise<KeyOutcome> {
    try {
      const service = this.#apiServices.get(name);
      if (!service) return { kind: "done" };
      const found = await this.#find(service, signal);
      await this.#write(service, found, signal);
      if (found === local) return { kind: "done" };
      return found.reason === "FailedDiscoveryCheck" ? { kind: "retry" } : { kind: "after", delayMs: recheckMs };
    } catch (error) {
      if (!signal.aborted && !isStatus(error, "Conflict", "NotFound"))
        this.#deps.logger.warn("Availability of an API service not determined", { apiService: name, error });
      return { kind: "retry" };
    }
  }

  async #find(apiService: APIService, signal: AbortSignal): Promise<Availability> {
    const { reader, backends } = this.#deps;
    const { service } = apiService.spec;
    if (!service) return local;
    await this.#followed;
    const key = { namespace: service.namespace ?? "", name: service.name ?? "" };
    const found = reader.informer(services).get(`${key.namespace}/${key.name}`);
    const problem = checkService(apiService, found, slicesOfService(reader, key));
    if (problem) return problem;
    const backend = backends.get(apiService.metadata.name);
    if (!backend) throw new Error("the backend is not known yet");
    return this.#probe(backend, signal);
  }

  async #probe(backend: Backend, signal: AbortSignal): Promise<Availability> {
    try {
      // The others go on: what they have connected is kept for the next time.
      await Promise.any(Array.from({ length: attempts }, () => this.#call(backend, signal)));
      return passed;
    } catch (error) {
      signal.throwIfAborted();
      const failures = (error as AggregateError).errors as readonly Error[];
      return unavailable("FailedDiscoveryCheck", failures.at(-1)?.message ?? "");
    }
  }

  async #call(backend: Backend, signal: AbortSignal): Promise<void> {
    const request = { path: backend.root, user: aggregatorUser, timeoutMs: probeTimeoutMs, maxBytes: maxProbeBytes, signal };
    let answer: Awaited<ReturnType<typeof fetchDocument>>;
    try {
      answer = await fetchDocument(backend, request, this.#deps.clock);
    } catch (error) {
      const { message } = error as Error;
      const [, url] = /^Get "([^"]*)"/.exec(message) ?? [];
      throw url === undefined ? error : new Error(`failing or missing response from ${url}: ${message}`, { cause: error });
    }
    const { status, url } = answer;
    if (status < 200 || status > 299) throw new Error(`failing or missing response from ${url}: bad status from ${url}: ${status}`);
  }

  /** Writes the condition where it says something else. */
  async #write(service: APIService, found: Availability, signal: AbortSignal): Promise<void> {
    const { client, clock, logger } = this.#deps;
    const { name } = service.metadata;
    const before = findCondition<APIServiceCondition>(
      service.status?.conditions as readonly APIServiceCondition[] | undefined,
      "Available",
    );
    if (before && before.status === found.status && before.reason === found.reason && before.message === found.message) return;
    const isOld = before?.status === found.status && before.lastTransitionTime !== undefined;
    const condition = {
      type: "Available",
      status: found.status,
      lastTransitionTime: isOld ? before.lastTransitionTime : formatTime(clock.now()),
      reason: found.reason,
      message: found.message,
    };
    logger.info("Changing APIService availability", { name, newStatus: found.status, message: found.message, reason: found.reason }, 2);
    const conditions = withCondition<APIServiceCondition>(service.status?.conditions, condition as APIServiceCondition);
    await client.updateStatus(apiservices, { ...service, status: { ...service.status, conditions } }, { signal });
    // What has never been said to be available counts as unavailable before, as upstream counts.
    if (before?.status === "True" && found.status !== "True") this.#turnedUnavailable.series(name, found.reason).add();
  }
}
