// AbortControllers for short pieces of work: making a signal costs more than many of those do. One that has not been aborted
// when its work ends serves the next.

const maxSpare = 64;

export class SpareControllers {
  readonly #spare: AbortController[] = [];

  take(): AbortController {
    return this.#spare.pop() ?? new AbortController();
  }

  /** The work is over, and has removed what listens. */
  giveBack(controller: AbortController): void {
    if (!controller.signal.aborted && this.#spare.length < maxSpare) this.#spare.push(controller);
  }
}
