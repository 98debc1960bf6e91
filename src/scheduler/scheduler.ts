// The scheduler: keeps the cache and the queue in step with the API server, takes one pod after the other through its
// scheduling cycle, and binds in the background. It never waits for the API server between two decisions: a chosen node's
// room is assumed at once and given back when binding fails.
import { setMaxListeners } from "node:events";
import { type KubernetesObject, keyOf } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { nodes, pods } from "../api/resources.generated.ts";
import type { Node, Pod } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import { errorText, type Logger } from "../base/log.ts";
import { SpareControllers } from "../base/spare-controllers.ts";
import type { Client } from "../client/client.ts";
import type { EventSeriesRecorder } from "../client/event-series-recorder.ts";
import type { InformerFactory } from "../client/informer.ts";
import { SchedulerCache } from "./cache.ts";
import { type ClusterEvent, nodeEvents, objectEvents } from "./cluster-events.ts";
import { decideWithExtenders } from "./extenders/decide-with-extenders.ts";
import type { Extender } from "./extenders/extender.ts";
import type { Plugin, PostFilterContext, Profile, QueuedPodInfo, Rejection, SchedulingCycle } from "./framework.ts";
import { reportUnscheduled } from "./pod-status.ts";
import { SchedulingQueue } from "./queue.ts";
import { type DecideOptions, type Decision, decide, type Unschedulable } from "./schedule.ts";
import type { SchedulerMetrics } from "./scheduler-metrics.ts";

export interface SchedulerDependencies {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventSeriesRecorder;
  readonly metrics?: SchedulerMetrics;
}

export interface SchedulerOptions {
  readonly profiles: readonly Profile[];
  /** Bindings under way at a time; further decisions wait. Default 256. */
  readonly maxBindings?: number;
  /** For a pod's whole binding cycle, which may wait for volumes. Default 10 minutes. */
  readonly bindTimeoutMs?: number;
  /** Back-off of a pod after its first attempt, doubled with each. Default 1 s, at most 10 s. */
  readonly initialBackoffMs?: number;
  readonly maxBackoffMs?: number;
  /** Recorders of events by scheduler name; others use the one of the dependencies. */
  readonly recorders?: ReadonlyMap<string, Pick<EventSeriesRecorder, "record">>;
  readonly extenders?: readonly Extender[];
}

/** One attempt to place one pod. */
interface Attempt {
  readonly info: QueuedPodInfo;
  readonly cycle: SchedulingCycle;
  readonly profile: Profile;
  /** On the monotonic clock. */
  readonly startedMs: number;
}

/** So many attempts go by until the time of extension points is taken again. */
const attemptsPerSample = 10;

/** Pods scheduled in one turn of the event loop, so that watches and bindings get their share. */
const podsPerTurn = 32;

export class Scheduler implements Running {
  readonly #deps: SchedulerDependencies;
  #profiles: ReadonlyMap<string, Profile>;
  /** Of objects that plugins want to know of. */
  readonly #watched = new Set<ClusterEvent>();
  readonly #cache = new SchedulerCache();
  readonly #queue: SchedulingQueue;
  readonly #abort = new AbortController();
  readonly #maxBindings: number;
  readonly #bindTimeoutMs: number;
  readonly #bindings = new Set<Promise<void>>();
  /** Of the bindings under way: a signal of several would cost more than the rest of a binding. */
  readonly #limits = new Set<AbortController>();
  readonly #spareLimits = new SpareControllers();
  readonly #binders = new WeakMap<Profile, Binders>();
  readonly #handlers: { remove(): void }[] = [];
  #loop: Promise<void> | undefined;
  #bindingEnded: (() => void) | undefined;
  readonly #extenders: readonly Extender[];
  readonly #recorders: NonNullable<SchedulerOptions["recorders"]>;
  #startAt = 0;
  #attempts = 0;

