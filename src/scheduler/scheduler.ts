// The scheduler: takes one pod after the other from the queue through its scheduling cycle, and has it bound in the background.
// It never waits for the API server between two decisions: a chosen node's room is assumed at once and given back when binding
// fails. Its parts:
//   ClusterFollower ──> SchedulerCache, SchedulingQueue ──> decide() ──> BindingCycles
//                                    ^──────────────── FailureHandling <────┘
import { setMaxListeners } from "node:events";
import type { Pod } from "../api/types/core-v1.ts";
import type { Running } from "../base/lifecycle.ts";
import type { EventSeriesRecorder } from "../client/event-series-recorder.ts";
import type { Attempt, SchedulerDependencies, SchedulerState } from "./attempt.ts";
import { BindingCycles } from "./binding-cycle.ts";
import { SchedulerCache } from "./cache.ts";
import { ClusterFollower } from "./cluster-follower.ts";
import { decideWithExtenders } from "./extenders/decide-with-extenders.ts";
import type { Extender } from "./extenders/extender.ts";
import { FailureHandling } from "./failure-handling.ts";
import type { Plugin, Profile, QueuedPodInfo, Rejection, SchedulingCycle } from "./framework.ts";
import { KnownVerdicts } from "./known-verdicts.ts";
import { SchedulingQueue } from "./queue.ts";
import { type DecideOptions, type Decision, decide, type Unschedulable } from "./schedule.ts";

export type { SchedulerDependencies } from "./attempt.ts";

export interface SchedulerOptions {
  readonly profiles: readonly Profile[];
  /** Bindings under way at a time; further decisions wait. Default 256. */
  readonly maxBindings?: number;
  /** For a pod's whole binding cycle, which may wait for volumes. Default 10 minutes. */
  readonly bindTimeoutMs?: number;
  /** Back-off of a pod after its first attempt, doubled with each. Default 1 s, at most 10 s. */
  readonly initialBackoffMs?: number;
  readonly maxBackoffMs?: number;
  /** A pod that did not fit is tried again after so long whatever happens. Default 5 minutes. */
  readonly maxUnschedulableMs?: number;
  /** Recorders of events by scheduler name; others use the one of the dependencies. */
  readonly recorders?: ReadonlyMap<string, Pick<EventSeriesRecorder, "record">>;
  readonly extenders?: readonly Extender[];
}

/** So many attempts go by until the time of extension points is taken again. */
const attemptsPerSample = 10;

/** Pods scheduled in one turn of the event loop, so that watches and bindings get their share. */
const podsPerTurn = 32;

export class Scheduler implements Running {
  readonly #deps: SchedulerDependencies;
  #profiles: ReadonlyMap<string, Profile>;
  readonly #cache = new SchedulerCache();
  readonly #queue: SchedulingQueue;
  readonly #follower: ClusterFollower;
  readonly #failures: FailureHandling;
  readonly #binding: BindingCycles;
  readonly #abort = new AbortController();
  readonly #maxBindings: number;
  readonly #underWay = new Set<Promise<void>>();
  readonly #extenders: readonly Extender[];
  readonly #verdicts = new KnownVerdicts();
  #hideSizes: (() => void) | undefined;
  #loop: Promise<void> | undefined;
  #workEnded: (() => void) | undefined;
  #startAt = 0;
  #attempts = 0;

  constructor(deps: SchedulerDependencies, options: SchedulerOptions) {
    this.#deps = deps;
    // One listener per call under way: many are no leak.
    setMaxListeners(0, this.#abort.signal);
    this.#profiles = bySchedulerName(options.profiles);
    this.#maxBindings = options.maxBindings ?? 256;
    this.#extenders = options.extenders ?? [];
    this.#queue = this.#createQueue(options);
    const recorders: NonNullable<SchedulerOptions["recorders"]> = options.recorders ?? new Map();
    const state: SchedulerState = {
      ...{ deps, cache: this.#cache, queue: this.#queue, signal: this.#abort.signal },
      profileOf: (pod) => this.#profileOf(pod),
      recorderOf: ({ schedulerName }) => recorders.get(schedulerName) ?? deps.recorder,
      track: (work) => this.#track(work),
    };
    this.#follower = new ClusterFollower(state);
    this.#failures = new FailureHandling(state);
    this.#binding = new BindingCycles(state, this.#failures, { timeoutMs: options.bindTimeoutMs ?? 600_000 });
  }

  #createQueue({ profiles, initialBackoffMs, maxBackoffMs, maxUnschedulableMs }: SchedulerOptions): SchedulingQueue {
    const sort = profiles[0]?.plugins.find((p) => p.queueSort)?.queueSort;
    if (!sort) throw new Error("the first profile has no QueueSort plugin");
    const { clock, metrics } = this.#deps;
    return new SchedulingQueue({
      clock,
      pluginsOf: (pod) => this.#profileOf(pod)?.plugins ?? [],
      sort,
      ...(initialBackoffMs === undefined ? {} : { initialBackoffMs }),
      ...(maxUnschedulableMs === undefined ? {} : { maxUnschedulableMs }),
      ...(maxBackoffMs === undefined ? {} : { maxBackoffMs }),
      ...(metrics ? { queued: (queue, event) => metrics.queued(queue, event) } : {}),
    });
  }

  /** Resolves when the cache is filled and pods are being scheduled. */
  async start(): Promise<void> {
    const { informers, metrics } = this.#deps;
    this.#follower.start();
    this.#follower.watchFor(this.#profiles.values());
    for (const profile of this.#profiles.values()) metrics?.evaluationsOf(profile);
    this.#hideSizes = metrics?.showSizes({
      queue: () => this.#queue.sizes,
      cache: () => this.#cache.sizes(),
      bindings: () => this.#underWay.size,
      rejections: () => this.#rejections(),
    });
    informers.start();
    await informers.synced(this.#abort.signal);
    this.#loop = this.#run();
  }

  /**
   * Goes on with other profiles, from the next pod on; waiting pods are looked at again. How the queue is sorted stays.
   * Resolves when the objects are there that the plugins look up.
   */
  async replaceProfiles(profiles: readonly Profile[]): Promise<void> {
    this.#deps.informers.start();
    await this.#deps.informers.synced(this.#abort.signal);
    this.#profiles = bySchedulerName(profiles);
    this.#follower.watchFor(profiles);
    this.#queue.reconsider();
  }

  async stop(): Promise<void> {
    const reason = new Error("the scheduler is stopping");
    this.#abort.abort(reason);
    this.#binding.abort(reason);
    this.#follower.stop();
    this.#hideSizes?.();
    this.#queue.close();
    await this.#loop;
    await Promise.allSettled(this.#underWay);
  }

  /** Waiting pods by place, for metrics and debugging. */
  get queueSizes(): SchedulingQueue["sizes"] {
    return this.#queue.sizes;
  }

  /** Whether pods are waiting to be decided on, or several to be bound. */
  get isBusy(): boolean {
    return this.#underWay.size > 1 || this.#queue.activeSize > 0;
  }

  #profileOf(pod: Pod): Profile | undefined {
    return this.#profiles.get(pod.spec.schedulerName ?? "default-scheduler");
  }

  async #run(): Promise<void> {
    for (let count = 1; ; count++) {
      const info = this.#queue.popNow() ?? (await this.#queue.pop());
      if (!info || this.#abort.signal.aborted) return;
      const more = this.#scheduleOne(info);
      if (more) await more;
      while (this.#underWay.size >= this.#maxBindings) {
        await new Promise<void>((resolve) => {
          this.#workEnded = resolve;
        });
      }
      if (count % podsPerTurn === 0) await this.#deps.clock.sleep(0, this.#abort.signal).catch(() => undefined);
    }
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => {
      this.#underWay.delete(tracked);
      this.#workEnded?.();
    });
    this.#underWay.add(tracked);
  }

