// The bytes of a watch: one JSON line for each event, built around the object's shared encoding without parsing it. A
// batch becomes few large chunks, because every write costs a TLS record and a system call; watchers that are at the same
// place share the chunk.
import type { HistogramSeries } from "../../base/metrics.ts";
import type { WatchStreamEvent } from "../request.ts";

const heads: Readonly<Record<WatchStreamEvent["type"], Buffer>> = {
  ADDED: Buffer.from('{"type":"ADDED","object":'),
  MODIFIED: Buffer.from('{"type":"MODIFIED","object":'),
  DELETED: Buffer.from('{"type":"DELETED","object":'),
  BOOKMARK: Buffer.from('{"type":"BOOKMARK","object":'),
  ERROR: Buffer.from('{"type":"ERROR","object":'),
};
const closeBrace = 0x7d;
const newline = 0x0a;

const chunkBytes = 256 * 1024;

/** The batch that was asked for last, where it made one chunk. */
let last: { readonly batch: readonly WatchStreamEvent[]; readonly chunk: Buffer; readonly sizes: readonly number[] } | undefined;

/** The batch as chunks of about 256 KiB at most (an event larger than that is one chunk). `sizes` observes those of the objects. */
export function* watchFrames(batch: readonly WatchStreamEvent[], sizes?: HistogramSeries): Generator<Buffer> {
  if (last && isSameBatch(last.batch, batch)) {
    if (sizes) for (const size of last.sizes) sizes.observe(size);
    yield last.chunk;
    return;
  }
  let pending: Uint8Array[] = [];
  let length = 0;
  for (let i = 0; i < batch.length; i++) {
    const event = batch[i] as WatchStreamEvent;
    const bytes = event.bytes();
    sizes?.observe(bytes.length);
    const size = frameBytes(event, bytes);
    if (length > 0 && length + size > chunkBytes) {
      yield joinFrames(batch, i - pending.length, pending, length);
      pending = [];
      length = 0;
    }
    pending.push(bytes);
    length += size;
  }
  if (pending.length === 0) return;
  const chunk = joinFrames(batch, batch.length - pending.length, pending, length);
  if (pending.length === batch.length) last = { batch, chunk, sizes: pending.map((bytes) => bytes.length) };
  yield chunk;
}

function isSameBatch(a: readonly WatchStreamEvent[], b: readonly WatchStreamEvent[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function frameBytes(event: WatchStreamEvent, bytes: Uint8Array): number {
  return heads[event.type].length + bytes.length + 2;
}

function joinFrames(batch: readonly WatchStreamEvent[], first: number, bodies: readonly Uint8Array[], length: number): Buffer {
  const chunk = Buffer.allocUnsafe(length);
  let at = 0;
  for (let i = 0; i < bodies.length; i++) {
    const head = heads[(batch[first + i] as WatchStreamEvent).type];
    const body = bodies[i] as Uint8Array;
    chunk.set(head, at);
    at += head.length;
    chunk.set(body, at);
    at += body.length;
    chunk[at++] = closeBrace;
    chunk[at++] = newline;
  }
  return at === length ? chunk : chunk.subarray(0, at);
}
