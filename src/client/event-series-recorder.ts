// Records events.k8s.io/v1 events, as the scheduler does: events that differ in nothing but time and note form a series
// under the first one's name. The second opens the series; after that the count is written every half hour and when the
// series has been quiet for six minutes.
import { isStatus } from "../api/meta/status-error.ts";
import { eventsV1 } from "../api/resources.generated.ts";
import type { Event } from "../api/types/events-v1.ts";
import { type Clock, formatMicroTime, type Timer } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "./client.ts";
import { EventSink } from "./event-sink.ts";
import { type EventTarget, eventNamespace, newEventName, referenceTo } from "./event-target.ts";

export interface SeriesEventToRecord {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  /** What was done or tried: "Binding", "Scheduling". */
  readonly action: string;
  readonly note: string;
  readonly related?: EventTarget;
}

export interface EventSeriesRecorder extends Running {
  /** Never waits, never throws. */
  record(about: EventTarget, event: SeriesEventToRecord): void;
  /** Resolves when everything recorded so far has been written or given up. */
  flushed(): Promise<void>;
}

export interface EventSeriesRecorderOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** "default-scheduler". */
  readonly reportingController: string;
  /** Default the controller's name and the host's: "default-scheduler-node1". */
  readonly reportingInstance: string;
  /** Events waiting to be written; more are dropped. Default 1000. */
  readonly maxBuffered?: number;
  /** Whether the component has more important things to ask of the server, for which its events wait, ten seconds at most. Default never. */
  readonly isBusy?: () => boolean;
}

const quietMs = 6 * 60_000;
const refreshMs = 30 * 60_000;
const maxSeries = 4096;

interface Series {
  readonly event: Event;
  count: number;
  lastMs: number;
  /** The count the server has. */
  writtenCount: number;
}

export function createEventSeriesRecorder(options: EventSeriesRecorderOptions): EventSeriesRecorder {
  const { client, clock, maxBuffered, isBusy } = options;
  const logger = options.logger.named("events");
  const sink = new EventSink({ clock, logger, ...(maxBuffered === undefined ? {} : { maxBuffered }), ...(isBusy ? { isBusy } : {}) });
  const live = new Map<string, Series>();
  let timers: Timer[] | undefined;

  const writeCount = (series: Series): void => {
    if (series.count === series.writtenCount) return;
    series.writtenCount = series.count;
    const event: Event = { ...series.event, series: { count: series.count, lastObservedTime: formatMicroTime(series.lastMs) } };
    sink.put((signal) => writeSeries(client, event, signal), { inOrder: true });
  };
  const finish = (): void => {
    for (const [key, series] of live) {
      if (clock.now() - series.lastMs < quietMs) continue;
      writeCount(series);
      live.delete(key);
    }
  };
  /** An eighth of them: one by one they would be searched for behind the gaps of those that have gone before. */
  const forgetOldest = (): void => {
    let left = maxSeries >> 3;
    for (const key of live.keys()) {
      if (left-- <= 0) return;
      live.delete(key);
    }
  };
  const startTimers = (): Timer[] => [
    clock.every(quietMs, finish),
    clock.every(refreshMs, () => {
      for (const series of live.values()) writeCount(series);
    }),
  ];

  return {
    record(about, toRecord) {
      timers ??= startTimers();
      const nowMs = clock.now();
      const event = newEvent(options, about, toRecord, nowMs);
      const key = seriesKey(event);
      const known = live.get(key);
      if (known) {
        known.count++;
        known.lastMs = nowMs;
        if (known.count === 2) writeCount(known);
        return;
      }
      if (live.size >= maxSeries) forgetOldest();
      live.set(key, { event, count: 1, writtenCount: 1, lastMs: nowMs });
      sink.put(async (signal) => void (await client.create(eventsV1, event, { signal })));
    },
    flushed: () => sink.flushed(),
    async stop() {
      for (const timer of timers ?? []) timer.cancel();
      for (const series of live.values()) writeCount(series);
      live.clear();
      await sink.stop();
    },
  };
}

function newEvent(options: EventSeriesRecorderOptions, about: EventTarget, event: SeriesEventToRecord, nowMs: number): Event {
  const regarding = referenceTo(about);
  return {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    // uid, resourceVersion and creationTimestamp are the server's to give
    metadata: { name: newEventName(regarding.name ?? "", options.clock), namespace: eventNamespace(regarding) } as Event["metadata"],
    eventTime: formatMicroTime(nowMs),
    reportingController: options.reportingController,
    reportingInstance: options.reportingInstance,
    action: event.action,
    reason: event.reason,
    regarding,
    ...(event.related ? { related: referenceTo(event.related) } : {}),
    note: event.note.slice(0, 1024),
    type: event.type,
  };
}

function seriesKey(event: Event): string {
  return JSON.stringify([event.type, event.action, event.reason, event.reportingController, event.regarding, event.related]);
}

async function writeSeries(client: Client, event: Event, signal: AbortSignal): Promise<void> {
  const { name, namespace } = event.metadata;
  try {
    await client.patch(eventsV1, { name, namespace }, { series: event.series }, { type: "strategic", signal });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
    await client.create(eventsV1, event, { signal });
  }
}
