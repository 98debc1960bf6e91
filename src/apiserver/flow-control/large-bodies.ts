// Large bodies have their turns. One of three megabytes may hold a million of the emptiest values, which take hundreds of
// megabytes and seconds of the only thread while they are read, defaulted and checked: ten that came together would take
// all of their memory at once, and nobody else would be answered before the last of them. So one of them is worked on at a
// time, and whoever else waits for the thread is heard in between. A body gets its turn when it is there as a whole: who
// sends slowly holds nobody up. What waits for others (webhooks, a store far away) goes on beside the next one.
import type { Clock } from "../../base/clock.ts";
import { Turns } from "../../base/turns.ts";
import type { RequestContext, Stage } from "../request.ts";

/** Bodies up to this size are worked on as they come. */
export const largeBodyBytes = 512 * 1024;
const holdMs = 1000;

export function largeBodyStage(clock: Clock): Stage {
  const turns = new Turns(clock, { slots: 1, holdMs });
  return (context, next) => {
    if (!mayBeLarge(context)) return next(context);
    const turn = new Turn(turns, context.request.signal);
    context.largeBodyTurn = () => turn.begin();
    return next(context).finally(() => turn.end());
  };
}

/** Only what was sent over a connection; without a length anything may follow. */
function mayBeLarge({ request }: RequestContext): boolean {
  if (request.body.kind !== "bytes") return false;
  const declared = request.headers["content-length"];
  return declared === undefined || Number(declared) > largeBodyBytes;
}

class Turn {
  readonly #turns: Turns;
  readonly #signal: AbortSignal;
  #end: (() => void) | undefined = undefined;

  constructor(turns: Turns, signal: AbortSignal) {
    this.#turns = turns;
    this.#signal = signal;
  }

  /** Resolves when it has come; rejects when the request is aborted before. */
  begin(): Promise<void> {
    return new Promise((resolve, reject) => {
      const held = (): Promise<void> =>
        new Promise((ended) => {
          this.#end = ended;
          // Not in the turn of the event loop in which the last one has ended: others' packets are read in between.
          setImmediate(resolve);
        });
      this.#turns.take(held, { signal: this.#signal }).catch(reject);
    });
  }

  end(): void {
    this.#end?.();
  }
}
