// The bytes of a watch in protobuf: for each event a frame of four bytes of length (big-endian) and a meta.v1.WatchEvent
// around the object's shared message. As with JSON, a batch becomes few large chunks.

import { protobufSchema, type TypeMeta, watchEventAround } from "../../api/encode/protobuf/envelope.ts";
import { encodeMessage } from "../../api/encode/protobuf/message.ts";
import type { HistogramSeries } from "../../base/metrics.ts";
import type { WatchStreamEvent } from "../request.ts";

const chunkBytes = 256 * 1024;

/** The batch as chunks of about 256 KiB at most (an event larger than that is one chunk). */
export function* protobufWatchFrames(batch: readonly WatchStreamEvent[], sizes?: HistogramSeries): Generator<Buffer> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for (const event of batch) {
    const frame = framed(event);
    const size = sizeOf(frame);
    sizes?.observe(frame[2]?.length ?? 0);
    if (length > 0 && length + size > chunkBytes) {
      yield Buffer.concat(parts, length);
      parts = [];
      length = 0;
    }
    parts.push(...frame);
    length += size;
  }
  if (length > 0) yield Buffer.concat(parts, length);
}

function framed(event: WatchStreamEvent): readonly Uint8Array[] {
  const message = event.message?.() ?? messageOf(event.object as TypeMeta);
  const { before, after } = watchEventAround(event.type, event.object as TypeMeta, message.length);
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(before.length + message.length + after.length);
  return [length, before, message, after];
}

const sizeOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, part) => sum + part.length, 0);

function messageOf(object: TypeMeta): Uint8Array {
  const schema = protobufSchema(object);
  if (!schema) throw new Error(`${object.apiVersion} ${object.kind} has no protobuf encoding`);
  return encodeMessage(schema, object);
}
