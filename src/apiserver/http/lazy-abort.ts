// An AbortSignal that costs nothing until somebody asks for it: most requests are answered without looking at theirs. The
// reason is made as late: an Error costs its stack, and every connection or stream closes once.

export class LazyAbort {
  #controller: AbortController | undefined = undefined;
  #makeReason: (() => unknown) | undefined = undefined;

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#makeReason) this.#controller.abort(this.#makeReason());
    }
    return this.#controller.signal;
  }

  abort(makeReason: () => unknown): void {
    if (this.#makeReason) return;
    this.#makeReason = makeReason;
    this.#controller?.abort(makeReason());
  }
}
