// The scheduling queue. A waiting pod is in one of four places: active (ready to be tried, in QueueSort order), back-off
// (tried, worth another try, but others come first), unschedulable (waits for an event that concerns a plugin that rejected it), or
// gated (PreEnqueue refused it). An event that arrives while a pod is being tried is remembered until the attempt ends,
// so that it cannot be missed. When nothing is active, pods are taken from the back-off early: not those that ended with an
// error, and with pauses once it was in vain.
import { keyOf } from "../api/meta/object.ts";
import type { Pod } from "../api/types/core-v1.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { type ClusterEvent, labelOfEvent } from "./cluster-events.ts";
import type { Plugin, QueuedPodInfo, QueueingHint } from "./framework.ts";
import { KeyedHeap } from "./heap.ts";
import type { QueueName } from "./scheduler-metrics.ts";
import { UnschedulablePods } from "./unschedulable-pods.ts";

export interface QueueOptions {
  readonly clock: Clock;
  /** Plugins of the pod's profile. */
  readonly pluginsOf: (pod: Pod) => readonly Plugin[];
  readonly sort: (a: QueuedPodInfo, b: QueuedPodInfo) => number;
  /** Back-off after an attempt, doubling with each. Default 1 s, at most 10 s. */
  readonly initialBackoffMs?: number;
  readonly maxBackoffMs?: number;
  /** An unschedulable pod is tried again after so long whatever happens. Default 5 minutes. */
  readonly maxUnschedulableMs?: number;
  /** Called for each pod that comes into one of the places, with what brought it there. */
  readonly queued?: (queue: QueueName, event: string) => void;
}

interface QueuedPod extends QueuedPodInfo {
  readonly key: string;
  pod: Pod;
  timestampMs: number;
  attempts: number;
  firstAttemptMs: number;
  /** Names of the plugins that rejected the pod at its last attempt, or hold it back. */
  rejectedBy: ReadonlySet<string>;
  backoffUntilMs: number;
  /** It waited so long for an event that it was tried without one. */
  wasFlushed?: boolean;
}

interface SeenEvent {
  readonly event: ClusterEvent;
  readonly before: unknown;
  readonly after: unknown;
}

/** Events kept for attempts in progress; when more come in, the attempts count as concerned. */
const maxSeenEvents = 10_000;

/** Pods whose back-off ends in the same second go in QueueSort order. */
const backoffWindowMs = 1_000;

/** No pod is taken from the back-off early for so long after one that was tried in vain. */
const pauseAfterVainMs = 20;

const failureEvent = "ScheduleAttemptFailure";

