// What happens to a store whose disk does not finish a write: nothing is lost and nothing guessed. The write is waited for, however
// long it takes, since only its end tells whether it has happened; its callers give up by their own deadlines. Meanwhile further
// writes are refused, so that they do not pile up behind it. When the disk goes on, so does the store.
import { type Clock, realClock } from "../base/clock.ts";

/** A commit that takes longer holds up the others. */
const lateMs = 60_000;

export class LateCommits {
  readonly #clock: Clock;
  #isLate = false;

  /** Real time unless told otherwise, whatever the store's clock is: the disk knows no other. */
  constructor(clock: Clock = realClock) {
    this.#clock = clock;
  }

  /** Settles as `committed` does. */
  async watch(committed: Promise<unknown>): Promise<void> {
    const timer = this.#clock.after(lateMs, () => (this.#isLate = true));
    try {
      await committed;
    } finally {
      timer.cancel();
      this.#isLate = false;
    }
  }

  /** Throws while a write is being waited for that should have been done long ago. */
  refuseWhileLate(dir: string): void {
    if (this.#isLate)
      throw new Error(`the disk of ${dir} has not finished a write for more than ${lateMs / 1000} s: further ones are refused`);
  }
}
