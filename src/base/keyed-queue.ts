// A queue of keys to be worked on, the heart of every control loop. A key waits at most once; it is never worked on twice
// at the same time (added while in progress, it comes again afterwards); a bounded number of workers serve the queue; each
// piece of work has a deadline. A piece that does not heed its deadline keeps its key, but no longer its worker, so that
// one hung call cannot stop the rest.
import { type BackoffOptions, KeyedBackoff } from "./backoff.ts";
import type { Clock, Timer } from "./clock.ts";
import type { Running } from "./lifecycle.ts";
import { SpareControllers } from "./spare-controllers.ts";

/** What is to happen with a key after a piece of work: nothing more, again after a while, or again with back-off. */
export type KeyOutcome = { readonly kind: "done" } | { readonly kind: "after"; readonly delayMs: number } | { readonly kind: "retry" };

export interface KeyedQueueOptions<K> {
  readonly clock: Clock;
  /** Must not throw: failures become outcomes. The signal aborts at the deadline and when the queue stops for good. */
  readonly work: (key: K, signal: AbortSignal) => Promise<KeyOutcome>;
  /** Pieces of work at a time. Default 1. */
  readonly workers?: number;
  /** Default 5 ms doubling to 1000 s. */
  readonly backoff?: BackoffOptions;
  /** For one piece of work. Default 5 minutes. */
  readonly deadlineMs?: number;
  /** How long stop() waits for work in progress before it aborts it. Default 5 s. */
  readonly drainMs?: number;
  /** A key that was added while it was worked on comes again after so long, for much may have happened by then. Default 0. */
  readonly paceMs?: number;
  readonly metrics?: QueueMetrics;
}

/** Hooks for the queue's figures; all durations in milliseconds. */
export interface QueueMetrics {
  added?(): void;
  retried?(): void;
  started?(waitedMs: number): void;
  finished?(workedMs: number): void;
}

/** Pumps in a row that are microtasks. */
const longestRun = 128;

export class KeyedQueue<K> implements Running {
  readonly #clock: Clock;
  readonly #work: KeyedQueueOptions<K>["work"];
  readonly #workers: number;
  readonly #deadlineMs: number;
  readonly #drainMs: number;
  readonly #paceMs: number;
  readonly #metrics: QueueMetrics;
  readonly #backoff: KeyedBackoff<K>;
  /** Keys ready to be worked on, in order, with the time they were added. */
  readonly #ready = new Map<K, number>();
  readonly #delayed = new Map<K, { readonly dueMs: number; readonly timer: Timer }>();
  readonly #controllers = new SpareControllers();
  readonly #inProgress = new Map<K, { readonly controller: AbortController; readonly startedMs: number }>();
  /** Added while in progress. */
  readonly #again = new Set<K>();
  readonly #idle: (() => void)[] = [];
  #busyWorkers = 0;
  #pumping = false;
  /** How often in a row workers began without a turn for the event loop. */
  #run = 0;
  #started = false;
  #stopping: Promise<void> | undefined;

  constructor(options: KeyedQueueOptions<K>) {
    this.#clock = options.clock;
    this.#work = options.work;
    this.#workers = options.workers ?? 1;
    this.#deadlineMs = options.deadlineMs ?? 5 * 60_000;
    this.#drainMs = options.drainMs ?? 5_000;
    this.#paceMs = options.paceMs ?? 0;
    this.#metrics = options.metrics ?? {};
    this.#backoff = new KeyedBackoff(options.backoff ?? { baseMs: 5, maxMs: 1_000_000 });
  }

  /** Keys waiting for a worker. */
  get depth(): number {
    return this.#ready.size + this.#again.size;
  }

  /** Nothing waits or is in progress; delayed keys do not count. */
  get isIdle(): boolean {
    return this.#ready.size === 0 && this.#inProgress.size === 0;
  }

  /** How long the work in progress has taken so far, altogether and the longest of it. */
  get unfinished(): { readonly totalMs: number; readonly longestMs: number } {
    const nowMs = this.#clock.monotonic();
    let [totalMs, longestMs] = [0, 0];
    for (const { startedMs } of this.#inProgress.values()) {
      totalMs += nowMs - startedMs;
      longestMs = Math.max(longestMs, nowMs - startedMs);
    }
    return { totalMs, longestMs };
  }

