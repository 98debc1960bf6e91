// How many requests are being served, and when there are none.

export class OpenRequests {
  #count = 0;
  #waiting: (() => void)[] = [];

  /** One more; the returned function says that it has ended, and does nothing the second time. */
  begin(): () => void {
    this.#count++;
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      if (--this.#count > 0) return;
      for (const resolve of this.#waiting.splice(0)) resolve();
    };
  }

  /** Resolves when none is open. */
  ended(): Promise<void> {
    return this.#count === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }
}