  /** A promise where the decision, or making room, takes asking others. */
  #scheduleOne(info: QueuedPodInfo): Promise<void> | undefined {
    const { pod } = info;
    const profile = this.#profileOf(pod);
    if (!profile || pod.metadata.deletionTimestamp || this.#cache.isAssumed(pod)) {
      if (profile && pod.metadata.deletionTimestamp) this.#failures.tellSkipped(pod, profile);
      this.#queue.done(pod);
      return undefined;
    }
    const cycle: SchedulingCycle = { pod, snapshot: this.#cache, state: new Map() };
    const attempt: Attempt = { info, cycle, profile, startedMs: this.#deps.clock.monotonic() };
    const evaluations = this.#deps.metrics?.evaluationsOf(profile);
    const counting = evaluations ? { evaluations } : {};
    const more = { verdicts: this.#verdicts, ...counting, ...this.#marking(attempt) };
    const options = { random: this.#random, startAt: this.#startAt, ...more };
    const extenders = this.#extenders.length === 0 ? [] : this.#extenders.filter((extender) => extender.isInterested(pod));
    if (extenders.length > 0) return this.#askExtenders(attempt, extenders, options);
    let result: Decision | Unschedulable;
    try {
      result = decide(cycle, profile, options);
    } catch (error) {
      this.#failures.broken(attempt, error);
      return undefined;
    }
    return this.#act(attempt, result);
  }

  readonly #random = (): number => this.#deps.clock.random();

  #askExtenders(attempt: Attempt, extenders: readonly Extender[], options: DecideOptions): Promise<void> {
    const { cycle, profile } = attempt;
    const { logger } = this.#deps;
    return decideWithExtenders(cycle, profile, { ...options, extenders, logger, signal: this.#abort.signal }).then(
      (result) => this.#act(attempt, result),
      (error: unknown) => this.#failures.broken(attempt, error),
    );
  }

  *#rejections(): Iterable<{ readonly profile: string; readonly rejectedBy: ReadonlySet<string> }> {
    for (const { pod, rejectedBy } of this.#queue.rejections()) {
      const profile = this.#profileOf(pod);
      if (profile) yield { profile: profile.schedulerName, rejectedBy };
    }
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

  /** Assumes the room and has the pod bound; a promise where there is none, and room may be made. */
  #act(attempt: Attempt, result: Decision | Unschedulable): Promise<void> | undefined {
    const { cycle, profile, startedMs } = attempt;
    this.#deps.metrics?.decided(this.#deps.clock.monotonic() - startedMs);
    if (result.kind === "unschedulable") return this.#failures.unschedulable(attempt, result);
    const { nodeName } = result;
    this.#startAt = (this.#startAt + result.evaluatedNodes) % Math.max(1, this.#cache.nodes.length);
    this.#cache.assume(cycle.pod, nodeName);
    const rejected = reserve(cycle, profile.plugins, nodeName);
    if (!rejected) this.#track(this.#binding.run(attempt, nodeName));
    else {
      const { plugin, rejection } = rejected;
      this.#failures.giveBack(attempt, { nodeName, rejectedBy: new Set([plugin]), message: rejection.reasons.join(", ") });
    }
    return undefined;
  }
}

function bySchedulerName(profiles: readonly Profile[]): ReadonlyMap<string, Profile> {
  return new Map(profiles.map((profile) => [profile.schedulerName, profile]));
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
