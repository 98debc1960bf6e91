// The scheduler: keeps the cache and the queue in step with the API server, takes one pod after the other through its
// scheduling cycle, and binds in the background. It never waits for the API server between two decisions: a chosen node's
// room is assumed at once and given back when binding fails.
import { keyOf } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { nodes, pods } from "../api/resources.generated.ts";
import type { Node, Pod, PodCondition } from "../api/types/core-v1.ts";
import { type Clock, formatTime } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { EventSeriesRecorder } from "../client/event-series-recorder.ts";
import type { InformerFactory } from "../client/informer.ts";
import { SchedulerCache } from "./cache.ts";
import { nodeEvents } from "./cluster-events.ts";
import type { Plugin, Profile, QueuedPodInfo, Rejection, SchedulingCycle } from "./framework.ts";
import { SchedulingQueue } from "./queue.ts";
import { type Decision, decide, type Unschedulable } from "./schedule.ts";

export interface SchedulerDependencies {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventSeriesRecorder;
}

export interface SchedulerOptions {
  readonly profiles: readonly Profile[];
  /** Bindings under way at a time; further decisions wait. Default 256. */
  readonly maxBindings?: number;
  /** For a pod's whole binding cycle. Default 60 s. */
  readonly bindTimeoutMs?: number;
}

/** Pods scheduled in one turn of the event loop, so that watches and bindings get their share. */
const podsPerTurn = 32;

export class Scheduler implements Running {
  readonly #deps: SchedulerDependencies;
  readonly #profiles: ReadonlyMap<string, Profile>;
  readonly #cache = new SchedulerCache();
  readonly #queue: SchedulingQueue;
  readonly #abort = new AbortController();
  readonly #maxBindings: number;
  readonly #bindTimeoutMs: number;
  readonly #bindings = new Set<Promise<void>>();
  readonly #handlers: { remove(): void }[] = [];
  #loop: Promise<void> | undefined;
  #startAt = 0;

  constructor(deps: SchedulerDependencies, options: SchedulerOptions) {
    this.#deps = deps;
    this.#profiles = new Map(options.profiles.map((p) => [p.schedulerName, p]));
    this.#maxBindings = options.maxBindings ?? 256;
    this.#bindTimeoutMs = options.bindTimeoutMs ?? 60_000;
    const sort = options.profiles[0]?.plugins.find((p) => p.queueSort)?.queueSort;
    if (!sort) throw new Error("the first profile has no QueueSort plugin");
    this.#queue = new SchedulingQueue({ clock: deps.clock, pluginsOf: (pod) => this.#profileOf(pod)?.plugins ?? [], sort });
  }

