// The bytes of a watch in CBOR: for each event a data item, which ends where it ends. Objects that several watchers see are
// encoded once, for as long as they are remembered. As with JSON, a batch becomes few large chunks.
import type { CborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import type { HistogramSeries } from "../../base/metrics.ts";
import type { WatchStreamEvent } from "../request.ts";

const chunkBytes = 256 * 1024;

/** Encodings by what events have of their objects: the same for all watchers. */
const encoded = new WeakMap<object, Uint8Array>();

/** Batches as chunks of about 256 KiB at most (an event larger than that is one chunk). */
export function cborWatchFrames(
  cbor: CborCodec,
): (batch: readonly WatchStreamEvent[], sizes?: HistogramSeries | undefined) => Generator<Buffer> {
  return function* frames(batch, sizes) {
    let parts: Uint8Array[] = [];
    let length = 0;
    for (const { type, object } of batch) {
      const bytes = objectBytes(object as object, cbor);
      sizes?.observe(bytes.length);
      const frame = cbor.writeEvent(type, bytes);
      if (length > 0 && length + frame.length > chunkBytes) {
        yield Buffer.concat(parts, length);
        parts = [];
        length = 0;
      }
      parts.push(frame);
      length += frame.length;
    }
    if (length > 0) yield Buffer.concat(parts, length);
  };
}

function objectBytes(object: object, cbor: CborCodec): Uint8Array {
  let bytes = encoded.get(object);
  if (!bytes) {
    bytes = cbor.write(object);
    encoded.set(object, bytes);
  }
  return bytes;
}
