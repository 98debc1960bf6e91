// The queue of a control loop over API objects: keys in, and for each what the loop made of it: done, again later
// (`requeueAfterMs`) or failed (thrown, tried again with back-off; TerminalError is not tried again).
import { isStatus } from "../api/meta/status-error.ts";
import type { BackoffOptions } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { KeyedQueue, type KeyOutcome, type QueueMetrics } from "../base/keyed-queue.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";

export interface RequeueAfter {
  readonly requeueAfterMs: number;
}

/** A failure that trying again does not mend; the key is dropped until something adds it anew. */
export class TerminalError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "TerminalError";
  }
}

export interface WorkQueueOptions {
  /** For logs and metrics: the loop's name. */
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Resolves with nothing when the key is done with. The signal aborts at the item's deadline. */
  readonly process: (key: string, signal: AbortSignal) => Promise<RequeueAfter | undefined>;
  /** Keys worked on at a time. Default 5. */
  readonly workers?: number;
  /** Default 5 ms doubling to 1000 s, as upstream. */
  readonly backoff?: BackoffOptions;
  /** For one key. Default 2 minutes. */
  readonly deadlineMs?: number;
  /** Gives up on a key after so many failures in a row. Default never. */
  readonly maxFailures?: number;
  /** A key that was added while it was worked on comes again after so long. Default 0. */
  readonly paceMs?: number;
  readonly metrics?: QueueMetrics;
}

export interface WorkQueue extends Running {
  add(key: string): void;
  /** Of several delays for one key the earliest counts. */
  addAfter(key: string, delayMs: number): void;
  start(): void;
  /** Keys waiting for a worker. */
  readonly depth: number;
  /** How long the work in progress has taken so far, altogether and the longest of it. */
  readonly unfinished: { readonly totalMs: number; readonly longestMs: number };
  /** Nothing waits or is in progress; delayed keys do not count. */
  readonly isIdle: boolean;
}

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { logger, process } = options;
  const work = async (key: string, signal: AbortSignal): Promise<KeyOutcome> => {
    try {
      const result = await process(key, signal);
      return result ? { kind: "after", delayMs: result.requeueAfterMs } : { kind: "done" };
    } catch (error) {
      return outcomeOf(key, error);
    }
  };
  const outcomeOf = (key: string, error: unknown): KeyOutcome => {
    const terminal = error instanceof TerminalError || queue.failures(key) + 1 >= (options.maxFailures ?? Number.POSITIVE_INFINITY);
    // Someone was faster, which is the normal course of things: the new state is on its way.
    if (isStatus(error, "Conflict", "NotFound") && !terminal)
      logger.info("Overtaken, trying again", { queue: options.name, key, error }, 4);
    else logger.error(terminal ? "Failed for good" : "Failed, trying again", { queue: options.name, key, error });
    return { kind: terminal ? "done" : "retry" };
  };
  const queue: KeyedQueue<string> = new KeyedQueue({
    clock: options.clock,
    work,
    workers: options.workers ?? 5,
    deadlineMs: options.deadlineMs ?? 120_000,
    paceMs: options.paceMs ?? 0,
    ...(options.backoff ? { backoff: options.backoff } : {}),
    ...(options.metrics ? { metrics: options.metrics } : {}),
  });
  return queue;
}
