// The aggregation layer (kube-aggregator): APIServices of the group versions this server serves, and extension servers that
// serve others. Puts the parts together; docs/aggregation.md tells how they play together.

import { serviceUnavailable } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { apiservices } from "../../api/resources.generated.ts";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Tracer } from "../../base/tracing.ts";
import type { Client } from "../../client/client.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";
import type { Tunnel } from "../../rpc/tunnel.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { AggregatedGroups, ServedGroup } from "../discovery/documents.ts";
import type { HealthCheck } from "../health.ts";
import type { EndpointSource } from "../http/endpoints.ts";
import type { Handler } from "../request.ts";
import { createServiceResolver } from "../webhook/service-resolver.ts";
import { aggregatedOpenApi } from "./aggregated-openapi.ts";
import { type AutoRegistration, startAutoRegistration } from "./auto-registration.ts";
import { startAvailability } from "./availability.ts";
import { Backends } from "./backends.ts";
import { registrationGroup } from "./group-priorities.ts";
import { mergeGroups, type RegisteredVersion } from "./merge-groups.ts";
import { type AggregationProxy, createProxy } from "./proxy.ts";
import { RemoteDiscovery } from "./remote-discovery.ts";
import { RemoteOpenApi } from "./remote-openapi.ts";
import type { ClientPair } from "./remote-server.ts";

export interface AggregatorDeps {
  /** Where its work queue is counted. */
  readonly queues?: QueueFigures | undefined;
  readonly reader: AdmissionReader;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  /** The certificate by which extension servers know this one as their front proxy. */
  readonly clientCertificate: () => ClientPair | undefined;
  /** Makes the connections to extension servers, where they are not made directly. */
  readonly tunnel?: Tunnel | undefined;
  /** Absent where nothing is traced. */
  readonly tracer?: Tracer | undefined;
}

export interface AggregatorOptions {
  /** Default 60 s. */
  readonly requestTimeoutMs?: number;
  /** Whether clients are told where an extension server redirects them. Default false. */
  readonly forwardsRedirects?: boolean;
}

export interface Aggregator extends Running {
  /** Ends the watches that are sent on, before the server waits for open requests. */
  endWatches(): void;
  /** Sends on what belongs to an extension server, and hands on the rest. */
  routed(local: Handler): Handler;
  readonly groups: AggregatedGroups;
  /** The server's OpenAPI documents with those of extension servers. */
  openApi(own: EndpointSource): EndpointSource;
  readonly checks: readonly HealthCheck[];
  /** Resolves when every built-in group version has its APIService. `client` may do everything. */
  start(client: Client, builtIn: readonly ResourceType[]): Promise<void>;
}

/** Upstream's names of what a start does here, in its order. */
const hooks = [
  "start-kube-aggregator-informers",
  "apiservice-status-local-available-controller",
  "apiservice-status-remote-available-controller",
  "apiservice-registration-controller",
  "apiservice-wait-for-first-sync",
  "apiservice-discovery-controller",
  "kube-apiserver-autoregistration",
] as const;
const openApiHooks = ["apiservice-openapi-controller", "apiservice-openapiv3-controller"] as const;

export function createAggregator(deps: AggregatorDeps, options: AggregatorOptions = {}): Aggregator {
  return new AggregationLayer(deps, options);
}

class AggregationLayer implements Aggregator {
  readonly groups: AggregatedGroups;
  readonly checks: readonly HealthCheck[];
  readonly #deps: AggregatorDeps;
  readonly #backends: Backends;
  readonly #documents: RemoteOpenApi;
  readonly #proxy: AggregationProxy;
  readonly #stack = new StopStack();
  #registration: AutoRegistration | undefined;
  #isStarted = false;

