// The ingress controller: Ingress objects of its class, and gateways of the Gateway API where the cluster has that. Until there is
// one of either it only watches Ingress objects, classes and a definition: ports, the way to the pods and the other objects come
// with the first one, and the ports are given back after the last.
import { keyOf } from "../api/meta/object.ts";
import { ingressclasses, ingresses, namespaces } from "../api/resources.generated.ts";
import type { Namespace, Node } from "../api/types/core-v1.ts";
import type { Ingress, IngressClass } from "../api/types/networking-v1.ts";
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { MetricsRegistry } from "../base/metrics.ts";
import type { Client } from "../client/client.ts";
import type { EventRecorder } from "../client/event-recorder.ts";
import type { Informer, InformerFactory } from "../client/informer.ts";
import { createWorkQueue, type WorkQueue } from "../client/work-queue.ts";
import { isUsableCertificate } from "./certificates.ts";
import { type GatewayPlan, planGateways } from "./gateway/gateway-plan.ts";
import { type GatewayObjects, GatewaySource } from "./gateway/gateway-source.ts";
import { writeGatewayStatus } from "./gateway/gateway-status.ts";
import { isOurs } from "./ingress-class.ts";
import { createIngressMetrics, type IngressMetrics } from "./ingress-metrics.ts";
import type { IngressProxyOptions } from "./ingress-proxy.ts";
import { byAge, type IngressProblem, rulesOf } from "./ingress-rules.ts";
import { addressesOfMachine, startIngressStatus } from "./ingress-status.ts";
import { type IngressPorts, PortPlanner } from "./port-plans.ts";
import { type Serving, startServing } from "./serving.ts";

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

export interface IngressControllerOptions extends Omit<IngressProxyOptions, "httpsPort">, IngressPorts {
  /** What to write into the status of Ingress objects and gateways. Default the InternalIP addresses of this machine's node. */
  readonly publishAddresses?: readonly string[];
  /**
   * Serves in the place of this controller, while there is something to serve: then this one only watches for it. Default it
   * serves itself.
   */
  readonly serveElsewhere?: () => Running;
  /** Runs what writes the status while this copy of several leads. Default at once. */
  readonly whileLeading?: (start: () => Promise<Running>) => Promise<Running>;
}

export interface IngressController extends Running {
  /** Where it listens for Ingress objects; undefined while it does not. */
  port(scheme: "http" | "https"): number | undefined;
  /** Where it listens for a gateway's listener. */
  gatewayPort(scheme: "http" | "https", port: number): number | undefined;
}

const deadlineMs = 60_000;
const theKey = "routes";

export function startIngressController(deps: IngressControllerDeps, options: IngressControllerOptions): IngressController {
  const controller = new Controller(deps, options);
  controller.start();
  return controller;
}

class Controller implements IngressController {
  readonly #deps: IngressControllerDeps;
  readonly #options: IngressControllerOptions;
  readonly #ingresses: Informer<Ingress>;
  readonly #classes: Informer<IngressClass>;
  readonly #gateways: GatewaySource;
  readonly #planner: PortPlanner;
  readonly #queue: WorkQueue;
  readonly #stack = new StopStack();
  readonly #stopping = new AbortController();
  /** What has been said about each Ingress. */
  #said = new Map<string, ReadonlySet<string>>();
  #serving: Serving | undefined;
  #elsewhere: Running | undefined;
  #namespaces: Informer<Namespace> | undefined;
  #metrics: IngressMetrics | undefined;
  /** Whether this copy writes the status. */
  #leads = false;