export class SchedulingQueue {
  readonly #options: Required<Omit<QueueOptions, "queued">> & Pick<QueueOptions, "queued">;
  readonly #active: KeyedHeap<QueuedPod>;
  readonly #backoff: KeyedHeap<QueuedPod>;
  /** Back-off after errors. */
  readonly #errors = new KeyedHeap<QueuedPod>(
    (p) => p.key,
    (a, b) => a.backoffUntilMs - b.backoffUntilMs,
  );
  /** Pods being tried that were taken from the back-off early. */
  readonly #early = new Set<string>();
  #earlyAfterMs = 0;
  readonly #unschedulable: UnschedulablePods<QueuedPod>;
  readonly #gated = new Map<string, QueuedPod>();
  /** Those among them that wait for what happens in the cluster rather than for a change of their own. */
  readonly #gatedForEvents = new Map<string, QueuedPod>();
  /** Pods being tried, with the number of events seen when their attempt began. */
  readonly #inFlight = new Map<string, number>();
  #seen: SeenEvent[] = [];
  #seenBefore = 0;
  #timer: Timer | undefined;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(options: QueueOptions) {
    this.#options = { initialBackoffMs: 1_000, maxBackoffMs: 10_000, maxUnschedulableMs: 5 * 60_000, ...options };
    this.#unschedulable = new UnschedulablePods(options.pluginsOf);
    this.#active = new KeyedHeap<QueuedPod>((p) => p.key, options.sort);
    const windowOf = ({ backoffUntilMs }: QueuedPod): number => Math.floor(backoffUntilMs / backoffWindowMs);
    this.#backoff = new KeyedHeap<QueuedPod>(
      (p) => p.key,
      (a, b) => windowOf(a) - windowOf(b) || options.sort(a, b),
    );
    this.#timer = options.clock.every(30_000, () => this.#flushLeftover());
  }

  get sizes(): { readonly active: number; readonly backoff: number; readonly unschedulable: number; readonly gated: number } {
    const backoff = this.#backoff.size + this.#errors.size;
    return { active: this.#active.size, backoff, unschedulable: this.#unschedulable.size, gated: this.#gated.size };
  }

  /** Pods that are ready to be tried. */
  get activeSize(): number {
    return this.#active.size;
  }

  /** A pod without a node has appeared. */
  add(pod: Pod): void {
    const now = this.#options.clock.now();
    const untried = { attempts: 0, firstAttemptMs: 0, rejectedBy: new Set<string>(), backoffUntilMs: 0 };
    this.#enqueue({ key: keyOf(pod), pod, timestampMs: now, ...untried }, "UnschedulablePodAdd");
  }

  /** A waiting pod has changed. */
  update(pod: Pod, before: Pod): void {
    const key = keyOf(pod);
    const backingOff = this.#backoff.get(key) ?? this.#errors.get(key);
    const queued = this.#active.get(key) ?? backingOff ?? this.#unschedulable.get(key) ?? this.#gated.get(key);
    if (!queued) {
      if (!this.#inFlight.has(key)) this.add(pod);
      else this.#remember({ event: "UnscheduledPodUpdate", before, after: pod });
      return;
    }
    queued.pod = pod;
    if (this.#active.get(key)) return this.#active.set(queued);
    if (this.#gated.has(key)) {
      this.#ungate(key);
      return this.#enqueue(queued, labelOfEvent("UnscheduledPodUpdate"));
    }
    if (this.#unschedulable.has(key) && changesScheduling(before, pod)) {
      this.#unschedulable.delete(key);
      this.#retry(queued, labelOfEvent("UnscheduledPodUpdate"));
    }
  }

  /** The pod is gone, bound, or no longer this scheduler's. */
  delete(pod: Pod): void {
    const key = keyOf(pod);
    this.#active.delete(key);
    this.#backoff.delete(key);
    this.#errors.delete(key);
    this.#unschedulable.delete(key);
    this.#ungate(key);
  }

  /** The next pod to try; waits for one. Undefined when the queue has been closed. Call `done` or `failed` afterwards. */
  async pop(): Promise<QueuedPodInfo | undefined> {
    for (;;) {
      if (this.#closed) return undefined;
      const next = this.popNow();
      if (next) return next;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The next pod to try, if one is ready. */
  popNow(): QueuedPodInfo | undefined {
    this.#flushBackoff();
    const next = this.#active.pop() ?? this.#popEarly();
    if (!next) return undefined;
    next.attempts++;
    next.firstAttemptMs ||= this.#options.clock.now();
    this.#inFlight.set(next.key, this.#seenBefore + this.#seen.length);
    return next;
  }

  #popEarly(): QueuedPod | undefined {
    if (this.#backoff.size === 0 || this.#options.clock.now() < this.#earlyAfterMs) return undefined;
    const next = this.#backoff.pop();
    if (!next) return undefined;
    this.#early.add(next.key);
    this.#options.queued?.("active", "PopFromBackoffQ");
    return next;
  }

  /** The attempt placed the pod, or it no longer needs a place. */
  done(pod: Pod): void {
    this.#inFlight.delete(keyOf(pod));
    this.#early.delete(keyOf(pod));
    this.#trimSeen();
  }

  /**
   * The attempt did not place the pod. `rejectedBy`: the plugins that said no; empty after an error, when the pod is
   * tried again after its back-off without waiting for an event.
   */
  failed(info: QueuedPodInfo, pod: Pod, rejectedBy: ReadonlySet<string>): void {
    const key = keyOf(pod);
    const since = this.#inFlight.get(key);
    this.#inFlight.delete(key);
    const missed = since === undefined || since < this.#seenBefore ? undefined : this.#seen.slice(since - this.#seenBefore);
    this.#trimSeen();
    const { clock, initialBackoffMs, maxBackoffMs } = this.#options;
    const now = clock.now();
    if (this.#early.delete(key)) this.#pause(now);
    const backoffMs = Math.min(initialBackoffMs * 2 ** Math.min(info.attempts - 1, 30), maxBackoffMs);
    const { attempts, firstAttemptMs } = info;
    const queued: QueuedPod = { key, pod, timestampMs: now, attempts, firstAttemptMs, rejectedBy, backoffUntilMs: now + backoffMs };
    const worthARetry = rejectedBy.size === 0 || missed === undefined || missed.some((e) => this.#concerns(queued, e));
    if (worthARetry) return this.#retry(queued, failureEvent);
    this.#unschedulable.set(queued);
    this.#options.queued?.("unschedulable", failureEvent);
  }

  #pause(nowMs: number): void {
    this.#earlyAfterMs = nowMs + pauseAfterVainMs;
    this.#armBackoff();
  }

  /** Looks again at a pod that PreEnqueue holds back. */
  release(pod: Pod): void {
    const queued = this.#gated.get(keyOf(pod));
    if (!queued) return;
    this.#ungate(queued.key);
    this.#enqueue(queued, "ForceActivate");
  }

  /** Tries a waiting pod as soon as possible, whatever it waits for. */
  activate(pod: Pod): void {
    const key = keyOf(pod);
    const queued = this.#backoff.delete(key) ?? this.#errors.delete(key) ?? this.#unschedulable.get(key) ?? this.#gated.get(key);
    if (!queued) return;
    this.#unschedulable.delete(key);
    this.#ungate(key);
    this.#enqueue(queued, "ForceActivate");
  }

  /** The rules have changed: every pod that waits for an event, or is held back, is looked at again. */
  reconsider(): void {
    const [waiting, gated] = [this.#unschedulable.values(), [...this.#gated.values()]];
    this.#unschedulable.clear();
    this.#gated.clear();
    this.#gatedForEvents.clear();
    for (const queued of waiting) this.#retry(queued, "ForceActivate");
    for (const queued of gated) this.#enqueue(queued, "ForceActivate");
  }

  /** Something happened in the cluster: pods it may have made schedulable move on. */
  onEvent(event: ClusterEvent, before: unknown, after: unknown): void {
    const seen: SeenEvent = { event, before, after };
    this.#remember(seen);
    if (this.#gatedForEvents.size > 0) this.#lookAtGated(seen);
    if (this.#unschedulable.size === 0) return;
    for (const queued of this.#unschedulable.listeningTo(event)) {
      if (!this.#concerns(queued, seen)) continue;
      this.#unschedulable.delete(queued.key);
      this.#retry(queued, labelOfEvent(event));
    }
  }

  #lookAtGated(seen: SeenEvent): void {
    for (const queued of [...this.#gatedForEvents.values()]) {
      if (!this.#concerns(queued, seen)) continue;
      this.#ungate(queued.key);
      this.#retry(queued, labelOfEvent(seen.event));
    }
  }

  #ungate(key: string): void {
    this.#gated.delete(key);
    this.#gatedForEvents.delete(key);
  }

  /** Pods that wait for any reason, and whether they are gated: for debugging and metrics. */
  pending(): readonly Pod[] {
    return [...this.#active.values(), ...this.#backoff.values(), ...this.#errors.values()]
      .concat(this.#unschedulable.values(), [...this.#gated.values()])
      .map((q) => q.pod);
  }

  /** Pods that wait, with what rejected them: for metrics. */
  *rejections(): Iterable<{ readonly pod: Pod; readonly rejectedBy: ReadonlySet<string> }> {
    yield* this.#active.values();
    yield* this.#backoff.values();
    yield* this.#errors.values();
    yield* this.#unschedulable.values();
    yield* this.#gated.values();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#backoffTimer?.timer.cancel();
    this.#wake?.();
  }

  #backoffTimer: { readonly atMs: number; readonly timer: Timer } | undefined;

  #enqueue(queued: QueuedPod, event: string): void {
    if (this.#isHeldBack(queued, event)) return;
    this.#activate(queued, event);
  }

  #isHeldBack(queued: QueuedPod, event: string): boolean {
    for (const plugin of this.#options.pluginsOf(queued.pod)) {
      if (!plugin.preEnqueue?.(queued.pod)) continue;
      queued.rejectedBy = new Set([...queued.rejectedBy, plugin.name]);
      this.#gated.set(queued.key, queued);
      if (plugin.queueingHints?.some(({ event: each }) => each !== "UnscheduledPodUpdate")) this.#gatedForEvents.set(queued.key, queued);
      this.#options.queued?.("gated", event);
      return true;
    }
    return false;
  }

  #activate(queued: QueuedPod, event: string): void {
    this.#active.set(queued);
    this.#options.queued?.("active", event);
    this.#notify();
  }

  #retry(queued: QueuedPod, event: string): void {
    if (this.#isHeldBack(queued, event)) return;
    if (queued.backoffUntilMs <= this.#options.clock.now()) return this.#activate(queued, event);
    if (queued.rejectedBy.size === 0) this.#errors.set(queued);
    else this.#backoff.set(queued);
    this.#options.queued?.("backoff", event);
    this.#armBackoff();
    if (queued.rejectedBy.size > 0) this.#notify();
  }

  #flushBackoff(): void {
    const now = this.#options.clock.now();
    for (const heap of [this.#backoff, this.#errors]) {
      for (let next = heap.peek(); next && next.backoffUntilMs <= now; next = heap.peek()) {
        heap.pop();
        this.#activate(next, "BackoffComplete");
      }
    }
  }

  /** For the end of the first back-off, or of the pause that keeps the pod from being tried earlier. */
  #armBackoff(): void {
    const now = this.#options.clock.now();
    const [next, afterError] = [this.#backoff.peek(), this.#errors.peek()];
    let atMs = afterError?.backoffUntilMs ?? Number.POSITIVE_INFINITY;
    if (next) atMs = Math.min(atMs, this.#earlyAfterMs > now ? Math.min(next.backoffUntilMs, this.#earlyAfterMs) : next.backoffUntilMs);
    if (this.#closed || atMs === this.#backoffTimer?.atMs) return;
    this.#backoffTimer?.timer.cancel();
    this.#backoffTimer = undefined;
    if (atMs === Number.POSITIVE_INFINITY) return;
    const timer = this.#options.clock.after(atMs - now, () => {
      this.#backoffTimer = undefined;
      this.#flushBackoff();
      this.#notify();
      this.#armBackoff();
    });
    this.#backoffTimer = { atMs, timer };
  }

  #flushLeftover(): void {
    const now = this.#options.clock.now();
    for (const queued of this.#unschedulable.values()) {
      if (now - queued.timestampMs < this.#options.maxUnschedulableMs) continue;
      this.#unschedulable.delete(queued.key);
      queued.wasFlushed = true;
      this.#retry(queued, "UnschedulableTimeout");
    }
  }

  #concerns(queued: QueuedPod, { event, before, after }: SeenEvent): boolean {
    const listens = (hint: QueueingHint): boolean => hint.event === event && (hint.concerns?.(queued.pod, before, after) ?? true);
    return this.#options.pluginsOf(queued.pod).some((plugin) => queued.rejectedBy.has(plugin.name) && plugin.queueingHints?.some(listens));
  }

  #remember(event: SeenEvent): void {
    if (this.#inFlight.size === 0) return;
    this.#seen.push(event);
    if (this.#seen.length > maxSeenEvents) {
      this.#seenBefore += this.#seen.length;
      this.#seen = [];
    }
  }

  #trimSeen(): void {
    if (this.#inFlight.size > 0) return;
    this.#seenBefore += this.#seen.length;
    this.#seen = [];
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** Whether an update of a waiting pod may change where it can go. */
function changesScheduling(before: Pod, after: Pod): boolean {
  return before.spec !== after.spec ||
    before.metadata.labels !== after.metadata.labels ||
    before.status?.resourceClaimStatuses !== after.status?.resourceClaimStatuses
    ? schedulingText(before) !== schedulingText(after)
    : false;
}

const schedulingText = ({ spec, metadata: { labels }, status }: Pod): string =>
  JSON.stringify([spec, labels, status?.resourceClaimStatuses]);