  constructor(deps: AggregatorDeps, options: AggregatorOptions) {
    const { reader, clock, logger } = deps;
    this.#deps = deps;
    const resolve = createServiceResolver({ reader, clock });
    this.#backends = this.#stack.add(new Backends({ clock, resolve, clientCertificate: deps.clientCertificate, tunnel: deps.tunnel }));
    this.#proxy = createProxy({ clock, logger, tracer: deps.tracer }, options);
    const discovery = this.#stack.add(new RemoteDiscovery({ clock, logger, queues: deps.queues, backends: this.#backends }));
    this.#documents = this.#stack.add(
      new RemoteOpenApi({ clock, logger, queues: deps.queues, backends: this.#backends, forward: this.#proxy.forward }),
    );
    this.#backends.addListener(discovery);
    this.#backends.addListener(this.#documents);
    this.groups = new RegisteredGroups(reader, discovery);
    this.checks = this.#healthChecks();
  }

  routed(local: Handler): Handler {
    return (context) => {
      if (!this.#backends.isSynced) return answeredBefore(context, local);
      if (this.#backends.isEmpty) return local(context);
      const backend = this.#backends.find(context.info);
      return backend ? this.#proxy.forward(backend, context) : local(context);
    };
  }

  async start(client: Client, builtIn: readonly ResourceType[]): Promise<void> {
    const { reader, clock, logger, metrics, queues } = this.#deps;
    const groupVersions = new Map(builtIn.map(({ group, version }) => [`${group}/${version}`, { group, version }]));
    this.#stack.add(startAvailability({ reader, client, clock, logger, metrics, queues, backends: this.#backends }));
    this.#registration = this.#stack.add(startAutoRegistration({ reader, client, clock, logger, queues }, [...groupVersions.values()]));
    await this.#backends.start(reader);
    this.#isStarted = true;
    await this.#registration.completed;
  }

  openApi(own: EndpointSource): EndpointSource {
    return aggregatedOpenApi(own, this.#documents);
  }

  endWatches(): void {
    this.#proxy.endWatches();
  }

  stop(): Promise<void> {
    return this.#stack.stop();
  }

  #healthChecks(): readonly HealthCheck[] {
    const hook = (name: string): HealthCheck => ({
      name: `poststarthook/${name}`,
      check: () => {
        if (!this.#isStarted) throw new Error("not finished");
      },
    });
    const completion: HealthCheck = {
      name: "autoregister-completion",
      check: () => {
        const missing = this.#registration?.missing;
        if (!missing || missing.length > 0) throw new Error(`missing APIService: [${(missing ?? []).join(" ")}]`);
      },
    };
    return [...hooks.map(hook), completion, ...openApiHooks.map(hook)];
  }
}

/** Before the APIServices are known, a group that is not served here may still be somebody's. */
async function answeredBefore(context: Parameters<Handler>[0], local: Handler): ReturnType<Handler> {
  const response = await local(context);
  if (response.kind !== "bytes" || response.status !== 404 || !context.info.path.startsWith("/api")) return response;
  throw serviceUnavailable("the request has been made before all known HTTP paths have been installed, please retry");
}

/** The groups of all APIServices, with what extension servers say of theirs. */
class RegisteredGroups implements AggregatedGroups {
  readonly #discovery: RemoteDiscovery;
  readonly #services = new Map<string, APIService>();
  #changes = 0;

  constructor(reader: AdmissionReader, discovery: RemoteDiscovery) {
    this.#discovery = discovery;
    const put = (service: APIService): void => {
      const before = this.#services.get(service.metadata.name);
      this.#services.set(service.metadata.name, service);
      // Equal specs may be different references: then documents are made once more for nothing.
      if (before?.spec !== service.spec) this.#changes++;
    };
    reader.informer(apiservices).addHandler({
      onAdd: put,
      onUpdate: put,
      onDelete: ({ metadata }) => {
        this.#services.delete(metadata.name);
        this.#changes++;
      },
    });
  }

  get generation(): number {
    return this.#changes + this.#discovery.generation;
  }

  merge(groups: readonly ServedGroup[]): readonly ServedGroup[] {
    return mergeGroups(groups, this.#registered());
  }

  *#registered(): Generator<RegisteredVersion> {
    for (const { metadata, spec } of this.#services.values()) {
      const { group = "", version = "", groupPriorityMinimum, versionPriority } = spec;
      // The core group is not listed among groups, and that of APIServices is this server's own.
      if (group === "" || group === registrationGroup) continue;
      yield {
        group,
        version,
        priority: { group: groupPriorityMinimum, version: versionPriority },
        ...(spec.service ? { remote: this.#discovery.version(metadata.name) } : {}),
      };
    }
  }
}