  constructor(deps: IngressControllerDeps, options: IngressControllerOptions) {
    this.#deps = { ...deps, logger: deps.logger.named("ingress") };
    this.#options = options;
    this.#ingresses = deps.informers.informer(ingresses);
    this.#classes = deps.informers.informer(ingressclasses);
    this.#gateways = new GatewaySource(deps.informers, () => this.#tell(), { onlyDemand: options.serveElsewhere !== undefined });
    this.#planner = new PortPlanner(options);
    const { clock, logger } = this.#deps;
    const process = (_key: string, signal: AbortSignal) => this.#reload(signal).then(() => undefined);
    const backoff = { baseMs: 200, maxMs: 30_000 };
    this.#queue = createWorkQueue({ name: "ingress", clock, logger, workers: 1, deadlineMs, process, backoff });
  }

  port(scheme: "http" | "https"): number | undefined {
    return this.gatewayPort(scheme, scheme === "http" ? this.#options.httpPort : this.#options.httpsPort);
  }

  gatewayPort(scheme: "http" | "https", port: number): number | undefined {
    return this.#serving?.proxy.port(scheme, port);
  }

  start(): void {
    const tell = (): void => this.#tell();
    const onUpdate = (now: Ingress, before: Ingress): void => void (isSame(now, before) || tell());
    for (const handler of [
      this.#ingresses.addHandler({ onAdd: tell, onUpdate, onDelete: tell }),
      this.#classes.addHandler({ onAdd: tell, onUpdate: tell, onDelete: tell }),
    ])
      this.#stack.defer(() => handler.remove());
    this.#gateways.start();
    this.#stack.defer(() => this.#gateways.stop());
    this.#deps.informers.start();
    this.#stack.defer(() => this.#serving?.stop());
    this.#stack.defer(() => this.#elsewhere?.stop());
    this.#stack.add(this.#queue);
    const { signal } = this.#stopping;
    const begun = Promise.all([this.#ingresses.synced(signal), this.#classes.synced(signal), this.#gateways.synced(signal)]).then(
      () => this.#queue.start(),
      () => undefined, // stopped before
    );
    this.#stack.defer(() => begun);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the ingress controller is stopped"));
    await this.#stack.stop();
  }

  #tell(): void {
    this.#queue.add(theKey);
  }

  async #reload(signal: AbortSignal): Promise<void> {
    const ours = [...this.#ingresses.list()].filter((ingress) => isOurs(ingress, (name) => this.#classes.get(name))).sort(byAge);
    const objects = await this.#gateways.look(signal);
    if (ours.length === 0 && objects.gateways.length === 0) return this.#rest(objects, signal);
    if (this.#options.serveElsewhere) {
      this.#elsewhere ??= this.#options.serveElsewhere();
      return;
    }
    const serving = (this.#serving ??= await this.#startServing(signal));
    const gateways = await this.#planGateways(objects, serving, signal);
    const rules = ours.length > 0 ? rulesOf(ours) : undefined;
    const secretOf = (key: string) => serving.secrets.get(key);
    const { plans, problems } = this.#planner.plan({ rules, gateways: gateways.ports, secretOf });
    const ofIngress = [...(rules?.routes ?? []), ...(rules?.defaults ?? [])].flatMap(({ target }) => target.backend ?? []);
    serving.proxy.backends.retain([...ofIngress, ...gateways.backends]);
    serving.proxy.use(plans);
    this.#metrics?.reloads.add();
    const ofCertificates = problems.map(({ owner, message }) => ({ ingress: owner, reason: "InvalidCertificate", message }));
    this.#say([...(rules?.problems ?? []), ...ofCertificates, ...this.#portProblems(ours, serving)]);
    if (this.#leads) await writeGatewayStatus(gateways, this.#deps, signal);
  }

  /** Nothing is to be served; a class may want to be accepted all the same. */
  async #rest(objects: GatewayObjects, signal: AbortSignal): Promise<void> {
    const [serving, elsewhere] = [this.#serving, this.#elsewhere];
    this.#serving = undefined;
    this.#elsewhere = undefined;
    this.#said = new Map();
    await Promise.all([serving?.stop(), elsewhere?.stop()]);
    if (objects.classes.length === 0) return;
    const none = { service: () => undefined, secret: () => undefined, namespaceLabels: () => undefined, portProblem: () => undefined };
    const plan = planGateways({ ...objects, ...none, isUsableCertificate, isListening: () => false, addresses: [] });
    await writeGatewayStatus(plan, this.#deps, signal);
  }

  async #planGateways(objects: GatewayObjects, { proxy, services, secrets, nodes }: Serving, signal: AbortSignal): Promise<GatewayPlan> {
    if (objects.gateways.length > 0 && !this.#namespaces) await this.#followNamespaces(signal);
    return planGateways({
      ...objects,
      service: (key) => services.get(key),
      secret: (key) => secrets.get(key),
      isUsableCertificate,
      namespaceLabels: (name) => {
        const found = this.#namespaces?.get(name);
        return found && (found.metadata.labels ?? {});
      },
      portProblem: (scheme, port) => proxy.problem(scheme, port),
      isListening: (scheme, port) => proxy.port(scheme, port) !== undefined,
      addresses: await this.#addresses(nodes),
    });
  }

  /** Listeners may choose routes by the labels of their namespaces. */
  async #followNamespaces(signal: AbortSignal): Promise<void> {
    const tell = (): void => this.#tell();
    const informer = this.#deps.informers.informer(namespaces);
    const labels = ({ metadata }: Namespace): string => JSON.stringify(metadata.labels);
    const onUpdate = (now: Namespace, before: Namespace): void => void (labels(now) === labels(before) || tell());
    this.#deps.informers.start();
    await informer.synced(signal);
    const handler = informer.addHandler({ onUpdate, onDelete: tell });
    this.#stack.defer(() => handler.remove());
    this.#namespaces = informer;
  }

  async #addresses(nodes: Informer<Node>): Promise<readonly string[]> {
    const { publishAddresses = [] } = this.#options;
    return publishAddresses.length > 0 ? publishAddresses : addressesOfMachine(nodes.list(), await this.#deps.machineAddresses());
  }

  #portProblems(ours: readonly Ingress[], { proxy }: Serving): readonly IngressProblem[] {
    const { httpPort, httpsPort } = this.#options;
    const messages = [proxy.problem("http", httpPort) ?? [], proxy.problem("https", httpsPort) ?? []].flat();
    return ours.flatMap((ingress) => messages.map((message) => ({ ingress, reason: "PortUnavailable", message })));
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

  #startServing(signal: AbortSignal): Promise<Serving> {
    const { informers, clock, logger, metrics } = this.#deps;
    this.#metrics ??= this.#newMetrics(metrics);
    const deps = { informers, clock, logger, metrics: this.#metrics, changed: () => this.#tell() };
    return startServing(deps, this.#options, { signal, startBeside: (nodes) => this.#startStatus(nodes) });
  }

  #newMetrics(registry: MetricsRegistry): IngressMetrics {
    registry.beforeScrape(() => this.#serving?.proxy.countConnections());
    return createIngressMetrics(registry);
  }

  #startStatus(nodeInformer: Informer<Node>): Promise<Running> {
    const { whileLeading = (start) => start(), publishAddresses } = this.#options;
    const isOurOwn = (ingress: Ingress): boolean => isOurs(ingress, (name) => this.#classes.get(name));
    const deps = { ...this.#deps, ingresses: this.#ingresses, nodes: nodeInformer, classes: this.#classes };
    return whileLeading(async () => {
      this.#leads = true;
      this.#tell();
      const status = startIngressStatus(deps, {
        isOurs: isOurOwn,
        isListening: () => this.port("http") !== undefined || this.port("https") !== undefined,
        ...(publishAddresses && publishAddresses.length > 0 ? { addresses: publishAddresses } : {}),
      });
      const stop = (): Promise<void> => {
        this.#leads = false;
        return status.stop();
      };
      return { stop };
    });
  }
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
