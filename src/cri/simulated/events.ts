// Container events of the simulated runtime, to any number of readers. A reader that falls far behind is ended with an error,
// as a real runtime drops it, and lists again.
import { RpcError } from "../../rpc/rpc-error.ts";

const maxWaiting = 10_000;

interface Reader<T> {
  readonly waiting: T[];
  overflowed: boolean;
  wake: () => void;
}

export class EventStream<T> {
  readonly #readers = new Set<Reader<T>>();

  push(event: T): void {
    for (const reader of this.#readers) {
      if (reader.waiting.length < maxWaiting) reader.waiting.push(event);
      else reader.overflowed = true;
      reader.wake();
    }
  }

  /** Events from now on, until the signal aborts. */
  async *read(signal: AbortSignal): AsyncGenerator<T> {
    const reader: Reader<T> = { waiting: [], overflowed: false, wake: () => undefined };
    this.#readers.add(reader);
    const onAbort = (): void => reader.wake();
    signal.addEventListener("abort", onAbort);
    try {
      while (!signal.aborted) {
        if (reader.overflowed) throw new RpcError("RESOURCE_EXHAUSTED", `more than ${maxWaiting} events are waiting to be read`);
        const event = reader.waiting.shift();
        if (event !== undefined) yield event;
        else
          await new Promise<void>((resolve) => {
            reader.wake = resolve;
          });
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#readers.delete(reader);
    }
  }
}