  /** Work begins; keys may have been added before. */
  start(): void {
    this.#started = true;
    this.#schedule();
  }

  add(key: K): void {
    if (this.#stopping) return;
    if (this.#inProgress.has(key)) {
      this.#again.add(key);
      return;
    }
    if (this.#ready.has(key)) return;
    this.#ready.set(key, this.#clock.monotonic());
    this.#metrics.added?.();
    this.#schedule();
  }

  /** Adds the key after a while; of several delays for one key the earliest counts. */
  addAfter(key: K, delayMs: number): void {
    if (this.#stopping) return;
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    const dueMs = this.#clock.monotonic() + delayMs;
    const known = this.#delayed.get(key);
    if (known && known.dueMs <= dueMs) return;
    known?.timer.cancel();
    const timer = this.#clock.after(delayMs, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { dueMs, timer });
  }

  /** Failures in a row of this key. */
  failures(key: K): number {
    return this.#backoff.failures(key);
  }

  /** Drops what waits, lets work in progress end, aborts it where that takes too long. */
  stop(): Promise<void> {
    this.#stopping ??= this.#drain();
    return this.#stopping;
  }

  async #drain(): Promise<void> {
    for (const { timer } of this.#delayed.values()) timer.cancel();
    this.#delayed.clear();
    this.#ready.clear();
    this.#again.clear();
    if (this.#inProgress.size === 0) return;
    const idle = new Promise<void>((resolve) => this.#idle.push(resolve));
    const abort = this.#clock.after(this.#drainMs, () => {
      for (const { controller } of this.#inProgress.values()) controller.abort(new Error("the queue is stopping"));
      // Work that ignores its signal is not waited for.
      for (const resolve of this.#idle.splice(0)) resolve();
    });
    await idle;
    abort.cancel();
  }

  /**
   * Workers begin in a later microtask: keys added together are seen together, and add() never runs work itself. Now and then
   * they let timers and connections have a turn, which loops that set each other off would otherwise keep from ever running.
   */
  #schedule(): void {
    if (!this.#started || this.#pumping) return;
    this.#pumping = true;
    const pump = (): void => {
      this.#pumping = false;
      this.#pump();
    };
    this.#run = (this.#run + 1) % longestRun;
    if (this.#run === 0) setImmediate(pump);
    else queueMicrotask(pump);
  }

  #pump(): void {
    for (const [key, addedMs] of this.#ready) {
      if (this.#busyWorkers >= this.#workers) return;
      this.#ready.delete(key);
      void this.#serve(key, this.#clock.monotonic() - addedMs);
    }
  }

  async #serve(key: K, waitedMs: number): Promise<void> {
    const controller = this.#controllers.take();
    const startedMs = this.#clock.monotonic();
    this.#inProgress.set(key, { controller, startedMs });
    this.#busyWorkers++;
    this.#metrics.started?.(waitedMs);
    let holdsWorker = true;
    const releaseWorker = (): void => {
      if (!holdsWorker) return;
      holdsWorker = false;
      this.#busyWorkers--;
      this.#schedule();
    };
    const deadline = this.#clock.after(this.#deadlineMs, () => {
      controller.abort(new Error(`the work on ${String(key)} took longer than ${this.#deadlineMs} ms`));
      releaseWorker();
    });
    const outcome = await this.#work(key, controller.signal);
    deadline.cancel();
    this.#metrics.finished?.(this.#clock.monotonic() - startedMs);
    this.#inProgress.delete(key);
    this.#controllers.giveBack(controller);
    releaseWorker();
    this.#settle(key, outcome);
    if (this.#inProgress.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #settle(key: K, outcome: KeyOutcome): void {
    if (outcome.kind === "retry") {
      this.#metrics.retried?.();
      this.addAfter(key, this.#backoff.next(key));
    } else {
      this.#backoff.forget(key);
      if (outcome.kind === "after") this.addAfter(key, outcome.delayMs);
    }
    if (this.#again.delete(key)) this.addAfter(key, this.#paceMs);
  }
}
