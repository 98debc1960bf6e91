// The data items of CBOR (RFC 8949): their heads, and whether bytes are one well-formed item. Everything that is read has
// passed here first, so that whoever reads values meets no end of the bytes, no lengths beyond it and no deeper nesting.
// The pass calls nothing recursively and keeps what is open in a list bounded by `maxNesting`; what it refuses, it refuses in
// the words of upstream's decoder, whose limits are those of API requests: no NaN, no infinity, no big numbers.
import { maxNesting } from "../nesting.ts";

/** Bytes that are no CBOR, or not what is accepted of it. The message is that of upstream's decoder. */
export class CborError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "CborError";
  }
}

export const majorType = { positive: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, primitive: 7 } as const;

const typeNames = ["positive integer", "negative integer", "byte string", "UTF-8 text string", "array", "map", "tag", "primitives"];

/** What messages call a major type. */
export const typeName = (major: number): string => typeNames[major] ?? "";

export const breakCode = 0xff;
const unexpectedBreak = 'cbor: unexpected "break" code';

/** As upstream's decoder counts; deeper than `maxNesting` is refused here in its words. */
const statedNesting = 10_000;
const maxElements = 2 ** 31 - 1;
const maxPairs = 2 ** 21;

/** Additional information of a head: how long its argument is, or that the item's length is not told. */
const lengthOpen = 31;

/** Reads heads one after the other. */
export class HeadReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  at = 0;
  /** Of the head read last. */
  major = 0;
  info = 0;
  /** Its argument; exact below 2^53. */
  argument = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isOpen(): boolean {
    return this.info === lengthOpen;
  }

  /** The argument of the head read last, exactly. */
  exact(): bigint {
    return this.info === 27 ? this.#view.getBigUint64(this.at - 8) : BigInt(this.argument);
  }

  /** Whether the argument of the head read last is more than a signed integer holds. */
  get isHuge(): boolean {
    return this.argument >= 2 ** 63 && this.exact() >= 2n ** 63n;
  }

  /** The number that the head read last is. */
  float(): number {
    if (this.info === 25) return halfFloat(this.argument);
    return this.info === 26 ? this.#view.getFloat32(this.at - 4) : this.#view.getFloat64(this.at - 8);
  }

  /** The major type of the next item. */
  next(): number {
    return (this.bytes[this.at] ?? 0) >> 5;
  }

  read(): void {
    const first = this.bytes[this.at];
    if (first === undefined) throw new CborError("unexpected EOF");
    this.at++;
    this.major = first >> 5;
    this.info = first & 31;
    if (this.info < 24) this.argument = this.info;
    else if (this.info < 28) this.#readArgument(2 ** (this.info - 24));
    else this.#refuseReserved();
  }

  #readArgument(length: number): void {
    if (this.bytes.length - this.at < length) throw new CborError("unexpected EOF");
    const { at } = this;
    this.at += length;
    if (length === 1) this.argument = this.#view.getUint8(at);
    else if (length === 2) this.argument = this.#view.getUint16(at);
    else this.argument = length === 4 ? this.#view.getUint32(at) : this.#view.getUint32(at) * 2 ** 32 + this.#view.getUint32(at + 4);
    if (this.major !== majorType.primitive) return;
    if (length === 1 && this.argument < 32) throw new CborError(`cbor: invalid simple value ${this.argument} for type primitives`);
    if (length > 1) checkFinite(this.float());
  }

  #refuseReserved(): void {
    this.argument = this.info;
    const { major, info } = this;
    if (info === lengthOpen && major === majorType.primitive) throw new CborError(unexpectedBreak);
    if (info === lengthOpen && major >= majorType.bytes && major <= majorType.map) return;
    throw new CborError(`cbor: invalid additional information ${info} for type ${typeName(major)}`);
  }
}

export const notAccepted = (type: string, problem: string): CborError =>
  new CborError(`cbor: data item of cbor type ${type} is not accepted by protocol: ${problem}`);

function checkFinite(value: number): void {
  if (Number.isNaN(value)) throw notAccepted("primitives", "floating-point NaN");
  if (!Number.isFinite(value)) throw notAccepted("primitives", "floating-point infinity");
}

function halfFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** An array, a map or tags around an item, of which something is still to come. */
interface Open {
  /** Items to come; below zero until a break. */
  left: number;
  /** Items that were there, of what ends with a break. */
  seen: number;
  readonly major: number;
  /** How much deeper what is inside lies. */
  readonly levels: number;
}

/** Throws CborError unless the bytes are one well-formed item of which all can be read. */
export function checkWellFormed(bytes: Uint8Array): void {
  if (bytes.length === 0) throw new CborError("EOF");
  const reader = new HeadReader(bytes);
  const open: Open[] = [];
  let depth = 0;
  do {
    const inner = open.at(-1);
    if (inner && isAtEnd(inner, reader)) {
      open.pop();
      depth -= inner.levels;
      continue;
    }
    const next = readItem(reader);
    if (!next) continue;
    depth += next.levels;
    if (depth > maxNesting) throw new CborError(`cbor: exceeded max nested level ${statedNesting}`);
    open.push(next);
  } while (open.length > 0);
  const rest = bytes.length - reader.at;
  if (rest > 0) throw new CborError(`cbor: ${rest} bytes of extraneous data starting at index ${reader.at}`);
}

function isAtEnd(open: Open, reader: HeadReader): boolean {
  if (open.left >= 0) return open.left-- === 0;
  if (reader.bytes[reader.at] !== breakCode) {
    open.seen++;
    if (open.seen > (open.major === majorType.map ? maxPairs * 2 : maxElements)) throw tooMany(open.major);
    return false;
  }
  reader.at++;
  if (open.major === majorType.map && open.seen % 2 === 1) throw new CborError(unexpectedBreak);
  return true;
}

/** Reads a head, and what belongs to it where that is no item; what is inside is still to come. */
function readItem(reader: HeadReader): Open | undefined {
  reader.read();
  const { major } = reader;
  if (major === majorType.bytes || major === majorType.text) skipString(reader);
  if (major === majorType.tag) return readTags(reader);
  if (major !== majorType.array && major !== majorType.map) return undefined;
  if (reader.isOpen) return { left: -1, seen: 0, major, levels: 1 };
  if (reader.isHuge) throw new CborError(`cbor: ${typeName(major)} length ${reader.exact()} is too large, it would cause integer overflow`);
  if (reader.argument > (major === majorType.map ? maxPairs : maxElements)) throw tooMany(major);
  return { left: reader.argument * (major === majorType.map ? 2 : 1), seen: 0, major, levels: 1 };
}

const tooMany = (major: number): CborError =>
  new CborError(
    major === majorType.map
      ? `cbor: exceeded max number of key-value pairs ${maxPairs} for CBOR map`
      : `cbor: exceeded max number of elements ${maxElements} for CBOR array`,
  );

/** Tags upon tags: each but the first is a level. */
function readTags(reader: HeadReader): Open {
  let levels = 0;
  for (;;) {
    if (reader.at === reader.bytes.length) throw new CborError("unexpected EOF");
    if (reader.argument === 2 || reader.argument === 3) throw notAccepted("tag", "bignum");
    if (reader.next() !== majorType.tag) return { left: 1, seen: 0, major: majorType.tag, levels };
    reader.read();
    if (++levels > maxNesting) throw new CborError(`cbor: exceeded max nested level ${statedNesting}`);
  }
}

function skipString(reader: HeadReader): void {
  const { major } = reader;
  if (!reader.isOpen) return skipBytes(reader);
  while (reader.bytes[reader.at] !== breakCode) {
    if (reader.at >= reader.bytes.length) throw new CborError("unexpected EOF");
    const first = reader.bytes[reader.at] ?? 0;
    if (first >> 5 !== major)
      throw new CborError(`cbor: wrong element type ${typeName(first >> 5)} for indefinite-length ${typeName(major)}`);
    if ((first & 31) === lengthOpen) throw new CborError(`cbor: indefinite-length ${typeName(major)} chunk is not definite-length`);
    reader.read();
    skipBytes(reader);
  }
  reader.at++;
}

function skipBytes(reader: HeadReader): void {
  if (reader.isHuge) throw new CborError(`cbor: ${typeName(reader.major)} length ${reader.exact()} is too large, causing integer overflow`);
  if (reader.bytes.length - reader.at < reader.argument) throw new CborError("unexpected EOF");
  reader.at += reader.argument;
}
