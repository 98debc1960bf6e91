// AbortControllers for short pieces of work: making a signal costs more than many of those do. One that has not been aborted
// when its work ends serves the next.
import { setMaxListeners } from "node:events";

const maxSpare = 64;

export class SpareControllers {
  readonly #spare: AbortController[] = [];

  take(): AbortController {
    const spare = this.#spare.pop();
    if (spare) return spare;
    const controller = new AbortController();
    // One listener per call under way: many are no leak.
    setMaxListeners(0, controller.signal);
    return controller;
  }

  /** The work is over, and has removed what listens. */
  giveBack(controller: AbortController): void {
    if (!controller.signal.aborted && this.#spare.length < maxSpare) this.#spare.push(controller);
  }
}
