// node-lifecycle-controller: notices nodes that have gone silent, turns the state of nodes into taints, and marks the pods
// of silent nodes as not ready. Every five seconds all nodes are looked at; NoSchedule taints and labels follow
// each node's changes at once. NoExecute taints, which evict, are rationed by zone (zone-eviction.ts).
import { keyOf } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { leases, nodes, pods } from "../../api/resources.generated.ts";
import { findCondition } from "../../api/semantics/conditions.ts";
import { isSameTaint } from "../../api/semantics/taints.ts";
import type { Lease } from "../../api/types/coordination-v1.ts";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Informer } from "../../client/informer.ts";
import { type Controller, type ControllerContext, watch } from "../controller.ts";
import { changeTaints, taintChange } from "../node-taints.ts";
import { patchPodStatus } from "../pod-control.ts";
import { addNodeIndex, podsOnNode } from "../pods-by-node.ts";
import { assessNode, type HealthLimits, type NodeHealth } from "./node-health.ts";
import {
  isNoExecuteTaintOfReadiness,
  isNoScheduleTaintOfState,
  labelsToAdd,
  noExecuteTaint,
  noScheduleTaints,
} from "./node-taint-rules.ts";
import { defaultEvictionRates, type EvictionRates, evictionRate, ZoneQueue, type ZoneState, zoneOf, zoneState } from "./zone-eviction.ts";

const leaseNamespace = "kube-node-lease";
const excludedLabel = "node.kubernetes.io/exclude-disruption";
/** How often waiting nodes are given a chance to be tainted. */
const evictionPassMs = 100;

export const nodeLifecycleController: Controller = {
  name: "node-lifecycle-controller",
  serviceAccount: "node-controller",
  component: "node-controller",
  workers: 8,
  create(context) {
    const nodeInformer = context.informers.informer(nodes);
    const podInformer = context.informers.informer(pods);
    const leaseInformer = context.informers.informer(leases, { namespace: leaseNamespace });
    addNodeIndex(podInformer);
    const monitor = new NodeMonitor(context, { nodeInformer, podInformer, leaseInformer });
    /** As nearly always. Asked for every pod that is bound, before it costs a turn in the queue. */
    const isOnReadyNode = ({ spec }: Pod): boolean =>
      findCondition(nodeInformer.get(spec.nodeName ?? "")?.status?.conditions, "Ready")?.status === "True";
    const enqueueBound = (pod: Pod, enqueue: (key: string) => void): void => {
      if (pod.spec.nodeName && !isOnReadyNode(pod)) enqueue(keyOf(pod));
    };
    return {
      watches: [
        watch(nodeInformer, (node) => [node.metadata.name]),
        {
          start: (enqueue) =>
            podInformer.addHandler({
              onAdd: (pod) => enqueueBound(pod, enqueue),
              onUpdate: (pod, previous) => pod.spec.nodeName !== previous.spec.nodeName && enqueueBound(pod, enqueue),
            }),
        },
      ],
      // Keys are names of nodes, and "namespace/name" of pods that have just been bound.
      async reconcile(key, { signal }) {
        if (key.includes("/")) {
          const pod = podInformer.get(key);
          const node = pod && nodeInformer.get(pod.spec.nodeName ?? "");
          const ready = findCondition(node?.status?.conditions, "Ready");
          if (pod && ready && ready.status !== "True") await markPodsNotReady(context, [pod], signal);
          return undefined;
        }
        const node = nodeInformer.get(key);
        if (!node) return undefined;
        const change = taintChange(node.spec?.taints ?? [], noScheduleTaints(node), isNoScheduleTaintOfState);
        if (change) await changeTaints(key, change, { ...context, signal });
        const labels = labelsToAdd(node);
        if (labels) await context.client.patch(nodes, { name: key }, { metadata: { labels } }, { type: "merge", signal });
        return undefined;
      },
      start: () => monitor.start(),
    };
  },
};

