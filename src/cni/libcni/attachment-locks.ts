// The order of operations the specification asks of a runtime (section 3): never two at once for one container, different
// containers side by side, and garbage collection with nothing else beside it.

export class AttachmentLocks {
  readonly #last = new Map<string, Promise<unknown>>();
  /** Operations that run or wait, besides garbage collection. */
  readonly #shared = new Set<Promise<unknown>>();
  #exclusive: Promise<unknown> = Promise.resolve();

  forContainer<T>(containerId: string, work: () => Promise<T>): Promise<T> {
    const before = Promise.allSettled([this.#last.get(containerId), this.#exclusive]);
    const mine = before.then(work);
    this.#last.set(containerId, mine);
    this.#shared.add(mine);
    const forget = (): void => {
      this.#shared.delete(mine);
      if (this.#last.get(containerId) === mine) this.#last.delete(containerId);
    };
    mine.then(forget, forget);
    return mine;
  }

  /** After all that have begun or wait, and before all that come later. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const mine = Promise.allSettled([...this.#shared, this.#exclusive]).then(work);
    this.#exclusive = mine.catch(() => undefined);
    return mine;
  }
}
