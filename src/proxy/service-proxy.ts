// The proxy of one node: watches services, endpoint slices, service ranges and its own node, and keeps the kernel's packet
// rules as they say. Changes that come together are written together; a change costs what it concerns, not what there is.
import type { KubernetesObject } from "../api/meta/object.ts";
import type { ResourceType } from "../api/resource-type.ts";
import { endpointslices, nodes, servicecidrs, services } from "../api/resources.generated.ts";
import type { Node, Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { ServiceCIDR } from "../api/types/networking-v1.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import { errorText, type Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { Informer, InformerOptions } from "../client/informer.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import type { Conntrack } from "../linux/conntrack.ts";
import type { Nftables } from "../linux/nftables.ts";
import { type IpFamily, ipFamilies } from "../linux/packet-rules/rule-set.ts";
import { endpointsOf } from "./endpoints.ts";
import { type FamilyFacts, familyFacts, isSameForServices, type RuleOptions } from "./family-facts.ts";
import { FamilyProxy } from "./family-proxy.ts";
import { FlowCleaner } from "./flow-cleaner.ts";
import { viewOfNode } from "./node-view.ts";
import type { ProxyHealth } from "./proxy-health.ts";
import type { ProxyMetrics } from "./proxy-metrics.ts";
import type { ServiceHealth } from "./service-health.ts";
import { healthCheckPortOf, isProxied, proxyNameLabel } from "./service-port.ts";
import { choiceProbe } from "./shared-choice.ts";

export interface ServiceProxyDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nftables: Nftables;
  readonly conntrack: Conntrack;
  readonly metrics: ProxyMetrics;
  readonly health: ProxyHealth;
  readonly serviceHealth: ServiceHealth;
  /** Addresses of this machine's interfaces. */
  readonly localAddresses: () => Promise<readonly string[]>;
}

export interface ServiceProxyOptions extends RuleOptions {
  readonly tableName: string;
  /** The node's primary address, unless it means every one. */
  readonly bindAddress: string;
  /** Between two writes. */
  readonly minSyncPeriodMs: number;
  /** How often the kernel's table is looked at, and the longest wait after a failed write. */
  readonly syncPeriodMs: number;
}

/** Changes that belong together come within this time. */
const settleMs = 5;
const firstRetryMs = 500;
/** After so long everything is written again, whatever is believed about the kernel. */
const fullSyncPeriodMs = 3_600_000;
const maxTriggerTimes = 1_000;

const byService = "service";
const serviceOfSlice = ({ metadata }: EndpointSlice): readonly string[] => {
  const name = metadata.labels?.["kubernetes.io/service-name"];
  return name === undefined ? [] : [`${metadata.namespace ?? ""}/${name}`];
};

export class ServiceProxy implements Running {
  readonly #deps: ServiceProxyDeps;
  readonly #options: ServiceProxyOptions;
  readonly #families: readonly FamilyProxy[];
  readonly #flows: FlowCleaner;
  readonly #stack = new StopStack();
  readonly #services: Informer<Service>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #cidrs: Informer<ServiceCIDR>;
  readonly #node: Informer<Node>;
  readonly #startInformers: () => Promise<void>;
  readonly #dirty = new Set<string>();
  /** Services whose health-check port is to say what is being written. */
  readonly #unreported = new Set<string>();
  readonly #stopped = new AbortController();
  /** Times of the changes of endpoints that are to be written. */
  #triggerMs: number[] = [];
  #isBaseDirty = true;
  #facts: ReadonlyMap<IpFamily, FamilyFacts> = new Map();
  /** Whether this machine's packet filter has what shared chains take. */
  #sharesChoice: boolean | undefined;
  #timer: Timer | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  #lastStartMs = Number.NEGATIVE_INFINITY;
  #lastFullMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #isReady = false;
  #running: Promise<void> | undefined;
  #markWritten: () => void = () => undefined;
  /** Resolves when the rules have been written for the first time. */
  readonly written = new Promise<void>((resolve) => {
    this.#markWritten = resolve;
  });

  constructor(deps: ServiceProxyDeps, options: ServiceProxyOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#families = ipFamilies.map((family) => new FamilyProxy(deps, family, options.tableName));
    this.#flows = new FlowCleaner(deps);
    const factory = this.#stack.add(createInformerFactory(deps.client, deps));
    const informer = <T extends KubernetesObject>(type: ResourceType<T>, scope?: InformerOptions) => factory.informer(type, scope);
    this.#services = informer(services, { labelSelector: `!${proxyNameLabel}` });
    this.#slices = informer(endpointslices, { labelSelector: "!service.kubernetes.io/headless" });
    this.#cidrs = informer(servicecidrs);
    this.#node = informer(nodes, { fieldSelector: `metadata.name=${options.nodeName}` });
    this.#startInformers = async () => {
      factory.start();
      await factory.synced(this.#stopped.signal);
    };
  }

  get node(): Node | undefined {
    return this.#node.get(this.#options.nodeName);
  }

