// Lists in protobuf: the envelope, the list's metadata, and the messages of its objects, each encoded once for all its
// readers (see watch-cache/object-version.ts). Protobuf wants lengths in front, so they are summed up before the first
// chunk; the chunks are put together as they are taken.
import { encodeListMetadata, envelopeAround, listItemHead } from "../../api/encode/protobuf/envelope.ts";
import { apiVersionOf, type ResourceType } from "../../api/resource-type.ts";
import { ChunkMemory } from "./chunk-memory.ts";
import type { ListPage } from "./list.ts";

const chunkBytes = 128 * 1024;

export interface ProtobufList {
  /** Bytes of all chunks together. */
  readonly length: number;
  /** Each is good until the next is asked for. */
  readonly chunks: Iterable<Uint8Array>;
}

/** The list of a kind that has a protobuf encoding. */
export function protobufList(type: ResourceType, { versions, metadata }: ListPage): ProtobufList {
  const listMetadata = encodeListMetadata(metadata);
  const parts: Uint8Array[] = [];
  let messageBytes = listMetadata.length;
  for (const version of versions) {
    const item = version.message();
    const head = listItemHead(item.length);
    parts.push(head, item);
    messageBytes += head.length + item.length;
  }
  const { before, after } = envelopeAround({ apiVersion: apiVersionOf(type), kind: `${type.kind}List` }, messageBytes);
  return { length: before.length + messageBytes + after.length, chunks: joined([before, listMetadata, ...parts, after]) };
}

/** The parts in chunks of about 128 KiB. */
function* joined(parts: readonly Uint8Array[]): Generator<Uint8Array, void, void> {
  const memory = new ChunkMemory();
  let chunk: Uint8Array[] = [];
  let size = 0;
  for (const part of parts) {
    chunk.push(part);
    size += part.length;
    if (size < chunkBytes) continue;
    yield inOne(chunk, memory.take(size));
    chunk = [];
    size = 0;
  }
  if (size > 0) yield inOne(chunk, memory.take(size));
}

function inOne(parts: readonly Uint8Array[], chunk: Buffer): Buffer {
  let at = 0;
  for (const part of parts) {
    chunk.set(part, at);
    at += part.length;
  }
  return chunk;
}

/** The list in one piece. */
export function wholeList({ chunks }: ProtobufList): Buffer {
  return Buffer.concat(Array.from(chunks, (chunk) => Buffer.from(chunk)));
}
