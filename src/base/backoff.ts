// Exponential back-off: how long to wait before the next attempt at something that has failed. Pure arithmetic; whoever
// waits does so on a Clock. The per-key form is the work queues': 5 ms doubling to 1000 s, as in Kubernetes' controllers.

export interface BackoffOptions {
  /** Delay after the first failure. */
  readonly baseMs: number;
  /** No delay is longer (before jitter). */
  readonly maxMs: number;
  /** Growth per failure. Default 2. */
  readonly factor?: number;
  /** The delay is stretched by a random part of up to this fraction. Default 0. */
  readonly jitter?: number;
}

/** The delay after so many earlier failures: 0 gives the base. `random` is a number in [0, 1). */
export function backoffDelay(failures: number, options: BackoffOptions, random = 0): number {
  const delay = Math.min(options.maxMs, options.baseMs * (options.factor ?? 2) ** failures);
  return delay * (1 + (options.jitter ?? 0) * random);
}

/** Counts failures in a row and gives the delay for each; a long quiet time or reset() starts over. */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions, random: () => number = () => 0) {
    this.#options = options;
    this.#random = random;
  }

  /** The delay to wait after one more failure. */
  next(): number {
    return backoffDelay(this.#failures++, this.#options, this.#random());
  }

  reset(): void {
    this.#failures = 0;
  }
}

/** Failures in a row by key. Keys are removed by forget(), so its owner bounds it. */
export class KeyedBackoff<K> {
  readonly #options: BackoffOptions;
  readonly #failures = new Map<K, number>();

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** The delay to wait after one more failure of this key. */
  next(key: K): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    return backoffDelay(failures, this.#options);
  }

  failures(key: K): number {
    return this.#failures.get(key) ?? 0;
  }

  forget(key: K): void {
    this.#failures.delete(key);
  }
}
