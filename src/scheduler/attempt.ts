// One attempt to place one pod, from its scheduling cycle to the end of its binding, and what those who work on it share.
import type { Pod } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { EventSeriesRecorder } from "../client/event-series-recorder.ts";
import type { InformerFactory } from "../client/informer.ts";
import type { SchedulerCache } from "./cache.ts";
import type { Profile, QueuedPodInfo, SchedulingCycle } from "./framework.ts";
import type { SchedulingQueue } from "./queue.ts";
import type { SchedulerMetrics } from "./scheduler-metrics.ts";

export interface SchedulerDependencies {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventSeriesRecorder;
  readonly metrics?: SchedulerMetrics;
}

export interface Attempt {
  readonly info: QueuedPodInfo;
  readonly cycle: SchedulingCycle;
  readonly profile: Profile;
  /** On the monotonic clock. */
  readonly startedMs: number;
}

/** Why an attempt did not place its pod. */
export interface Failure {
  /** Empty after an error. */
  readonly rejectedBy: ReadonlySet<string>;
  readonly message: string;
  /** The node the pod waits for; "" ends an earlier nomination, absent leaves it. */
  readonly nomination?: string;
  /** Default by whether some plugin rejected the pod. */
  readonly reason?: "Unschedulable" | "SchedulerError";
}

/** What one scheduler has once, and its parts work with. */
export interface SchedulerState {
  readonly deps: SchedulerDependencies;
  readonly cache: SchedulerCache;
  readonly queue: SchedulingQueue;
  /** Of the pod's scheduler name; undefined for a pod that is another scheduler's. */
  readonly profileOf: (pod: Pod) => Profile | undefined;
  readonly recorderOf: (profile: Profile) => Pick<EventSeriesRecorder, "record">;
  /** Aborts when the scheduler stops. */
  readonly signal: AbortSignal;
  /** Work that the end of the scheduler waits for, and that counts as a binding under way. */
  readonly track: (work: Promise<void>) => void;
}