/** Nobody else will say that the pods of a silent node no longer serve. */
async function markPodsNotReady({ client, clock, recorder }: ControllerContext, on: readonly Pod[], signal: AbortSignal): Promise<void> {
  for (const pod of on) {
    const ready = findCondition(pod.status?.conditions, "Ready");
    if (!ready || ready.status === "False") continue;
    const condition = { ...ready, status: "False", lastTransitionTime: formatTime(clock.now()) };
    try {
      await patchPodStatus(client, pod, { status: { conditions: [condition] }, signal });
      recorder.record(pod, { type: "Warning", reason: "NodeNotReady", message: "Node is not ready" });
    } catch (error) {
      if (!isStatus(error, "NotFound", "Conflict")) throw error;
    }
  }
}

interface Informers {
  readonly nodeInformer: Informer<Node>;
  readonly podInformer: Informer<Pod>;
  readonly leaseInformer: Informer<Lease>;
}

class NodeMonitor {
  readonly #context: ControllerContext;
  readonly #informers: Informers;
  readonly #limits: HealthLimits;
  readonly #rates: EvictionRates;
  readonly #health = new Map<string, NodeHealth>();
  /** Nodes that have been seen, with their uids: for the events of their coming and going. */
  readonly #known = new Map<string, string>();
  /** Nodes whose silence we noticed, with pods that do not say yet that they are not ready. */
  readonly #toMark = new Set<string>();
  readonly #zones = new Map<string, { readonly queue: ZoneQueue; state: ZoneState | "Initial" }>();
  readonly #stopping = new AbortController();

