// Records core/v1 events about objects, as the controllers and the kubelet do. Recording never waits and never fails: the
// events go through the correlator and a bounded buffer to the API server.
import { isStatus } from "../api/meta/status-error.ts";
import { events } from "../api/resources.generated.ts";
import type { Event } from "../api/types/core-v1.ts";
import { type Clock, formatTime } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "./client.ts";
import { type CorrelatedEvent, EventCorrelator } from "./event-correlator.ts";
import { EventSink } from "./event-sink.ts";
import { type EventTarget, eventNamespace, newEventName, referenceTo } from "./event-target.ts";

export interface EventToRecord {
  readonly type: "Normal" | "Warning";
  /** UpperCamelCase, for programs. */
  readonly reason: string;
  /** For people. Cut at 1024 bytes by the API, so not longer here. */
  readonly message: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface EventRecorder {
  /** Never waits, never throws. */
  record(about: EventTarget, event: EventToRecord): void;
}

export interface RunningEventRecorder extends EventRecorder, Running {
  /** The same buffer and correlator under another component's name. */
  named(component: string): EventRecorder;
  /** The same for a component on a node: one buffer for the nodes of a process. */
  forHost(host: string): EventRecorder;
  /** Resolves when everything recorded so far has been written or given up. */
  flushed(): Promise<void>;
}

export interface EventRecorderOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Event source: "deployment-controller", "kubelet". */
  readonly component: string;
  /** The source's node, for components that run on one. */
  readonly host?: string;
  /** Events waiting to be written; more are dropped. Default 1000. */
  readonly maxBuffered?: number;
}

export function createEventRecorder(options: EventRecorderOptions): RunningEventRecorder {
  const { client, clock, host, maxBuffered } = options;
  const logger = options.logger.named("events");
  const sink = new EventSink({ clock, logger, ...(maxBuffered === undefined ? {} : { maxBuffered }) });
  const correlator = new EventCorrelator(clock);
  const recordAs = (component: string, about: EventTarget, event: EventToRecord, at = host): void => {
    const correlated = correlator.correlate(newEvent({ component, ...(at ? { host: at } : {}) }, about, event, clock));
    if (correlated.kind === "skip") return;
    sink.put((signal) => write(client, correlated, signal), { inOrder: correlated.kind === "update" });
  };
  return {
    record: (about, event) => recordAs(options.component, about, event),
    named: (component) => ({ record: (about, event) => recordAs(component, about, event) }),
    forHost: (at) => ({ record: (about, event) => recordAs(options.component, about, event, at) }),
    flushed: () => sink.flushed(),
    stop: () => sink.stop(),
  };
}

const maxMessageLength = 1024;

function newEvent(source: { component: string; host?: string }, about: EventTarget, event: EventToRecord, clock: Clock): Event {
  const involvedObject = referenceTo(about);
  const at = formatTime(clock.now());
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: {
      name: newEventName(involvedObject.name ?? "", clock),
      namespace: eventNamespace(involvedObject),
      ...(event.annotations ? { annotations: event.annotations } : {}),
    } as Event["metadata"], // uid, resourceVersion and creationTimestamp are the server's to give
    involvedObject,
    reason: event.reason,
    message: event.message.length > maxMessageLength ? `${event.message.slice(0, maxMessageLength - 3)}...` : event.message,
    source,
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
    type: event.type,
    reportingComponent: source.component,
    reportingInstance: source.host ?? "",
  };
}

async function write(client: Client, { kind, event }: Exclude<CorrelatedEvent, { kind: "skip" }>, signal: AbortSignal): Promise<void> {
  if (kind === "update") {
    const { name, namespace } = event.metadata;
    const patch = { count: event.count, lastTimestamp: event.lastTimestamp, message: event.message };
    try {
      await client.patch(events, { name, namespace }, patch, { type: "strategic", signal });
      return;
    } catch (error) {
      // The first one has expired: this one takes its place, count and all.
      if (!isStatus(error, "NotFound")) throw error;
    }
  }
  await client.create(events, event, { signal });
}