  /** Resolves when the cache is filled and pods are being scheduled. */
  async start(): Promise<void> {
    const nodeInformer = this.#deps.informers.informer(nodes);
    const podInformer = this.#deps.informers.informer(pods);
    this.#handlers.push(
      nodeInformer.addHandler({
        onAdd: (node) => this.#setNode(node, undefined),
        onUpdate: (node, before) => this.#setNode(node, before),
        onDelete: (node) => this.#cache.removeNode(node.metadata.name),
      }),
      podInformer.addHandler({
        onAdd: (pod) => this.#setPod(pod, undefined),
        onUpdate: (pod, before) => this.#setPod(pod, before),
        onDelete: (pod) => this.#removePod(pod),
      }),
    );
    this.#deps.informers.start();
    await Promise.all([nodeInformer.synced(this.#abort.signal), podInformer.synced(this.#abort.signal)]);
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error("the scheduler is stopping"));
    for (const handler of this.#handlers) handler.remove();
    this.#queue.close();
    await this.#loop;
    await Promise.allSettled(this.#bindings);
  }

  /** Waiting pods by place, for metrics and debugging. */
  get queueSizes(): SchedulingQueue["sizes"] {
    return this.#queue.sizes;
  }

  // ---- keeping up with the cluster

  #setNode(node: Node, before: Node | undefined): void {
    this.#cache.setNode(node);
    if (!before) this.#queue.onEvent("NodeAdd", undefined, node);
    else for (const event of nodeEvents(before, node)) this.#queue.onEvent(event, before, node);
  }

  #setPod(pod: Pod, before: Pod | undefined): void {
    if (isFinished(pod)) return this.#removePod(pod);
    if (pod.spec.nodeName) {
      const wasAssumed = this.#cache.isAssumed(pod);
      const wasBound = before?.spec.nodeName !== undefined;
      this.#cache.setPod(pod);
      if (!wasBound) this.#queue.delete(pod);
      if (wasBound) this.#queue.onEvent("AssignedPodUpdate", before, pod);
      else if (!wasAssumed || this.#queue.sizes.unschedulable > 0) this.#queue.onEvent("AssignedPodAdd", undefined, pod);
      return;
    }
    if (pod.metadata.deletionTimestamp || !this.#profileOf(pod)) return this.#queue.delete(pod);
    if (this.#cache.isAssumed(pod)) return;
    if (before && before.metadata.uid === pod.metadata.uid) this.#queue.update(pod, before);
    else this.#queue.add(pod);
  }

  #removePod(pod: Pod): void {
    this.#queue.delete(pod);
    const held = pod.spec.nodeName !== undefined || this.#cache.isAssumed(pod);
    this.#cache.removePod(pod);
    if (held) this.#queue.onEvent("AssignedPodDelete", pod, undefined);
  }

  #profileOf(pod: Pod): Profile | undefined {
    return this.#profiles.get(pod.spec.schedulerName ?? "default-scheduler");
  }

  // ---- the loop

  async #run(): Promise<void> {
    for (let count = 1; ; count++) {
      const info = await this.#queue.pop();
      if (!info) return;
      this.#scheduleOne(info);
      if (this.#bindings.size >= this.#maxBindings) await Promise.race(this.#bindings);
      else if (count % podsPerTurn === 0) await this.#deps.clock.sleep(0, this.#abort.signal).catch(() => undefined);
    }
  }

  #scheduleOne(info: QueuedPodInfo): void {
    const { pod } = info;
    const profile = this.#profileOf(pod);
    if (!profile || pod.metadata.deletionTimestamp || this.#cache.isAssumed(pod)) return this.#queue.done(pod);
    const cycle: SchedulingCycle = { pod, snapshot: this.#cache, state: new Map() };
    let result: Decision | Unschedulable;
    try {
      result = decide(cycle, profile, { random: () => this.#deps.clock.random(), startAt: this.#startAt });
    } catch (error) {
      this.#failed(info, cycle, new Set(), `running a plugin failed: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    if (result.kind === "unschedulable") {
      this.#track(this.#postFilter(info, cycle, profile, result));
      return;
    }
    this.#startAt = (this.#startAt + result.evaluatedNodes) % Math.max(1, this.#cache.nodes.length);
    this.#cache.assume(pod, result.nodeName);
    const rejected = reserve(cycle, profile.plugins, result.nodeName);
    if (rejected)
      return this.#giveBack(info, cycle, profile, result.nodeName, new Set([rejected.plugin]), rejected.rejection.reasons.join(", "));
    this.#track(this.#bind(info, cycle, profile, result.nodeName));
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => this.#bindings.delete(tracked));
    this.#bindings.add(tracked);
  }

  async #bind(info: QueuedPodInfo, cycle: SchedulingCycle, profile: Profile, nodeName: string): Promise<void> {
    const { pod } = cycle;
    const deadline = new AbortController();
    const timer = this.#deps.clock.after(this.#bindTimeoutMs, () =>
      deadline.abort(new Error(`binding took longer than ${this.#bindTimeoutMs} ms`)),
    );
    const signal = AbortSignal.any([deadline.signal, this.#abort.signal]);
    try {
      for (const plugin of profile.plugins) {
        const rejection = await plugin.permit?.(cycle, nodeName, signal);
        if (rejection) return this.#giveBack(info, cycle, profile, nodeName, new Set([plugin.name]), rejection.reasons.join(", "));
      }
      for (const plugin of profile.plugins) await plugin.preBind?.(cycle, nodeName, signal);
      await bindWith(profile.plugins, cycle, nodeName, signal);
    } catch (error) {
      const gone = isStatus(error, "NotFound");
      if (!gone && !signal.aborted) this.#deps.logger.error("Binding a pod failed", { pod: keyOf(pod), node: nodeName, error });
      this.#giveBack(
        info,
        cycle,
        profile,
        nodeName,
        new Set(),
        `binding rejected: ${error instanceof Error ? error.message : String(error)}`,
        gone,
      );
      return;
    } finally {
      timer.cancel();
    }
    this.#queue.done(pod);
    for (const plugin of profile.plugins) plugin.postBind?.(cycle, nodeName);
    this.#deps.logger.info("Bound pod", { pod: keyOf(pod), node: nodeName }, 2);
    this.#deps.recorder.record(pod, {
      type: "Normal",
      reason: "Scheduled",
      action: "Binding",
      note: `Successfully assigned ${keyOf(pod)} to ${nodeName}`,
    });
  }

  /** Undoes an assumed placement. `gone`: the pod no longer exists, so there is nothing to try again. */
  #giveBack(
    info: QueuedPodInfo,
    cycle: SchedulingCycle,
    profile: Profile,
    nodeName: string,
    rejectedBy: ReadonlySet<string>,
    message: string,
    gone = false,
  ): void {
    for (const plugin of [...profile.plugins].reverse()) plugin.unreserve?.(cycle, nodeName);
    this.#cache.forget(cycle.pod);
    if (gone) this.#queue.done(cycle.pod);
    else this.#failed(info, cycle, rejectedBy, message);
    this.#queue.onEvent("AssignedPodDelete", cycle.pod, undefined);
  }

  // ---- pods that found no place

  async #postFilter(info: QueuedPodInfo, cycle: SchedulingCycle, profile: Profile, result: Unschedulable): Promise<void> {
    let { message } = result;
    for (const plugin of profile.plugins) {
      if (!plugin.postFilter) continue;
      try {
        const outcome = await plugin.postFilter(cycle, result.rejections);
        if (outcome.message) message += ` ${outcome.message}`;
        if (outcome.nominatedNodeName) break;
      } catch (error) {
        this.#deps.logger.error("PostFilter failed", { plugin: plugin.name, pod: keyOf(cycle.pod), error });
      }
    }
    this.#failed(info, cycle, result.rejectedBy, message);
  }

