// The ingress controller. Until there is an Ingress of its class it only watches Ingress objects and classes: ports, the way to
// the pods and the other objects come with the first one, and the ports are given back after the last.
import { keyOf } from "../api/meta/object.ts";
import { endpointslices, ingressclasses, ingresses, nodes, secrets, services } from "../api/resources.generated.ts";
import type { Node, Secret, Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { Ingress, IngressClass } from "../api/types/networking-v1.ts";
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { MetricsRegistry } from "../base/metrics.ts";
import type { Client } from "../client/client.ts";
import type { EventRecorder } from "../client/event-recorder.ts";
import type { Informer, InformerFactory } from "../client/informer.ts";
import { createWorkQueue, type WorkQueue } from "../client/work-queue.ts";
import { isOurs } from "./ingress-class.ts";
import { createIngressMetrics, type IngressMetrics } from "./ingress-metrics.ts";
import type { IngressProxy, IngressProxyOptions } from "./ingress-proxy.ts";
import { byAge, type IngressProblem, rulesOf } from "./ingress-rules.ts";
import { startIngressStatus } from "./ingress-status.ts";
import { readyEndpoints } from "./ready-endpoints.ts";
import { type Backend, compileRoutes } from "./routes.ts";

export interface IngressControllerDeps {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly metrics: MetricsRegistry;
  /** Addresses of this machine: the node that has one of them is the one whose addresses are published. */
  readonly machineAddresses: () => Promise<readonly string[]>;
}

export interface IngressControllerOptions extends IngressProxyOptions {
  /** What to write into the status of Ingress objects. Default the InternalIP addresses of this machine's node. */
  readonly publishAddresses?: readonly string[];
  /** Runs what writes the status while this copy of several leads. Default at once. */
  readonly whileLeading?: (start: () => Promise<Running>) => Promise<Running>;
}

export interface IngressController extends Running {
  /** Where it listens; undefined while it does not. */
  port(scheme: "http" | "https"): number | undefined;
}

const deadlineMs = 60_000;
const theKey = "routes";

export function startIngressController(deps: IngressControllerDeps, options: IngressControllerOptions): IngressController {
  const controller = new Controller(deps, options);
  controller.start();
  return controller;
}

/** What there is while there is something to serve. */
interface Serving extends Running {
  readonly proxy: IngressProxy;
  readonly secrets: Informer<Secret>;
  /** By scheme. */
  readonly portProblems: Map<string, string>;
}

class Controller implements IngressController {
  readonly #deps: IngressControllerDeps;
  readonly #options: IngressControllerOptions;
  readonly #ingresses: Informer<Ingress>;
  readonly #classes: Informer<IngressClass>;
  readonly #queue: WorkQueue;
  readonly #stack = new StopStack();
  readonly #stopping = new AbortController();
  /** What has been said about each Ingress. */
  #said = new Map<string, ReadonlySet<string>>();
  #serving: Serving | undefined;
  #metrics: IngressMetrics | undefined;

  constructor(deps: IngressControllerDeps, options: IngressControllerOptions) {
    this.#deps = { ...deps, logger: deps.logger.named("ingress") };
    this.#options = options;
    this.#ingresses = deps.informers.informer(ingresses);
    this.#classes = deps.informers.informer(ingressclasses);
    const { clock, logger } = this.#deps;
    const process = (_key: string, signal: AbortSignal) => this.#reload(signal).then(() => undefined);
    this.#queue = createWorkQueue({
      name: "ingress",
      clock,
      logger,
      workers: 1,
      deadlineMs,
      process,
      backoff: { baseMs: 200, maxMs: 30_000 },
    });
  }

  port(scheme: "http" | "https"): number | undefined {
    return this.#serving?.proxy.port(scheme);
  }

  start(): void {
    const tell = (): void => this.#queue.add(theKey);
    const onUpdate = (now: Ingress, before: Ingress): void => void (isSame(now, before) || tell());
    for (const handler of [
      this.#ingresses.addHandler({ onAdd: tell, onUpdate, onDelete: tell }),
      this.#classes.addHandler({ onAdd: tell, onUpdate: tell, onDelete: tell }),
    ])
      this.#stack.defer(() => handler.remove());
    this.#deps.informers.start();
    this.#stack.defer(() => this.#serving?.stop());
    this.#stack.add(this.#queue);
    const { signal } = this.#stopping;
    const begun = Promise.all([this.#ingresses.synced(signal), this.#classes.synced(signal)]).then(
      () => this.#queue.start(),
      () => undefined, // stopped before
    );
    this.#stack.defer(() => begun);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the ingress controller is stopped"));
    await this.#stack.stop();
  }

  async #reload(signal: AbortSignal): Promise<void> {
    const ours = [...this.#ingresses.list()].filter((ingress) => isOurs(ingress, (name) => this.#classes.get(name))).sort(byAge);
    if (ours.length === 0) {
      const serving = this.#serving;
      this.#serving = undefined;
      this.#said = new Map();
      return serving?.stop();
    }
    const { proxy, secrets, portProblems } = (this.#serving ??= await this.#startServing(signal));
    const { routes, defaults, certificates, problems } = rulesOf(ours);
    const ofCertificates = proxy.certificates.update(certificates, (key) => secrets.get(key));
    proxy.backends.retain([...routes, ...defaults].flatMap(({ target }) => target.backend ?? []));
    proxy.use(compileRoutes(routes, defaults));
    this.#metrics?.reloads.add();
    const ofPorts = ours.flatMap((ingress) =>
      [...portProblems.values()].map((message) => ({ ingress, reason: "PortUnavailable", message })),
    );
    this.#say([...problems, ...ofCertificates, ...ofPorts]);
  }

  /** Each problem once, until it is gone. */
  #say(problems: readonly IngressProblem[]): void {
    const said = new Map<string, Set<string>>();
    for (const { ingress, reason, message } of problems) {
      const key = keyOf(ingress);
      const texts = said.get(key) ?? new Set();
      said.set(key, texts);
      if (texts.has(message)) continue;
      texts.add(message);
      if (!this.#said.get(key)?.has(message)) this.#deps.recorder.record(ingress, { type: "Warning", reason, message });
    }
    this.#said = said;
  }

  async #startServing(signal: AbortSignal): Promise<Serving> {
    const { informers, clock, logger, metrics } = this.#deps;
    const serviceInformer = informers.informer(services);
    const slices = informers.informer(endpointslices);
    const tlsSecrets = informers.informer(secrets, { fieldSelector: "type=kubernetes.io/tls" });
    const nodeInformer = informers.informer(nodes);
    slices.addIndex("ingress-service", serviceOfSlice);
    informers.start();
    await Promise.all([serviceInformer, slices, tlsSecrets, nodeInformer].map((informer) => informer.synced(signal)));
    const { IngressProxy } = await import("./ingress-proxy.ts");
    const endpointsOf = ({ namespace, service, port }: Backend) => {
      const found = serviceInformer.get(`${namespace}/${service}`);
      return found ? readyEndpoints(found, port, slices.byIndex("ingress-service", `${namespace}/${service}`)) : [];
    };
    this.#metrics ??= this.#newMetrics(metrics);
    const proxy = new IngressProxy({ clock, logger, metrics: this.#metrics, endpointsOf }, this.#options);
    const stack = new StopStack();
    // First, because it may fail: until then there is nothing to stop.
    stack.add(await this.#startStatus(nodeInformer, proxy));
    stack.add(proxy);
    this.#followEndpoints(stack, proxy, { services: serviceInformer, slices });
    const tell = (): void => this.#queue.add(theKey);
    const ofSecrets = tlsSecrets.addHandler({ onAdd: tell, onUpdate: tell, onDelete: tell });
    stack.defer(() => ofSecrets.remove());
    const portProblems = new Map<string, string>();
    proxy.listen((scheme, problem) => {
      if (problem === undefined) portProblems.delete(scheme);
      else portProblems.set(scheme, problem);
      tell();
    });
    return { proxy, secrets: tlsSecrets, portProblems, stop: () => stack.stop() };
  }

  #newMetrics(registry: MetricsRegistry): IngressMetrics {
    registry.beforeScrape(() => this.#serving?.proxy.countConnections());
    return createIngressMetrics(registry);
  }

  #followEndpoints(
    stack: StopStack,
    { backends }: IngressProxy,
    of: { services: Informer<Service>; slices: Informer<EndpointSlice> },
  ): void {
    const ofService = (service: Service): void => backends.changed(keyOf(service));
    const ofSlice = (slice: EndpointSlice): void => {
      for (const key of serviceOfSlice(slice)) backends.changed(key);
    };
    const services = of.services.addHandler({ onAdd: ofService, onUpdate: ofService, onDelete: ofService });
    const slices = of.slices.addHandler({ onAdd: ofSlice, onUpdate: ofSlice, onDelete: ofSlice });
    stack.defer(() => services.remove());
    stack.defer(() => slices.remove());
  }

  #startStatus(nodeInformer: Informer<Node>, proxy: IngressProxy): Promise<Running> {
    const { whileLeading = (start) => start(), publishAddresses } = this.#options;
    const isOurOwn = (ingress: Ingress): boolean => isOurs(ingress, (name) => this.#classes.get(name));
    const deps = { ...this.#deps, ingresses: this.#ingresses, nodes: nodeInformer, classes: this.#classes };
    return whileLeading(async () =>
      startIngressStatus(deps, {
        isOurs: isOurOwn,
        isListening: () => proxy.port("http") !== undefined || proxy.port("https") !== undefined,
        ...(publishAddresses && publishAddresses.length > 0 ? { addresses: publishAddresses } : {}),
      }),
    );
  }
}

/** The key of the service that a slice belongs to. */
function serviceOfSlice({ metadata }: EndpointSlice): readonly string[] {
  const name = metadata.labels?.["kubernetes.io/service-name"];
  return name ? [`${metadata.namespace}/${name}`] : [];
}

/** Writing the status, which this controller does itself, is no reason to begin anew. */
function isSame(now: Ingress, before: Ingress): boolean {
  return (
    now.metadata.generation !== undefined &&
    now.metadata.generation === before.metadata.generation &&
    now.metadata.deletionTimestamp === before.metadata.deletionTimestamp &&
    JSON.stringify(now.metadata.annotations) === JSON.stringify(before.metadata.annotations)
  );
}
