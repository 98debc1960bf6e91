// Reads a watch's body: JSON values, one a line. Every chunk that arrives becomes one batch of the events it completes,
// and the next chunk is asked for only when the batch has been taken, so that a slow consumer slows the connection and
// not the memory.
import type { RawWatchEvent } from "./transport.ts";

const newline = 0x0a;

/** Yields batches of events; throws when a line exceeds the limit, is no JSON, or is cut off by the end. */
export async function* readWatchEvents(
  chunks: AsyncIterable<Uint8Array>,
  options: { readonly maxLineBytes: number; readonly what: string },
): AsyncGenerator<readonly RawWatchEvent[]> {
  const pending: Uint8Array[] = [];
  let pendingBytes = 0;
  for await (const chunk of chunks) {
    const events: RawWatchEvent[] = [];
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      const tail = chunk.subarray(from, end);
      const line = pending.length === 0 ? tail : Buffer.concat([...pending, tail]);
      pending.length = 0;
      pendingBytes = 0;
      from = end + 1;
      if (line.length > 0) events.push(parseEvent(line, options.what));
    }
    if (from < chunk.length) {
      pending.push(chunk.subarray(from));
      pendingBytes += chunk.length - from;
      if (pendingBytes > options.maxLineBytes) throw new Error(`${options.what}: an event is larger than ${options.maxLineBytes} bytes`);
    }
    if (events.length > 0) yield events;
  }
  if (pendingBytes > 0) throw new Error(`${options.what}: the connection ended in the middle of an event`);
}

function parseEvent(line: Uint8Array, what: string): RawWatchEvent {
  try {
    return JSON.parse(Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("utf8")) as RawWatchEvent;
  } catch (cause) {
    throw new Error(`${what}: the server sent an event that is no JSON`, { cause });
  }
}
