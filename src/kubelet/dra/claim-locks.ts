// One piece of work at a time for each claim: preparing it for one pod and undoing it for another must not meet.

export class ClaimLocks {
  readonly #tails = new Map<string, Promise<void>>();

  /** Works when everything that was begun before with one of these claims has ended. Fails as the work does. */
  async with<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    const before = keys.map((key) => this.#tails.get(key));
    const running = Promise.all(before).then(work);
    const settled = running.then(
      () => undefined,
      () => undefined,
    );
    for (const key of keys) this.#tails.set(key, settled);
    try {
      return await running;
    } finally {
      for (const key of keys) if (this.#tails.get(key) === settled) this.#tails.delete(key);
    }
  }
}
