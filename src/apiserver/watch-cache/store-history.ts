// Reads past events of a key range out of the store: for a mirror that is younger than the revision a client goes on from.
import type { Clock } from "../../base/clock.ts";
import { prefixEnd, type Store, type StoreEvent } from "../../storage/store.ts";

export interface HistoryRequest {
  readonly store: Store;
  readonly clock: Clock;
  readonly prefix: string;
  /** First revision that is not wanted, and the last that is. */
  readonly after: number;
  readonly until: number;
  readonly timeoutMs: number;
}

/** The events in order; undefined where the store no longer has them or does not answer in time. */
export function readHistory({ store, clock, prefix, after, until, timeoutMs }: HistoryRequest): Promise<readonly StoreEvent[] | undefined> {
  const found: StoreEvent[] = [];
  return new Promise((resolve) => {
    const finish = (events: readonly StoreEvent[] | undefined): void => {
      timer.cancel();
      watch.cancel();
      resolve(events);
    };
    const timer = clock.after(timeoutMs, () => finish(undefined));
    const watch = store.watch({
      start: prefix,
      end: prefixEnd(prefix),
      afterRevision: after,
      onEvents: (events, upTo) => {
        for (const event of events) if (event.revision <= until) found.push(event);
        if (upTo >= until) finish(found);
      },
      onError: () => finish(undefined),
    });
    store.requestProgress();
  });
}
