// Who is to be told when a signal aborts. A signal gets one listener, however many follow it at a time and one after the other:
// adding and removing listeners costs more than many of the calls do that are made under one signal.

type Follower = (reason: unknown) => void;

export class AbortFollowers {
  readonly #followers = new WeakMap<AbortSignal, Set<Follower>>();

  /** Calls `follower` when the signal aborts, once; it must not have aborted yet. */
  add(signal: AbortSignal, follower: Follower): void {
    let followers = this.#followers.get(signal);
    if (!followers) {
      followers = new Set();
      this.#followers.set(signal, followers);
      signal.addEventListener("abort", () => this.#tell(signal), { once: true });
    }
    followers.add(follower);
  }

  remove(signal: AbortSignal, follower: Follower): void {
    this.#followers.get(signal)?.delete(follower);
  }

  #tell(signal: AbortSignal): void {
    // One that leaves meanwhile is not told any more.
    for (const follower of this.#followers.get(signal) ?? []) follower(signal.reason);
    this.#followers.delete(signal);
  }
}
