// The events a feed has delivered last, for watches that begin a little behind it.
import type { StoreEvent } from "../store.ts";

const maxEvents = 4096;
const maxBytes = 8 * 1024 * 1024;

export class RecentEvents {
  #events: StoreEvent[] = [];
  #bytes = 0;
  #completeAfter: number;

  constructor(completeAfter: number) {
    this.#completeAfter = completeAfter;
  }

  /** Every event after this revision is here. */
  get completeAfter(): number {
    return this.#completeAfter;
  }

  push(events: readonly StoreEvent[]): void {
    for (const event of events) {
      this.#events.push(event);
      this.#bytes += sizeOf(event);
    }
    if (this.#events.length <= maxEvents && this.#bytes <= maxBytes) return;
    // Down to half at once: one shift for many events.
    let dropped = 0;
    while (this.#events.length - dropped > maxEvents / 2 || this.#bytes > maxBytes / 2) {
      const event = this.#events[dropped++] as StoreEvent;
      this.#bytes -= sizeOf(event);
      this.#completeAfter = event.revision;
    }
    this.#events = this.#events.slice(dropped);
  }

  after(revision: number): readonly StoreEvent[] {
    return this.#events.filter((event) => event.revision > revision);
  }
}

const sizeOf = ({ key, kv, previous }: StoreEvent): number => key.length + (kv?.value.length ?? 0) + (previous?.value.length ?? 0);
