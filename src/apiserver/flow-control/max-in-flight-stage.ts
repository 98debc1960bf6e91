// What stands in the place of priority and fairness where --enable-priority-and-fairness=false: so many reading and so many
// writing requests are served at once, more are refused with 429. Long-running requests do not count; members of
// system:masters are counted and never refused.
import type { Clock } from "../../base/clock.ts";
import { isLongRunning } from "../http/request-info.ts";
import type { Stage } from "../request.ts";
import { tooManyRequests } from "./flow-control-stage.ts";
import type { InFlight } from "./in-flight.ts";

export interface InFlightLimits {
  /** --max-requests-inflight; 0 sets no limit. */
  readonly reads: number;
  /** --max-mutating-requests-inflight; 0 sets no limit. */
  readonly writes: number;
}

const readingVerbs = new Set(["get", "list", "watch"]);

/** Where requests in progress are counted, and by which clock. */
export interface InFlightCounts {
  readonly inFlight: InFlight;
  readonly clock: Pick<Clock, "monotonic">;
}

export function maxInFlightStage({ reads, writes }: InFlightLimits, counts?: InFlightCounts): Stage {
  const reading = { limit: reads, now: 0 };
  const writing = { limit: writes, now: 0 };
  return async (context, next) => {
    if (isLongRunning(context.info)) return next(context);
    const kind = readingVerbs.has(context.info.verb) ? reading : writing;
    const full = kind.limit > 0 && kind.now >= kind.limit;
    if (full && !context.user.groups.includes("system:masters")) return tooManyRequests;
    kind.now++;
    counts?.inFlight.executing(context.info.verb, 1, counts.clock.monotonic());
    try {
      return await next(context);
    } finally {
      kind.now--;
      counts?.inFlight.executing(context.info.verb, -1, counts.clock.monotonic());
    }
  };
}
