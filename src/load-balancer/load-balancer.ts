// Gives services of type LoadBalancer their addresses: those of the nodes (each service has its ports there), or one of its
// own from a pool. What upstream leaves to a cloud's controller: the finalizer, the status, the events, and nothing more;
// the packets are the proxies' affair. A service that can have no address now stays pending, says why, and gets one when
// another is deleted or a node comes.

import { semanticallyEqual } from "../api/meta/equality.ts";
import { keyOf } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { endpointslices, nodes, services } from "../api/resources.generated.ts";
import type { Node, Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { EventRecorder } from "../client/event-recorder.ts";
import type { Informer, InformerFactory } from "../client/informer.ts";
import { createWorkQueue, type RequeueAfter, type WorkQueue } from "../client/work-queue.ts";
import { type AddressBook, NodeAddressBook, PoolAddressBook } from "./address-book.ts";
import type { AddressPool } from "./address-pool.ts";
import {
  addressesOf,
  familiesOf,
  hasFinalizer,
  ingressOf,
  isLocal,
  isOfOther,
  nodePortsOf,
  wantsBalancer,
  withFinalizer,
} from "./balanced-service.ts";
import { balancingFacts, balancingNodes, nodeAddresses, nodesWithEndpoints, serviceOfSlice } from "./balancing-nodes.ts";

export interface LoadBalancerDeps {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Under the name "service-controller", as upstream's. */
  readonly recorder: EventRecorder;
  /** Ports on which programs of this machine listen: "TCP/22". Default none are known. */
  readonly listeningPorts?: () => Promise<ReadonlySet<string>>;
}

export interface LoadBalancerOptions {
  /** Addresses of which each service gets its own; default the nodes' addresses, which they share. */
  readonly pool?: AddressPool;
}

const workers = 4;
/** For one service. */
const deadlineMs = 30_000;
/** After which a pending service is looked at again in any case. */
const pendingMs = 60_000;

export function startLoadBalancer(deps: LoadBalancerDeps, { pool }: LoadBalancerOptions = {}): Running & { readonly isIdle: boolean } {
  const loop = new LoadBalancer(deps, pool && !pool.isEmpty ? new PoolAddressBook(pool) : new NodeAddressBook());
  loop.start();
  return loop;
}

class LoadBalancer implements Running {
  readonly #deps: LoadBalancerDeps;
  readonly #book: AddressBook;
  readonly #services: Informer<Service>;
  readonly #nodes: Informer<Node>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #queue: WorkQueue;
  readonly #stack = new StopStack();
  readonly #stopping = new AbortController();
  /** Why each service that waits does so. */
  readonly #pending = new Map<string, string>();

  constructor(deps: LoadBalancerDeps, book: AddressBook) {
    this.#deps = { ...deps, logger: deps.logger.named("load-balancer") };
    this.#book = book;
    this.#services = deps.informers.informer(services);
    this.#nodes = deps.informers.informer(nodes);
    this.#slices = deps.informers.informer(endpointslices);
    this.#services.addIndex("balanced", (service) => (wantsBalancer(service) ? ["yes"] : []));
    this.#services.addIndex("node-port", nodePortsOf);
    this.#slices.addIndex("balancer-service", serviceOfSlice);
    const { clock, logger } = this.#deps;
    const process = (key: string, signal: AbortSignal) => this.#reconcile(key, signal);
    this.#queue = createWorkQueue({ name: "load-balancer", clock, logger, workers, deadlineMs, process });
  }

  get isIdle(): boolean {
    return this.#services.hasSynced && this.#queue.isIdle;
  }

  start(): void {
    this.#listenToAll();
    this.#deps.informers.start();
    this.#stack.add(this.#queue);
    const { signal } = this.#stopping;
    const begun = Promise.all([this.#services.synced(signal), this.#nodes.synced(signal), this.#slices.synced(signal)]).then(
      () => {
        // What services already have is theirs before others get anything.
        for (const service of this.#services.byIndex("balanced", "yes")) this.#book.remember(service);
        this.#queue.start();
      },
      () => undefined, // stopped before
    );
    this.#stack.defer(() => begun);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the load balancer is stopped"));
    await this.#stack.stop();
  }

  #listenToAll(): void {
    const tell = (service: Service): void => {
      if (wantsBalancer(service) || hasFinalizer(service) || this.#book.holds(keyOf(service))) this.#queue.add(keyOf(service));
    };
    const all = (): void => {
      for (const service of this.#services.byIndex("balanced", "yes")) this.#queue.add(keyOf(service));
    };
    const ofSlice = (slice: EndpointSlice): void => {
      for (const key of serviceOfSlice(slice)) {
        const service = this.#services.get(key);
        if (service && isLocal(service)) tell(service);
      }
    };
    const onUpdate = (now: Service, before: Service): void => {
      tell(now);
      tell(before);
    };
    const ofNode = (now: Node, before: Node): void => void (balancingFacts(now) !== balancingFacts(before) && all());
    this.#listen(this.#services, { onAdd: tell, onUpdate, onDelete: (gone) => this.#queue.add(keyOf(gone)) });
    this.#listen(this.#nodes, { onAdd: all, onUpdate: ofNode, onDelete: all });
    this.#listen(this.#slices, { onAdd: ofSlice, onUpdate: ofSlice, onDelete: ofSlice });
  }

  #listen<T extends Service | Node | EndpointSlice>(informer: Informer<T>, handler: Parameters<Informer<T>["addHandler"]>[0]): void {
    const registration = informer.addHandler(handler);
    this.#stack.defer(() => registration.remove());
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<RequeueAfter | undefined> {
    const service = this.#services.get(key);
    if (service && wantsBalancer(service)) return this.#ensure(key, service, signal);
    this.#pending.delete(key);
    if (service && hasFinalizer(service) && !isOfOther(service)) await this.#remove(service, signal);
    if (this.#book.release(key)) this.#retryPending();
    return undefined;
  }

  async #ensure(key: string, service: Service, signal: AbortSignal): Promise<RequeueAfter | undefined> {
    const { client, recorder } = this.#deps;
    // Asked before deciding, which must not wait.
    const listening = this.#book.holds(key) ? new Set<string>() : ((await this.#deps.listeningPorts?.()) ?? new Set<string>());
    const decision = this.#book.decide(service, {
      nodeAddresses: this.#nodeAddressesFor(service),
      nodePortOwner: (port) => this.#services.byIndex("node-port", port).map(keyOf).at(0),
      listening,
    });
    const before = addressesOf(service);
    const addresses = decision.kind === "addresses" ? decision.addresses : [];
    if (decision.kind === "pending") this.#complain(key, service, decision.why);
    else this.#pending.delete(key);
    if (decision.freed) this.#retryPending();
    const isNew = before.length === 0 && addresses.length > 0;
    const current = hasFinalizer(service) ? service : await client.update(services, withFinalizer(service, true), { signal });
    if (isNew) recorder.record(service, { type: "Normal", reason: "EnsuringLoadBalancer", message: "Ensuring load balancer" });
    await this.#writeStatus(current, addresses, signal);
    if (isNew) recorder.record(service, { type: "Normal", reason: "EnsuredLoadBalancer", message: "Ensured load balancer" });
    else if (addresses.length > 0 && !semanticallyEqual(before, addresses))
      recorder.record(service, { type: "Normal", reason: "UpdatedLoadBalancer", message: "Updated load balancer with new hosts" });
    return decision.kind === "pending" ? { requeueAfterMs: pendingMs } : undefined;
  }

  #nodeAddressesFor(service: Service): readonly string[] {
    let chosen = balancingNodes(this.#nodes.list());
    if (isLocal(service) && !(this.#book instanceof PoolAddressBook)) {
      const local = nodesWithEndpoints(this.#slices.byIndex("balancer-service", keyOf(service)));
      // Without any endpoint no node is better than another.
      if (local.size > 0) chosen = chosen.filter(({ metadata }) => local.has(metadata.name));
    }
    return [...new Set(chosen.flatMap((node) => nodeAddresses(node, familiesOf(service))))];
  }

  #complain(key: string, service: Service, why: string): void {
    if (this.#pending.get(key) === why) return;
    this.#pending.set(key, why);
    const message = `Error syncing load balancer: failed to ensure load balancer: ${why}`;
    this.#deps.recorder.record(service, { type: "Warning", reason: "SyncLoadBalancerFailed", message });
  }

  /** Something has become free. */
  #retryPending(): void {
    for (const key of this.#pending.keys()) this.#queue.add(key);
  }

  async #writeStatus(service: Service, addresses: readonly string[], signal: AbortSignal): Promise<void> {
    const ingress = ingressOf(addresses);
    if (semanticallyEqual(service.status?.loadBalancer?.ingress ?? [], ingress)) return;
    const loadBalancer = ingress.length > 0 ? { ingress } : {};
    await this.#deps.client.updateStatus(services, { ...service, status: { ...service.status, loadBalancer } }, { signal });
  }

  /** It is being deleted, or is of another type now. */
  async #remove(service: Service, signal: AbortSignal): Promise<void> {
    const { client, recorder } = this.#deps;
    recorder.record(service, { type: "Normal", reason: "DeletingLoadBalancer", message: "Deleting load balancer" });
    try {
      let current = service;
      if (addressesOf(current).length > 0) {
        const status = { ...current.status, loadBalancer: {} };
        current = await client.updateStatus(services, { ...current, status }, { signal });
      }
      await client.update(services, withFinalizer(current, false), { signal });
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
    }
    recorder.record(service, { type: "Normal", reason: "DeletedLoadBalancer", message: "Deleted load balancer" });
  }
}