  #failed(info: QueuedPodInfo, cycle: SchedulingCycle, rejectedBy: ReadonlySet<string>, message: string): void {
    if (this.#abort.signal.aborted) return;
    // The pod may have changed or gone while it was being tried.
    const key = keyOf(cycle.pod);
    const current = this.#deps.informers.informer(pods).get(key);
    if (!current || current.metadata.uid !== cycle.pod.metadata.uid || current.spec.nodeName || current.metadata.deletionTimestamp)
      return this.#queue.done(cycle.pod);
    this.#queue.failed(info, current, rejectedBy);
    this.#deps.logger.info("Unable to schedule pod", { pod: key, message }, 2);
    this.#deps.recorder.record(current, { type: "Warning", reason: "FailedScheduling", action: "Scheduling", note: message });
    this.#track(
      this.#reportCondition(current, {
        type: "PodScheduled",
        status: "False",
        reason: rejectedBy.size > 0 ? "Unschedulable" : "SchedulerError",
        message,
      }),
    );
  }

  async #reportCondition(pod: Pod, wanted: PodCondition): Promise<void> {
    const current = pod.status?.conditions?.find((c) => c.type === wanted.type);
    if (current && current.status === wanted.status && current.reason === wanted.reason && current.message === wanted.message) return;
    const lastTransitionTime =
      current?.status === wanted.status && current.lastTransitionTime ? current.lastTransitionTime : formatTime(this.#deps.clock.now());
    const { namespace, name } = pod.metadata;
    const observed = pod.metadata.generation ? { observedGeneration: pod.metadata.generation } : {};
    const condition = { lastProbeTime: null, lastTransitionTime, ...observed, ...wanted };
    try {
      await this.#deps.client.patch(
        pods,
        { namespace, name },
        { status: { conditions: [condition] } },
        { type: "strategic", subresource: "status", signal: this.#abort.signal },
      );
    } catch (error) {
      if (!isStatus(error, "NotFound") && !this.#abort.signal.aborted)
        this.#deps.logger.error("Reporting why a pod is not scheduled failed", { pod: keyOf(pod), error });
    }
  }
}

function isFinished(pod: Pod): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}

/** Runs Reserve; when one rejects, what was reserved before it is given back by the caller. */
function reserve(
  cycle: SchedulingCycle,
  plugins: readonly Plugin[],
  nodeName: string,
): { readonly plugin: string; readonly rejection: Rejection } | undefined {
  for (const plugin of plugins) {
    const rejection = plugin.reserve?.(cycle, nodeName);
    if (rejection) return { plugin: plugin.name, rejection };
  }
  return undefined;
}

async function bindWith(plugins: readonly Plugin[], cycle: SchedulingCycle, nodeName: string, signal: AbortSignal): Promise<void> {
  for (const plugin of plugins) if (plugin.bind && (await plugin.bind(cycle, nodeName, signal))) return;
  throw new Error("no Bind plugin bound the pod");
}