  constructor(deps: SchedulerDependencies, options: SchedulerOptions) {
    this.#deps = deps;
    // One listener per call under way: many are no leak.
    setMaxListeners(0, this.#abort.signal);
    this.#profiles = new Map(options.profiles.map((p) => [p.schedulerName, p]));
    this.#maxBindings = options.maxBindings ?? 256;
    this.#bindTimeoutMs = options.bindTimeoutMs ?? 600_000;
    const sort = options.profiles[0]?.plugins.find((p) => p.queueSort)?.queueSort;
    if (!sort) throw new Error("the first profile has no QueueSort plugin");
    this.#extenders = options.extenders ?? [];
    this.#recorders = options.recorders ?? new Map();
    const { metrics, clock } = deps;
    const { initialBackoffMs, maxBackoffMs } = options;
    this.#queue = new SchedulingQueue({
      clock,
      pluginsOf: (pod) => this.#profileOf(pod)?.plugins ?? [],
      sort,
      ...(initialBackoffMs === undefined ? {} : { initialBackoffMs }),
      ...(maxBackoffMs === undefined ? {} : { maxBackoffMs }),
      ...(metrics ? { queued: (queue, event) => metrics.queued(queue, event) } : {}),
    });
  }

  /** Resolves when the cache is filled and pods are being scheduled. */
  async start(): Promise<void> {
    const nodeInformer = this.#deps.informers.informer(nodes);
    const podInformer = this.#deps.informers.informer(pods);
    this.#handlers.push(
      nodeInformer.addHandler({
        onAdd: (node) => this.#setNode(node, undefined),
        onUpdate: (node, before) => this.#setNode(node, before),
        onDelete: (node) => this.#removeNode(node),
      }),
      podInformer.addHandler({
        onAdd: (pod) => this.#setPod(pod, undefined),
        onUpdate: (pod, before) => this.#setPod(pod, before),
        onDelete: (pod) => this.#removePod(pod),
      }),
    );
    this.#watchOtherObjects();
    const hide = this.#deps.metrics?.showSizes({ queue: () => this.#queue.sizes, cache: () => this.#cache.sizes() });
    if (hide) this.#handlers.push({ remove: hide });
    this.#deps.informers.start();
    await this.#deps.informers.synced(this.#abort.signal);
    this.#loop = this.#run();
  }

  /** Watches what else some plugin wants to know of. */
  #watchOtherObjects(): void {
    const hints = [...this.#profiles.values()].flatMap((profile) => profile.plugins.flatMap((plugin) => plugin.queueingHints ?? []));
    const wanted = new Set(hints.map((hint) => hint.event));
    for (const { event, type, withDeletes } of objectEvents) {
      if (!wanted.has(event) || this.#watched.has(event)) continue;
      this.#watched.add(event);
      this.#handlers.push(
        this.#deps.informers.informer(type).addHandler({
          onAdd: (object) => this.#queue.onEvent(event, undefined, object),
          onUpdate: (object, before) => this.#queue.onEvent(event, before, object),
          ...(withDeletes ? { onDelete: (object: KubernetesObject) => this.#queue.onEvent(event, object, undefined) } : {}),
        }),
      );
    }
  }

  /**
   * Goes on with other profiles, from the next pod on; waiting pods are looked at again. How the queue is sorted stays.
   * Resolves when the objects are there that the plugins look up.
   */
  async replaceProfiles(profiles: readonly Profile[]): Promise<void> {
    this.#deps.informers.start();
    await this.#deps.informers.synced(this.#abort.signal);
    this.#profiles = new Map(profiles.map((p) => [p.schedulerName, p]));
    this.#watchOtherObjects();
    this.#queue.reconsider();
  }

  async stop(): Promise<void> {
    const reason = new Error("the scheduler is stopping");
    this.#abort.abort(reason);
    for (const limit of this.#limits) limit.abort(reason);
    for (const handler of this.#handlers) handler.remove();
    this.#queue.close();
    await this.#loop;
    await Promise.allSettled(this.#bindings);
  }

  /** Waiting pods by place, for metrics and debugging. */
  get queueSizes(): SchedulingQueue["sizes"] {
    return this.#queue.sizes;
  }

  /** Whether pods are waiting to be decided on, or several to be bound. */
  get isBusy(): boolean {
    return this.#bindings.size > 1 || this.#queue.sizes.active > 0;
  }

  // ---- keeping up with the cluster

  #setNode(node: Node, before: Node | undefined): void {
    this.#cache.setNode(node);
    if (!before) this.#queue.onEvent("NodeAdd", undefined, node);
    else for (const event of nodeEvents(before, node)) this.#queue.onEvent(event, before, node);
  }

  #removeNode(node: Node): void {
    this.#cache.removeNode(node.metadata.name);
    this.#queue.onEvent("NodeDelete", node, undefined);
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
    if (this.#cache.isAssumed(pod)) return;
    if (!this.#profileOf(pod)) {
      this.#cache.nominations.delete(pod);
      return this.#queue.delete(pod);
    }
    this.#noteNomination(pod, before);
    if (before && before.metadata.uid === pod.metadata.uid) this.#queue.update(pod, before);
    else this.#queue.add(pod);
  }

  /** A nomination that was made here counts until the API server has been told, or says that it is over. */
  #noteNomination(pod: Pod, before: Pod | undefined): void {
    const { nominations } = this.#cache;
    const told = pod.status?.nominatedNodeName;
    if (!told && before?.status?.nominatedNodeName) return nominations.delete(pod);
    const nodeName = told || nominations.nodeOf(pod);
    if (nodeName) nominations.set(pod, nodeName);
  }

  #removePod(pod: Pod): void {
    this.#queue.delete(pod);
    if (this.#cache.removePod(pod)) this.#queue.onEvent("AssignedPodDelete", pod, undefined);
  }

  #profileOf(pod: Pod): Profile | undefined {
    return this.#profiles.get(pod.spec.schedulerName ?? "default-scheduler");
  }

  // ---- the loop

  async #run(): Promise<void> {
    for (let count = 1; ; count++) {
      const info = await this.#queue.pop();
      if (!info) return;
      const more = this.#scheduleOne(info);
      if (more) await more;
      while (this.#bindings.size >= this.#maxBindings) {
        await new Promise<void>((resolve) => {
          this.#bindingEnded = resolve;
        });
      }
      if (count % podsPerTurn === 0) await this.#deps.clock.sleep(0, this.#abort.signal).catch(() => undefined);
    }
  }

  /** A promise where the decision, or making room, takes asking others. */
  #scheduleOne(info: QueuedPodInfo): Promise<void> | undefined {
    const { pod } = info;
    const profile = this.#profileOf(pod);
    if (!profile || pod.metadata.deletionTimestamp || this.#cache.isAssumed(pod)) {
      if (profile && pod.metadata.deletionTimestamp) this.#tellSkipped(pod, profile);
      this.#queue.done(pod);
      return undefined;
    }
    const cycle: SchedulingCycle = { pod, snapshot: this.#cache, state: new Map() };
    const attempt: Attempt = { info, cycle, profile, startedMs: this.#deps.clock.monotonic() };
    const options = { random: () => this.#deps.clock.random(), startAt: this.#startAt, ...this.#marking(attempt) };
    const extenders = this.#extenders.filter((extender) => extender.isInterested(pod));
    if (extenders.length > 0) {
      const { logger } = this.#deps;
      const decided = decideWithExtenders(cycle, profile, { ...options, extenders, logger, signal: this.#abort.signal });
      return decided.then(
        (result) => this.#act(attempt, result),
        (error: unknown) => this.#broken(attempt, error),
      );
    }
    let result: Decision | Unschedulable;
    try {
      result = decide(cycle, profile, options);
    } catch (error) {
      this.#broken(attempt, error);
      return undefined;
    }
    return this.#act(attempt, result);
  }

  /** Takes the time of extension points, now and then. */
  #marking({ profile, startedMs }: Attempt): Pick<DecideOptions, "mark"> {
    const { metrics, clock } = this.#deps;
    if (!metrics || this.#attempts++ % attemptsPerSample !== 0) return {};
    let last = startedMs;
    return {
      mark: (point, ok) => {
        const now = clock.monotonic();
        metrics.ranPoint(point, { profile: profile.schedulerName, ok, ms: now - last });
        last = now;
      },
    };
  }

  #broken(attempt: Attempt, error: unknown): void {
    if (!this.#abort.signal.aborted) this.#deps.logger.error("Scheduling a pod failed", { pod: keyOf(attempt.cycle.pod), error });
    this.#failed(attempt, { rejectedBy: new Set(), message: errorText(error) });
  }

  #act(attempt: Attempt, result: Decision | Unschedulable): Promise<void> | undefined {
    const { cycle, profile, startedMs } = attempt;
    this.#deps.metrics?.decided(this.#deps.clock.monotonic() - startedMs);
    if (result.kind === "unschedulable") {
      const failed = (failure: Failure): void => this.#failed(attempt, failure);
      return this.#postFilter(attempt, result).then(failed, (error: unknown) => this.#broken(attempt, error));
    }
    const { nodeName } = result;
    this.#startAt = (this.#startAt + result.evaluatedNodes) % Math.max(1, this.#cache.nodes.length);
    this.#cache.assume(cycle.pod, nodeName);
    const rejected = reserve(cycle, profile.plugins, nodeName);
    if (rejected) {
      const { plugin, rejection } = rejected;
      this.#giveBack(attempt, { nodeName, rejectedBy: new Set([plugin]), message: rejection.reasons.join(", ") });
    } else this.#track(this.#bind(attempt, nodeName));
    return undefined;
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => {
      this.#bindings.delete(tracked);
      this.#bindingEnded?.();
    });
    this.#bindings.add(tracked);
  }

  async #bind(attempt: Attempt, nodeName: string): Promise<void> {
    const { cycle, profile } = attempt;
    const { pod } = cycle;
    const { permitting, preBinding, binding, postBinding } = this.#bindersOf(profile);
    const limit = this.#spareLimits.take();
    this.#limits.add(limit);
    const { signal } = limit;
    const timer = this.#deps.clock.after(this.#bindTimeoutMs, () =>
      limit.abort(new Error(`binding took longer than ${this.#bindTimeoutMs} ms`)),
    );
    let running: readonly [point: string, plugin: Plugin | undefined] = ["Bind", undefined];
    try {
      for (const plugin of permitting) {
        running = ["Permit", plugin];
        const rejection = await plugin.permit(cycle, nodeName, signal);
        if (!rejection) continue;
        const message = rejection.reasons.join(", ");
        return this.#giveBack(attempt, { nodeName, rejectedBy: new Set([plugin.name]), message });
      }
      for (const plugin of preBinding) {
        running = ["PreBind", plugin];
        await plugin.preBind(cycle, nodeName, signal);
      }
      await this.#timed("Bind", profile, async () => {
        for (const plugin of binding) {
          running = ["Bind", plugin];
          if (await plugin.bind(cycle, nodeName, signal)) return;
        }
        throw new Error("no Bind plugin bound the pod");
      });
    } catch (error) {
      const gone = isStatus(error, "NotFound");
      if (!gone && !this.#abort.signal.aborted) this.#deps.logger.error("Binding a pod failed", { pod: keyOf(pod), node: nodeName, error });
      const where = `${running[0]} plugin ${JSON.stringify(running[1]?.name ?? "")}`;
      return this.#giveBack(attempt, { nodeName, rejectedBy: new Set(), message: `running ${where}: ${errorText(error)}`, gone });
    } finally {
      timer.cancel();
      this.#limits.delete(limit);
      this.#spareLimits.giveBack(limit);
    }
    this.#queue.done(pod);
    this.#notePlaced(attempt);
    for (const plugin of postBinding) plugin.postBind(cycle, nodeName);
    this.#deps.logger.info("Bound pod", { pod: keyOf(pod), node: nodeName }, 2);
    this.#recorderOf(profile).record(pod, {
      type: "Normal",
      reason: "Scheduled",
      action: "Binding",
      note: `Successfully assigned ${keyOf(pod)} to ${nodeName}`,
    });
  }

  #bindersOf(profile: Profile): Binders {
    let binders = this.#binders.get(profile);
    if (!binders) {
      binders = {
        permitting: havingPoint(profile, "permit"),
        preBinding: havingPoint(profile, "preBind"),
        binding: havingPoint(profile, "bind"),
        postBinding: havingPoint(profile, "postBind"),
      };
      this.#binders.set(profile, binders);
    }
    return binders;
  }

  async #timed(point: string, profile: Profile, work: () => Promise<void>): Promise<void> {
    const { clock, metrics } = this.#deps;
    const startedMs = clock.monotonic();
    await work();
    metrics?.ranPoint(point, { profile: profile.schedulerName, ok: true, ms: clock.monotonic() - startedMs });
  }

  #notePlaced({ info, profile, startedMs }: Attempt): void {
    const { clock, metrics } = this.#deps;
    metrics?.attempted("scheduled", profile.schedulerName, clock.monotonic() - startedMs);
    metrics?.placed(info.attempts, clock.now() - info.firstAttemptMs);
  }

  /** A pod that is being deleted, but not gone: something has to be done about it first. */
  #tellSkipped(pod: Pod, profile: Profile): void {
    const note = `skip schedule deleting pod: ${keyOf(pod)}`;
    this.#recorderOf(profile).record(pod, { type: "Warning", reason: "FailedScheduling", action: "Scheduling", note });
  }

  #recorderOf({ schedulerName }: Profile): Pick<EventSeriesRecorder, "record"> {
    return this.#recorders.get(schedulerName) ?? this.#deps.recorder;
  }

  /** Undoes an assumed placement. `gone`: the pod no longer exists, so there is nothing to try again. */
  #giveBack(attempt: Attempt, why: Failure & { readonly nodeName: string; readonly gone?: boolean }): void {
    const { cycle, profile } = attempt;
    for (const plugin of [...profile.plugins].reverse()) plugin.unreserve?.(cycle, why.nodeName);
    this.#cache.forget(cycle.pod);
    if (why.gone) this.#queue.done(cycle.pod);
    else this.#failed(attempt, { ...why, nomination: "" });
    this.#queue.onEvent("AssignedPodDelete", cycle.pod, undefined);
  }

  // ---- pods that found no place

  /** Asks the plugins in turn whether they can make room. */
  async #postFilter({ cycle, profile }: Attempt, { message, rejectedBy, rejections }: Unschedulable): Promise<Failure> {
    if (rejections.size === 0) return { message, rejectedBy, nomination: "", reason: "Unschedulable" };
    const context: PostFilterContext = {
      profile,
      rejections,
      random: () => this.#deps.clock.random(),
      released: (pod, how) => (how === "done" ? this.#queue.release(pod) : this.#queue.activate(pod)),
      signal: this.#abort.signal,
    };
    const reasons: string[] = [];
    let hopeless = false;
    for (const plugin of profile.plugins) {
      const outcome = await plugin.postFilter?.(cycle, context);
      if (!outcome) continue;
      if (outcome.kind === "nominated") return { message, rejectedBy, nomination: outcome.nodeName };
      reasons.push(outcome.message);
      if (outcome.kind === "failed") break;
      hopeless ||= outcome.hopeless ?? false;
    }
    const added = reasons.length > 0 ? ` ${reasons.join(", ")}` : "";
    return { message: message + added, rejectedBy, ...(hopeless ? { nomination: "" } : {}) };
  }

  #failed({ info, cycle, profile, startedMs }: Attempt, failure: Failure): void {
    if (this.#abort.signal.aborted) return;
    const reason = failure.reason ?? (failure.rejectedBy.size > 0 ? "Unschedulable" : "SchedulerError");
    const { clock, metrics } = this.#deps;
    const result = reason === "Unschedulable" ? "unschedulable" : "error";
    metrics?.attempted(result, profile.schedulerName, clock.monotonic() - startedMs);
    // The pod may have changed or gone while it was being tried.
    const key = keyOf(cycle.pod);
    const current = this.#deps.informers.informer(pods).get(key);
    if (!current || current.metadata.uid !== cycle.pod.metadata.uid || current.spec.nodeName || current.metadata.deletionTimestamp)
      return this.#queue.done(cycle.pod);
    const { rejectedBy, message, nomination } = failure;
    this.#queue.failed(info, current, rejectedBy);
    if (nomination) this.#cache.nominations.set(current, nomination);
    else if (nomination === "") this.#cache.nominations.delete(current);
    this.#deps.logger.info("Unable to schedule pod", { pod: key, message }, 2);
    this.#recorderOf(profile).record(current, { type: "Warning", reason: "FailedScheduling", action: "Scheduling", note: message });
    this.#track(reportUnscheduled({ ...this.#deps, signal: this.#abort.signal }, current, { reason, message, nomination }));
  }
}

type With<P extends keyof Plugin> = Plugin & Required<Pick<Plugin, P>>;

/** The plugins of a profile that a binding passes, found once. */
interface Binders {
  readonly permitting: readonly With<"permit">[];
  readonly preBinding: readonly With<"preBind">[];
  readonly binding: readonly With<"bind">[];
  readonly postBinding: readonly With<"postBind">[];
}

function havingPoint<P extends keyof Plugin>({ plugins }: Profile, point: P): readonly With<P>[] {
  return plugins.filter((plugin): plugin is With<P> => plugin[point] !== undefined);
}

interface Failure {
  /** Empty after an error. */
  readonly rejectedBy: ReadonlySet<string>;
  readonly message: string;
  /** The node the pod waits for; "" ends an earlier nomination, absent leaves it. */
  readonly nomination?: string;
  /** Default by whether some plugin rejected the pod. */
  readonly reason?: "Unschedulable" | "SchedulerError";
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
