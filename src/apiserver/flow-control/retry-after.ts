// When clients that a priority level has refused are told to come back: after a second, and after up to 32 while refusals go
// on, so that they do not come back all at once. The time doubles where the last such period had three refusals for each of
// its seconds, at most once in a period, and shrinks by a second where it had fewer than one.

const longestSeconds = 32;

interface RefusedIn {
  readonly second: number;
  readonly count: number;
}

export class RetryAfter {
  #seconds = 1;
  /** The second that is being counted. */
  #current = 0;
  #count = 0;
  #grownAt = Number.NEGATIVE_INFINITY;
  /** Of the seconds before, as far back as they can matter. */
  #past: readonly RefusedIn[] = [];

  /** Counts a refusal at a time in whole seconds; what its client is told, in seconds. */
  refused(nowSeconds: number): number {
    if (nowSeconds !== this.#current) {
      const furthest = Math.min(2 * this.#seconds, longestSeconds);
      const past = [...this.#past, { second: this.#current, count: this.#count }];
      this.#past = past.filter(({ second }) => nowSeconds - second <= furthest);
      this.#current = nowSeconds;
      this.#count = 0;
      this.#adapt(nowSeconds);
    }
    this.#count++;
    return this.#seconds;
  }

  #adapt(nowSeconds: number): void {
    let refused = 0;
    for (const { second, count } of this.#past) if (nowSeconds - second <= this.#seconds) refused += count;
    if (refused >= 3 * this.#seconds && nowSeconds - this.#grownAt >= this.#seconds) {
      this.#seconds = Math.min(2 * this.#seconds, longestSeconds);
      this.#grownAt = nowSeconds;
    } else if (refused < this.#seconds && this.#seconds > 1) this.#seconds--;
  }
}
