// Compacts an etcd that several API servers share, upstream's among them, so that one of them does it each round: whoever
// moves the key "compact_rev_key" on since its last look compacts to the revision that it saw then; the others wait for
// the next round. So history is kept for one to two intervals.
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { CompactedError, type Store } from "../store.ts";

const compactRevisionKey = "compact_rev_key";

export interface SharedCompactorDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
}

/** `intervalMs` of 0 never compacts. */
export function startSharedCompactor(
  { store, clock, log }: SharedCompactorDependencies,
  options: { readonly intervalMs: number },
): Running {
  if (options.intervalMs === 0) return { stop: () => Promise.resolve() };
  /** Where the key was, and where the store was, at the last round. */
  let keyRevision = 0;
  let revision = 0;
  let running: Promise<void> = Promise.resolve();

  const round = async (): Promise<void> => {
    const value = new TextEncoder().encode(String(revision));
    const result = await store.transact({
      conditions: [{ key: compactRevisionKey, modRevision: keyRevision }],
      operations: [{ type: "put", key: compactRevisionKey, value }],
    });
    const seen = revision;
    revision = result.revision;
    keyRevision = result.succeeded ? result.revision : (result.current[0]?.modRevision ?? 0);
    if (!result.succeeded || seen === 0) return;
    try {
      await store.compact(seen);
      log.info("Compacted etcd", { revision: seen }, 2);
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error;
    }
  };
  const timer = clock.every(options.intervalMs, () => {
    running = running.then(round).catch((error: unknown) => log.error("Compacting etcd failed", { error }));
  });
  return {
    async stop() {
      timer.cancel();
      await running;
    },
  };
}
