// Compacts a store in the background, as upstream's API server does etcd: every five minutes down to the revision that was
// current five minutes before, so that between five and ten minutes of history can be watched and paged through. A bound
// on the number of revisions keeps a busy store small between two rounds.
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import { CompactedError, type Store } from "./store.ts";

export interface CompactorDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface CompactorOptions {
  /** Time between rounds. Default 300,000 (upstream's --etcd-compaction-interval). */
  readonly intervalMs?: number;
  /** Revisions of history kept at most, whatever their age. Default 200,000. */
  readonly maxRevisions?: number;
  /** How often `maxRevisions` is looked at. Default 10,000. */
  readonly checkMs?: number;
}

/** Starts compacting; an `intervalMs` of 0 leaves only the bound on revisions. */
export function startCompactor({ store, clock, log }: CompactorDependencies, options: CompactorOptions = {}): Running {
  const { intervalMs = 300_000, maxRevisions = 200_000, checkMs = 10_000 } = options;
  let revisionAtLastRound = 0;
  let compactedRevision = 0;
  let running: Promise<void> = Promise.resolve();

  const compactTo = async (revision: number): Promise<void> => {
    if (revision <= compactedRevision) return;
    try {
      await store.compact(revision);
      compactedRevision = revision;
      log.info("Compacted the store", { revision }, 2);
    } catch (error) {
      // Another API server on the same store was first.
      if (error instanceof CompactedError) compactedRevision = error.compactedRevision;
      else throw error;
    }
  };
  /** One at a time; a failure is logged, and the next round goes on from where the store is. */
  const run = (work: () => Promise<void>): void => {
    running = running.then(work).catch((error: unknown) => log.error("Compacting the store failed", { error }));
  };
  const round = async (): Promise<void> => {
    const revision = await store.currentRevision();
    await compactTo(revisionAtLastRound);
    revisionAtLastRound = revision;
  };
  const check = async (): Promise<void> => {
    await compactTo((await store.currentRevision()) - maxRevisions);
  };

  const timers = [clock.every(checkMs, () => run(check))];
  if (intervalMs > 0) timers.push(clock.every(intervalMs, () => run(round)));
  return {
    async stop() {
      for (const timer of timers) timer.cancel();
      await running;
    },
  };
}
