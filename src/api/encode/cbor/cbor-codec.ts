// CBOR as the API server uses it. A server that speaks CBOR has this value and hands it on with each request; one that does
// not has none, and then nothing of it is loaded.
import { CborError } from "./data-items.ts";
import { readCbor, readCborType } from "./read-cbor.ts";
import { writeCbor, writeCborEvent, writeCborItem, writeCborListHead } from "./write-cbor.ts";

export const cborCodec = {
  read: readCbor,
  readType: readCborType,
  write: writeCbor,
  writeEvent: writeCborEvent,
  writeItem: writeCborItem,
  writeListHead: writeCborListHead,
  /** Whether an error says that bytes are not acceptable. */
  isProblem: (error: unknown): error is CborError => error instanceof CborError,
} as const;

export type CborCodec = typeof cborCodec;
