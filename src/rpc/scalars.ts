// The scalar types of protobuf and how each is read and written, in three forms for 64-bit integers: exact numbers (an error
// beyond 2^53), bigints, and numbers rounded to the nearest double. Values of the wrong JavaScript type are refused.
import { WireError, type WireReader, type WireWriter, wireType } from "../base/protobuf/wire.ts";

/** How one type is read, written and recognised as its default. */
export interface ValueType {
  readonly wire: number;
  readonly packable: boolean;
  /** Undefined for messages, which have no default. */
  readonly zero: unknown;
  read(reader: WireReader): unknown;
  write(writer: WireWriter, value: unknown): void;
  complete(value: unknown): unknown;
}

function exact(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new WireError(`${value} is beyond 2^53, the largest exact number`);
  return number;
}

function integer(value: unknown, low: number, high: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < low || value > high)
    throw new WireError(`expected an integer from ${low} to ${high}, got ${String(value)}`);
  return value;
}

const safe = (value: unknown): number => integer(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
const natural = (value: unknown): number => integer(value, 0, Number.MAX_SAFE_INTEGER);
const int32 = (value: unknown): number => integer(value, -(2 ** 31), 2 ** 31 - 1);
const uint32 = (value: unknown): number => integer(value, 0, 2 ** 32 - 1);

function rounded(value: unknown): bigint {
  if (typeof value !== "number" || !Number.isInteger(value)) throw new WireError(`expected an integer, got ${String(value)}`);
  return BigInt(value);
}

function wide(value: unknown): bigint {
  if (typeof value !== "bigint") throw new WireError(`expected a bigint, got ${typeof value}`);
  return value;
}

function float(value: unknown): number {
  if (typeof value !== "number") throw new WireError(`expected a number, got ${typeof value}`);
  return value;
}

function scalar<T>(wire: number, zero: T, read: (reader: WireReader) => T, write: (writer: WireWriter, value: unknown) => void): ValueType {
  return { wire, packable: wire !== wireType.delimited, zero, read, write, complete: (value) => value };
}

const { varint, fixed64, fixed32, delimited } = wireType;

/** By their names in a protocol table. */
export const scalars = {
  int32: scalar(
    varint,
    0,
    (r) => r.int32(),
    (w, v) => w.int64(int32(v)),
  ),
  uint32: scalar(
    varint,
    0,
    (r) => r.uint32(),
    (w, v) => w.uint32(uint32(v)),
  ),
  sint32: scalar(
    varint,
    0,
    (r) => r.sint32(),
    (w, v) => w.sint64(int32(v)),
  ),
  int64: scalar(
    varint,
    0,
    (r) => exact(r.int64()),
    (w, v) => w.int64(safe(v)),
  ),
  uint64: scalar(
    varint,
    0,
    (r) => exact(r.uint64()),
    (w, v) => w.int64(natural(v)),
  ),
  sint64: scalar(
    varint,
    0,
    (r) => exact(r.sint64()),
    (w, v) => w.sint64(safe(v)),
  ),
  "int64:bigint": scalar(
    varint,
    0n,
    (r) => r.int64(),
    (w, v) => w.int64(wide(v)),
  ),
  "uint64:bigint": scalar(
    varint,
    0n,
    (r) => r.uint64(),
    (w, v) => w.int64(wide(v)),
  ),
  "int64:rounded": scalar(
    varint,
    0,
    (r) => Number(r.int64()),
    (w, v) => w.int64(rounded(v)),
  ),
  "uint64:rounded": scalar(
    varint,
    0,
    (r) => Number(r.uint64()),
    (w, v) => w.int64(rounded(v)),
  ),
  fixed32: scalar(
    fixed32,
    0,
    (r) => r.fixed32(),
    (w, v) => w.fixed32(uint32(v)),
  ),
  fixed64: scalar(
    fixed64,
    0,
    (r) => exact(r.fixed64()),
    (w, v) => w.fixed64(BigInt(natural(v))),
  ),
  "fixed64:bigint": scalar(
    fixed64,
    0n,
    (r) => r.fixed64(),
    (w, v) => w.fixed64(wide(v)),
  ),
  float: scalar(
    fixed32,
    0,
    (r) => r.float(),
    (w, v) => w.float(float(v)),
  ),
  double: scalar(
    fixed64,
    0,
    (r) => r.double(),
    (w, v) => w.double(float(v)),
  ),
  bool: scalar(varint, false, (r) => r.bool(), writeBool),
  string: scalar(delimited, "", (r) => r.string(), writeString),
  bytes: scalar(delimited, new Uint8Array(0), (r) => r.bytes().slice(), writeBytes),
} satisfies Record<string, ValueType>;

function writeBool(writer: WireWriter, value: unknown): void {
  if (typeof value !== "boolean") throw new WireError(`expected a boolean, got ${typeof value}`);
  writer.bool(value);
}

function writeString(writer: WireWriter, value: unknown): void {
  if (typeof value !== "string") throw new WireError(`expected a string, got ${typeof value}`);
  writer.string(value);
}

function writeBytes(writer: WireWriter, value: unknown): void {
  if (!(value instanceof Uint8Array)) throw new WireError(`expected bytes, got ${typeof value}`);
  writer.bytes(value);
}
