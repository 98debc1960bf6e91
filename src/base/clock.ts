// Time as a dependency. Everything that waits or asks what time it is takes a Clock, so that a whole cluster can run on a
// VirtualClock in which a month passes in milliseconds and every run is the same. This folder is the only place that may
// touch Date.now and timers.

export interface Timer {
  /** Idempotent; a timer that has fired is already cancelled. */
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds from an arbitrary start, never going back: for measuring durations. */
  monotonic(): number;
  /** Calls `callback` once after `delayMs`. Timers do not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer;
  /** Calls `callback` every `periodMs`, first after one period. */
  every(periodMs: number, callback: () => void): Timer;
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** A number in [0, 1), for jitter. */
  random(): number;
}

function sleepOn(clock: Pick<Clock, "after">, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

const maxTimeoutMs = 2 ** 31 - 1;

class RealTimer implements Timer {
  #handle: NodeJS.Timeout;

  constructor(delayMs: number, callback: () => void) {
    this.#handle = delayMs > maxTimeoutMs ? this.#stretch(delayMs, callback) : setTimeout(callback, delayMs);
    this.#handle.unref();
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }

  /** setTimeout fires at once for delays over 2^31 ms (24.8 days): waits in stretches. */
  #stretch(delayMs: number, callback: () => void): NodeJS.Timeout {
    return setTimeout(() => {
      const leftMs = delayMs - maxTimeoutMs;
      this.#handle = leftMs > maxTimeoutMs ? this.#stretch(leftMs, callback) : setTimeout(callback, leftMs);
      this.#handle.unref();
    }, maxTimeoutMs);
  }
}

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, callback) {
    return new RealTimer(Math.max(0, delayMs), callback);
  },
  every(periodMs, callback) {
    const handle = setInterval(callback, periodMs);
    handle.unref();
    return { cancel: () => clearInterval(handle) };
  },
  sleep: (delayMs, signal) => sleepOn(realClock, delayMs, signal),
  random: () => Math.random(),
};

interface Entry {
  readonly atMs: number;
  readonly sequence: number;
  readonly callback: () => void;
  cancelled: boolean;
}

const isBefore = (a: Entry, b: Entry): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);

/** Timers by the order in which they fall due: a binary heap, as whole clusters have tens of thousands of them. */
class TimerHeap {
  readonly #entries: Entry[] = [];

  get first(): Entry | undefined {
    while (this.#entries[0]?.cancelled) this.take();
    return this.#entries[0];
  }

  add(entry: Entry): void {
    const entries = this.#entries;
    let at = entries.push(entry) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = entries[above];
      if (!parent || !isBefore(entry, parent)) break;
      entries[at] = parent;
      at = above;
    }
    entries[at] = entry;
  }

  take(): void {
    const entries = this.#entries;
    const last = entries.pop();
    if (!last || entries.length === 0) return;
    let at = 0;
    for (;;) {
      const [left, right] = [entries[2 * at + 1], entries[2 * at + 2]];
      const below = left && right && isBefore(right, left) ? 2 * at + 2 : 2 * at + 1;
      const child = entries[below];
      if (!child || !isBefore(child, last)) break;
      entries[at] = child;
      at = below;
    }
    entries[at] = last;
  }
}

/**
 * A clock that stands still until it is advanced. `advance` fires every timer that falls due in order of time, and lets
 * all promise work finish between two timers, so that code under test settles as it would in real time.
 */
export class VirtualClock implements Clock {
  #nowMs: number;
  #sequence = 0;
  #seed = 0x9e3779b9;
  readonly #startMs: number;
  readonly #timers = new TimerHeap();

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
    this.#startMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs - this.#startMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const entry: Entry = { atMs: this.#nowMs + Math.max(0, delayMs), sequence: this.#sequence++, callback, cancelled: false };
    this.#timers.add(entry);
    return {
      cancel: () => {
        entry.cancelled = true;
      },
    };
  }

  every(periodMs: number, callback: () => void): Timer {
    let current: Timer;
    const arm = (): void => {
      current = this.after(periodMs, () => {
        arm();
        callback();
      });
    };
    arm();
    return { cancel: () => current.cancel() };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal);
  }

  /** A fixed sequence (xorshift), so that runs repeat exactly. */
  random(): number {
    let x = this.#seed;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#seed = x >>> 0;
    return this.#seed / 2 ** 32;
  }

  /** Moves time forward by `byMs`, firing what falls due on the way. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      await settle();
      const next = this.#next(untilMs);
      if (!next) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    // Another advance at the same time may have come further.
    this.#nowMs = Math.max(this.#nowMs, untilMs);
    await settle();
  }

  /** Lets all pending promise work finish without moving time. */
  settle(): Promise<void> {
    return settle();
  }

  #next(untilMs: number): Entry | undefined {
    const entry = this.#timers.first;
    if (!entry || entry.atMs > untilMs) return undefined;
    this.#timers.take();
    entry.cancelled = true;
    return entry;
  }
}

/** Promise work may itself queue immediates and I/O callbacks of the same turn: a few turns of the event loop drain it. */
async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

let lastSecond = Number.NaN;
let lastText = "";

/** RFC 3339 with whole seconds, as metav1.Time is written: "2026-11-22T13:45:08Z". */
export function formatTime(ms: number): string {
  const second = Math.floor(ms / 1000);
  // Nearly always asked for the present second, several times for each object that is written.
  if (second !== lastSecond) {
    lastText = `${new Date(ms).toISOString().slice(0, 19)}Z`;
    lastSecond = second;
  }
  return lastText;
}

/** RFC 3339 with six decimals, as metav1.MicroTime is written. */
export function formatMicroTime(ms: number): string {
  const whole = Math.floor(ms);
  const micros = Math.floor((ms - whole) * 1000);
  return `${new Date(whole).toISOString().slice(0, 23)}${String(micros).padStart(3, "0")}Z`;
}
