// Keeps a loop that says the same over and over from filling the store, with upstream's rules: the same event again raises
// the count of the first one; ten different messages of one reason about one object within ten minutes are combined into
// one event; and a source may write 25 events about an object at once, then one every five minutes.
import type { Event } from "../api/types/core-v1.ts";
import { type Clock, formatTime } from "../base/clock.ts";
import { LruMap } from "../base/lru-map.ts";
import { newEventName } from "./event-target.ts";

const maxRemembered = 4096;
const combineAfterMessages = 10;
const combineWithinMs = 600_000;
const burst = 25;
const refillPerMs = 1 / 300_000;

interface SimilarEvents {
  readonly messages: Set<string>;
  readonly lastMs: number;
}

interface Observation {
  readonly name: string;
  readonly firstTimestamp: string;
  readonly count: number;
}

/** Upstream's token bucket: how much one source may still say about one object. */
interface Allowance {
  readonly tokens: number;
  readonly atMs: number;
}

/** What to write for an event: nothing, a new one, or the next count of an earlier one. */
export type CorrelatedEvent = { readonly kind: "skip" } | { readonly kind: "create" | "update"; readonly event: Event };

export class EventCorrelator {
  readonly #clock: Clock;
  readonly #similar = new LruMap<string, SimilarEvents>(maxRemembered);
  readonly #observed = new LruMap<string, Observation>(maxRemembered);
  readonly #allowances = new LruMap<string, Allowance>(maxRemembered);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  correlate(event: Event): CorrelatedEvent {
    const { combined, key } = this.#combine(event);
    const earlier = this.#observed.get(key);
    const counted: Event = earlier
      ? {
          ...combined,
          metadata: { ...combined.metadata, name: earlier.name },
          firstTimestamp: earlier.firstTimestamp,
          count: earlier.count + 1,
        }
      : combined;
    this.#observed.set(key, {
      name: counted.metadata.name,
      firstTimestamp: counted.firstTimestamp ?? "",
      count: counted.count ?? 1,
    });
    if (!this.#take(sourceKey(event))) return { kind: "skip" };
    return { kind: earlier ? "update" : "create", event: counted };
  }

  #combine(event: Event): { readonly combined: Event; readonly key: string } {
    const nowMs = this.#clock.now();
    const reasonKey = [sourceKey(event), event.reason].join("\0");
    const known = this.#similar.get(reasonKey);
    const messages = known && nowMs - known.lastMs <= combineWithinMs ? known.messages : new Set<string>();
    messages.add(event.message ?? "");
    this.#similar.set(reasonKey, { messages, lastMs: nowMs });
    if (messages.size < combineAfterMessages) {
      return { combined: event, key: [reasonKey, event.involvedObject.fieldPath, event.message].join("\0") };
    }
    // One is taken out so that the set stays at its limit.
    for (const message of messages) {
      messages.delete(message);
      break;
    }
    const at = formatTime(nowMs);
    // As upstream's, the event that stands for many names its source, and no reporter.
    const { reportingComponent: _component, reportingInstance: _instance, ...rest } = event;
    const combined: Event = {
      ...rest,
      metadata: { ...event.metadata, name: newEventName(event.involvedObject.name ?? "", this.#clock) },
      message: `(combined from similar events): ${event.message ?? ""}`,
      firstTimestamp: at,
      lastTimestamp: at,
      count: 1,
    };
    return { combined, key: reasonKey };
  }

  #take(key: string): boolean {
    const nowMs = this.#clock.monotonic();
    const known = this.#allowances.get(key);
    const tokens = known ? Math.min(burst, known.tokens + (nowMs - known.atMs) * refillPerMs) : burst;
    const allowed = tokens >= 1;
    this.#allowances.set(key, { tokens: allowed ? tokens - 1 : tokens, atMs: nowMs });
    return allowed;
  }
}

function sourceKey(event: Event): string {
  const { involvedObject: about, source } = event;
  return [source?.component, source?.host, about.kind, about.namespace, about.name, about.uid, about.apiVersion, event.type].join("\0");
}