  /** Does not wait for the API server. */
  start(): void {
    this.#slices.addIndex(byService, serviceOfSlice);
    const onService = (service: Service): void => this.#noteService(service);
    this.#services.addHandler({ onAdd: onService, onUpdate: onService, onDelete: onService });
    const onSlice = (slice: EndpointSlice): void => this.#noteSlice(slice);
    this.#slices.addHandler({ onAdd: onSlice, onUpdate: onSlice, onDelete: onSlice });
    const onBase = (): void => this.#noteBase();
    this.#cidrs.addHandler({ onAdd: onBase, onUpdate: onBase, onDelete: onBase });
    this.#node.addHandler({ onAdd: onBase, onDelete: onBase, onUpdate: (now, before) => this.#noteNode(now, before) });
    for (const family of ipFamilies) this.#deps.health.updated(family);
    const check = this.#deps.clock.every(this.#options.syncPeriodMs, () => void this.#check());
    this.#stack.defer(() => check.cancel());
    this.#startInformers().then(
      () => {
        this.#isReady = true;
        this.#schedule();
      },
      () => undefined, // stopped before the API server has answered
    );
  }

  /** The rules stay: what runs on the node goes on reaching services. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error("the proxy was stopped"));
    this.#timer?.cancel();
    await this.#running;
    await this.#stack.stop();
  }

  #noteService({ metadata }: Service): void {
    this.#deps.metrics.changed("service");
    this.#noteDirty(`${metadata.namespace ?? ""}/${metadata.name}`);
  }

  #noteSlice(slice: EndpointSlice): void {
    const [key] = serviceOfSlice(slice);
    if (key === undefined) return;
    this.#deps.metrics.changed("endpoint");
    const changed = slice.metadata.annotations?.["endpoints.kubernetes.io/last-change-trigger-time"];
    // What was there at the start has been served before, or would count as old as the cluster.
    if (this.#isReady && changed !== undefined && this.#triggerMs.length < maxTriggerTimes) this.#triggerMs.push(Date.parse(changed));
    this.#noteDirty(key);
  }

  #noteDirty(key: string): void {
    this.#dirty.add(key);
    this.#queued();
  }

  /** A node's status is written every few seconds; few of its fields concern the rules. */
  #noteNode(now: Node, before: Node): void {
    const { bindAddress } = this.#options;
    if (JSON.stringify(viewOfNode(now, bindAddress)) !== JSON.stringify(viewOfNode(before, bindAddress))) this.#noteBase();
  }

  #noteBase(): void {
    this.#isBaseDirty = true;
    this.#queued();
  }

  #queued(): void {
    if (!this.#isReady) return;
    for (const family of ipFamilies) {
      this.#deps.health.queued(family);
      this.#deps.metrics.queued(family, this.#deps.clock.now());
    }
    this.#schedule();
  }

  /** A write soon, but not before `delayMs`, nor sooner after the last one than the options say. */
  #schedule(delayMs = settleMs): void {
    if (this.#stopped.signal.aborted) return;
    const { clock } = this.#deps;
    const nowMs = clock.monotonic();
    const dueMs = Math.max(nowMs + delayMs, this.#lastStartMs + this.#options.minSyncPeriodMs);
    if (dueMs >= this.#dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = clock.after(dueMs - nowMs, () => this.#run());
  }

  #run(): void {
    this.#dueMs = Number.POSITIVE_INFINITY;
    // One after the other; a failure has been logged where it happened.
    this.#running = (this.#running ?? Promise.resolve()).then(() => this.#sync());
  }

  async #check(): Promise<void> {
    if (!this.#isReady || this.#stopped.signal.aborted) return;
    const isDue = this.#deps.clock.monotonic() - this.#lastFullMs > fullSyncPeriodMs;
    if (isDue) for (const family of this.#families) family.distrust();
    this.#running = (this.#running ?? Promise.resolve()).then(async () => {
      for (const family of this.#families) {
        const isIntact = await family.isIntact().catch((error: unknown) => {
          this.#deps.logger.warn("The packet rules cannot be looked at", { family: family.family, error });
          return true;
        });
        if (!isIntact) this.#schedule();
      }
    });
    await this.#running;
  }

  async #sync(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    const { clock, logger, metrics } = this.#deps;
    this.#lastStartMs = clock.monotonic();
    try {
      await this.#takeChanges();
      const results = await Promise.all(this.#families.map((family) => this.#writeFamily(family)));
      if (results.every(Boolean)) {
        this.#failures = 0;
        for (const key of this.#unreported) this.#tryService(key, () => this.#reportHealth(key));
        this.#unreported.clear();
        metrics.settled();
        this.#markWritten();
      } else this.#retry();
    } catch (error) {
      logger.error("Services cannot be brought to the packet rules", { error });
      this.#retry();
    }
    this.#scheduleSweep();
  }

  #retry(): void {
    this.#schedule(Math.min(firstRetryMs * 2 ** this.#failures++, this.#options.syncPeriodMs));
  }

  #scheduleSweep(): void {
    const dueMs = Math.min(...this.#families.map(({ sweepAtMs }) => sweepAtMs ?? Number.POSITIVE_INFINITY));
    if (Number.isFinite(dueMs)) this.#schedule(Math.max(settleMs, dueMs - this.#deps.clock.monotonic()));
  }

  async #takeChanges(): Promise<void> {
    if (this.#isBaseDirty) {
      const before = this.#facts;
      this.#isBaseDirty = false;
      try {
        this.#facts = await this.#readFacts();
      } catch (error) {
        this.#isBaseDirty = true;
        throw error;
      }
      for (const family of this.#families) family.setBase(this.#factsOf(family.family));
      const concernsServices = ipFamilies.some((f) => !isSameForServices(before.get(f), this.#factsOf(f)));
      if (concernsServices)
        for (const { metadata } of this.#services.list()) this.#dirty.add(`${metadata.namespace ?? ""}/${metadata.name}`);
    }
    const keys = [...this.#dirty];
    this.#dirty.clear();
    for (const key of keys) this.#tryService(key, () => this.#takeService(key));
  }

  /** One service that cannot be understood does not keep the others from theirs. */
  #tryService(key: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#deps.logger.error("A service cannot be brought to the packet rules", { service: key, error });
    }
  }

  #takeService(key: string): void {
    const service = this.#services.get(key);
    const slices = service ? this.#slices.byIndex(byService, key) : [];
    for (const family of this.#families) family.setService(key, service, slices, this.#factsOf(family.family));
    this.#unreported.add(key);
  }

  /** Load balancers hear of endpoints when packets find them. */
  #reportHealth(key: string): void {
    const service = this.#services.get(key);
    const slices = service ? this.#slices.byIndex(byService, key) : [];
    const port = service && isProxied(service) ? healthCheckPortOf(service) : undefined;
    if (!service || port === undefined) return this.#deps.serviceHealth.set(key, undefined);
    const { nodeName } = this.#options;
    const counts = ipFamilies.map((family) => {
      const all = [...endpointsOf(slices, { family, nodeName }).values()].flat();
      return new Set(all.filter((e) => e.isLocal && e.isReady).map(({ address }) => address)).size;
    });
    this.#deps.serviceHealth.set(key, { service, port, localEndpoints: Math.max(...counts) });
  }

  /** Whether the kernel has taken it. */
  async #writeFamily(proxy: FamilyProxy): Promise<boolean> {
    const { clock, logger, metrics, health } = this.#deps;
    const { family } = proxy;
    try {
      await proxy.sweep();
    } catch (error) {
      metrics.cleanupFailed(family);
      logger.info("Unused chains could not be deleted; they are tried again", { family, error: errorText(error) }, 2);
    }
    const startMs = clock.monotonic();
    try {
      const { kind } = await proxy.write();
      const seconds = (clock.monotonic() - startMs) / 1000;
      if (kind === "full") this.#lastFullMs = clock.monotonic();
      if (kind !== "unchanged") metrics.synced(family, { isFull: kind === "full", seconds, atMs: clock.now() });
      if (kind !== "unchanged") logger.info("Packet rules written", { family, kind, seconds }, 2);
    } catch (error) {
      metrics.syncFailed(family);
      logger.error("The packet rules cannot be written; they are tried again", { family, error });
      return false;
    }
    health.updated(family);
    metrics.withoutLocalEndpoints(family, proxy.withoutLocalEndpoints);
    if (family === "IPv4") this.#observeProgramming();
    await this.#flows.clean(family, proxy.takeStaleUdp());
    return true;
  }

  #observeProgramming(): void {
    const nowMs = this.#deps.clock.now();
    for (const atMs of this.#triggerMs) if (!Number.isNaN(atMs)) this.#deps.metrics.programmed("IPv4", Math.max(0, nowMs - atMs) / 1000);
    this.#triggerMs = [];
  }

  #factsOf(family: IpFamily): FamilyFacts {
    const facts = this.#facts.get(family);
    if (!facts) throw new Error(`there are no facts of ${family} yet`);
    return facts;
  }

  async #readFacts(): Promise<ReadonlyMap<IpFamily, FamilyFacts>> {
    const { bindAddress, nodePortAddresses: wanted } = this.#options;
    const node = viewOfNode(this.node, bindAddress);
    const local = wanted.length === 0 || wanted[0] === "primary" ? [] : await this.#deps.localAddresses();
    const serviceCidrs = [...this.#cidrs.list()].flatMap(({ spec }) => spec?.cidrs ?? []);
    this.#sharesChoice ??= await this.#deps.nftables.accepts(choiceProbe(this.#options.tableName));
    const sources = { options: this.#options, node, local, serviceCidrs, sharesChoice: this.#sharesChoice };
    return new Map(ipFamilies.map((family) => [family, familyFacts(family, sources)]));
  }
}