  constructor(context: ControllerContext, informers: Informers) {
    this.#context = context;
    this.#rates = { ...defaultEvictionRates, ...context.options.evictionRates };
    this.#informers = informers;
    this.#limits = {
      gracePeriodMs: context.options.nodeMonitorGracePeriodMs ?? 50_000,
      startupGracePeriodMs: context.options.nodeStartupGracePeriodMs ?? 60_000,
    };
  }

  start(): Running {
    const running = this.#run();
    return {
      stop: async () => {
        this.#stopping.abort(new Error("the node monitor is stopped"));
        await running;
      },
    };
  }

  async #run(): Promise<void> {
    const { clock, logger, options } = this.#context;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#lookAtAll();
        await this.#evictUntil(clock.monotonic() + (options.nodeMonitorPeriodMs ?? 5_000));
      } catch (error) {
        if (signal.aborted) return;
        logger.error("Failed to look at the nodes", { error });
        await clock.sleep(1_000, signal).catch(() => undefined);
      }
    }
  }

  async #lookAtAll(): Promise<void> {
    const { clock, metrics } = this.#context;
    const begunMs = clock.monotonic();
    const all = [...this.#informers.nodeInformer.list()];
    this.#noteComingAndGoing(all);
    const counts = new Map<string, { ready: number; notReady: number }>();
    for (const node of all) {
      const nodeMs = clock.monotonic();
      const isReady = await this.#look(node);
      metrics?.own.observe("node_collector_update_node_health_duration_seconds", (clock.monotonic() - nodeMs) / 1000);
      if (excludedLabel in (node.metadata.labels ?? {})) continue;
      const zone = zoneOf(node);
      const count = counts.get(zone) ?? { ready: 0, notReady: 0 };
      if (isReady) count.ready++;
      else count.notReady++;
      counts.set(zone, count);
    }
    this.#showZones(counts);
    await this.#followDisruption(all, counts);
    metrics?.own.observe("node_collector_update_all_nodes_health_duration_seconds", (clock.monotonic() - begunMs) / 1000);
  }

  /** A zone that has lost its last node is shown as empty and well, once more. */
  #showZones(counts: ReadonlyMap<string, { readonly ready: number; readonly notReady: number }>): void {
    const own = this.#context.metrics?.own;
    for (const zone of new Set([...this.#zones.keys(), ...counts.keys()])) {
      const { ready, notReady } = counts.get(zone) ?? { ready: 0, notReady: 0 };
      const size = ready + notReady;
      const shown = zone === ":" ? "" : zone;
      own?.set("node_collector_zone_size", size, shown);
      own?.set("node_collector_zone_health", size === 0 ? 100 : (100 * ready) / size, shown);
      own?.set("node_collector_unhealthy_nodes_in_zone", notReady, shown);
      own?.add("node_collector_evictions_total", 0, shown);
    }
  }

  #noteComingAndGoing(all: readonly Node[]): void {
    const present = new Set<string>();
    for (const node of all) {
      const { name, uid } = node.metadata;
      present.add(name);
      this.#zoneFor(node);
      if (this.#known.has(name)) continue;
      this.#known.set(name, uid);
      this.#record(name, uid, "RegisteredNode", `Node ${name} event: Registered Node ${name} in Controller`);
    }
    for (const [name, uid] of this.#known) {
      if (present.has(name)) continue;
      this.#known.delete(name);
      this.#health.delete(name);
      this.#toMark.delete(name);
      this.#record(name, uid, "RemovingNode", `Node ${name} event: Removing Node ${name} from Controller`);
    }
  }

  #record(name: string, uid: string, reason: string, message: string): void {
    this.#context.recorder.record({ apiVersion: "v1", kind: "Node", name, uid }, { type: "Normal", reason, message });
  }

  /** Looks at one node; whether it is ready. */
  async #look(node: Node): Promise<boolean> {
    const { clock, logger } = this.#context;
    const { name, uid } = node.metadata;
    const before = findCondition(node.status?.conditions, "Ready")?.status;
    const lease = this.#informers.leaseInformer.get(`${leaseNamespace}/${name}`);
    const { health, conditions } = assessNode(node, lease, { known: this.#health.get(name), limits: this.#limits, nowMs: clock.now() });
    this.#health.set(name, health);
    let current = node;
    try {
      if (conditions) current = await this.#markUnknown(node, conditions);
      await this.#followReadiness(current);
      const after = findCondition(current.status?.conditions, "Ready")?.status;
      if (conditions && before === "True") {
        this.#record(name, uid, "NodeNotReady", `Node ${name} status is now: NodeNotReady`);
        this.#toMark.add(name);
      }
      await this.#markPods(name, after);
      return after === "True";
    } catch (error) {
      if (this.#stopping.signal.aborted) throw error;
      if (!isStatus(error, "NotFound", "Conflict")) logger.error("Failed to update a node's health", { node: name, error });
      return before === "True";
    }
  }

  /** A kubelet that reports tells the state of its pods itself; those of a silent one are no longer ready. */
  async #markPods(name: string, ready: string | undefined): Promise<void> {
    if (!this.#toMark.has(name)) return;
    if (ready !== "True") await markPodsNotReady(this.#context, podsOnNode(this.#informers.podInformer, name), this.#stopping.signal);
    this.#toMark.delete(name);
  }

  async #markUnknown(node: Node, conditions: NonNullable<NonNullable<Node["status"]>["conditions"]>): Promise<Node> {
    const { client, logger } = this.#context;
    logger.info("The node has gone silent", { node: node.metadata.name });
    return client.updateStatus(nodes, { ...node, status: { ...node.status, conditions } }, { signal: this.#stopping.signal });
  }

  /** Queues a node for its NoExecute taint, swaps one taint for the other at once, or takes them away. */
  async #followReadiness(node: Node): Promise<void> {
    const zone = this.#zoneFor(node);
    const { name } = node.metadata;
    const current = (node.spec?.taints ?? []).filter(isNoExecuteTaintOfReadiness);
    const wanted = noExecuteTaint(node);
    if (!findCondition(node.status?.conditions, "Ready")) return;
    if (!wanted) {
      zone.queue.remove(name);
      if (current.length > 0) await this.#change(name, [], current);
    } else if (!current.some((taint) => isSameTaint(taint, wanted))) {
      if (current.length > 0) await this.#change(name, [wanted], current);
      else zone.queue.add(name);
    }
  }

  #change(
    name: string,
    add: Parameters<typeof changeTaints>[1]["add"],
    remove: Parameters<typeof changeTaints>[1]["remove"],
  ): Promise<void> {
    const { client, clock } = this.#context;
    return changeTaints(name, { add, remove }, { client, clock, signal: this.#stopping.signal });
  }

  #zoneFor(node: Node): { readonly queue: ZoneQueue; state: ZoneState | "Initial" } {
    const key = zoneOf(node);
    let zone = this.#zones.get(key);
    if (!zone) {
      zone = { queue: new ZoneQueue(this.#context.clock.monotonic()), state: "Initial" };
      this.#zones.set(key, zone);
    }
    return zone;
  }

  /** Adjusts the rates to the state of the zones. Where all is down, the fault is ours: nothing is evicted. */
  async #followDisruption(
    all: readonly Node[],
    counts: ReadonlyMap<string, { readonly ready: number; readonly notReady: number }>,
  ): Promise<void> {
    const { clock, logger } = this.#context;
    const nowMs = clock.monotonic();
    for (const key of [...this.#zones.keys()]) if (!counts.has(key)) this.#zones.delete(key);
    const states = new Map([...counts].map(([key, count]) => [key, zoneState(count, this.#rates)]));
    const isAllDown = states.size > 0 && [...states.values()].every((state) => state === "FullDisruption");
    const wasAllDown = this.#zones.size > 0 && [...this.#zones.values()].every(({ state }) => state === "FullDisruption");
    if (isAllDown && wasAllDown) return;
    if (isAllDown) {
      logger.warn("All nodes are not ready: no pods are evicted");
      for (const zone of this.#zones.values()) {
        zone.queue.setRate(0, nowMs);
        zone.state = "FullDisruption";
      }
      for (const node of all) {
        const current = (node.spec?.taints ?? []).filter(isNoExecuteTaintOfReadiness);
        if (current.length > 0) await this.#change(node.metadata.name, [], current);
      }
      return;
    }
    if (wasAllDown) {
      // Everybody gets the whole grace period again: we may have been the one who was cut off.
      for (const [name, health] of this.#health) this.#health.set(name, { ...health, seenMs: clock.now() });
    }
    for (const [key, zone] of this.#zones) {
      const state = states.get(key) ?? "Normal";
      if (zone.state === state) continue;
      const { ready = 0, notReady = 0 } = counts.get(key) ?? {};
      if (zone.state !== "Initial") logger.warn("The state of a zone has changed", { zone: key, state });
      zone.queue.setRate(evictionRate({ state, size: ready + notReady }, this.#rates), nowMs);
      zone.state = state;
    }
  }

  /** Lets waiting nodes through as their zones allow, until it is time to look at all again. */
  async #evictUntil(untilMs: number): Promise<void> {
    const { clock } = this.#context;
    const { signal } = this.#stopping;
    while (clock.monotonic() < untilMs && !signal.aborted) {
      for (const { queue } of this.#zones.values()) await this.#evictFrom(queue);
      const hasWaiting = [...this.#zones.values()].some(({ queue }) => queue.size > 0);
      const restMs = untilMs - clock.monotonic();
      await clock.sleep(hasWaiting ? Math.min(evictionPassMs, restMs) : restMs, signal).catch(() => undefined);
    }
  }

  async #evictFrom(queue: ZoneQueue): Promise<void> {
    const name = queue.take(this.#context.clock.monotonic());
    const node = name === undefined ? undefined : this.#informers.nodeInformer.get(name);
    const taint = node && noExecuteTaint(node);
    if (!node || !taint) return;
    const opposite = (node.spec?.taints ?? []).filter((known) => isNoExecuteTaintOfReadiness(known) && !isSameTaint(known, taint));
    await this.#change(node.metadata.name, [taint], opposite);
    const zone = zoneOf(node);
    this.#context.metrics?.own.count("node_collector_evictions_total", zone === ":" ? "" : zone);
  }
}
