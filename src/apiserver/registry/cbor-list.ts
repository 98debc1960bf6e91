// Lists in CBOR: the list's own fields, and then its items as they are taken, so that a slow client holds no more than a chunk.
import type { CborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import { apiVersionOf, type ResourceType } from "../../api/resource-type.ts";
import { builtInSchemas } from "../../api/schema/schema.ts";
import { type ListPage, listKindOf, listMetadata } from "./list.ts";

const chunkBytes = 128 * 1024;

/** The list in chunks of about 128 KiB. Items of built-in kinds do not say what they are; those of custom resources do. */
export function* cborList(type: ResourceType, { versions, metadata }: ListPage, cbor: CborCodec): Generator<Uint8Array, void, void> {
  const list = { kind: listKindOf(type), apiVersion: apiVersionOf(type), metadata: listMetadata(type, metadata) };
  const schema = type.schema === undefined ? undefined : builtInSchemas.get(type.schema);
  let parts = [cbor.writeListHead(list, versions.length)];
  let size = 0;
  for (const version of versions) {
    const object = version.glance();
    const { kind: _, apiVersion: __, ...bare } = object;
    const item = cbor.writeItem(schema ? bare : object, schema);
    parts.push(item);
    size += item.length;
    if (size < chunkBytes) continue;
    yield Buffer.concat(parts);
    parts = [];
    size = 0;
  }
  yield Buffer.concat(parts);
}
