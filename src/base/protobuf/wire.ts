// The protobuf wire format: varints, fixed widths and length-delimited fields, without any knowledge of messages. Follows
// https://protobuf.dev/programming-guides/encoding. Uses only what browsers have too.

/** What a tag's lower three bits say about the value that follows. Groups (3 and 4) are skipped on reading, never written. */
export const wireType = { varint: 0, fixed64: 1, delimited: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;

/** The bytes are not protobuf, or hold a value this side cannot represent. */
export class WireError extends Error {
  override name = "WireError";
}

const textDecoder = new TextDecoder("utf-8", { fatal: false });
const textEncoder = new TextEncoder();
const maxGroupDepth = 100;
/** Below 128, so that the length is one byte. */
const shortText = 64;

export class WireReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position: number;
  #end: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#position = 0;
    this.#end = bytes.length;
  }

  get done(): boolean {
    return this.#position >= this.#end;
  }

  /** An unsigned 32-bit varint; higher bits of a longer one are dropped, as protobuf requires of int32 fields. */
  uint32(): number {
    let result = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 32) result |= (byte & 0x7f) << shift;
      if (byte < 0x80) return result >>> 0;
    }
    throw new WireError("varint longer than ten bytes");
  }

  int32(): number {
    return this.uint32() | 0;
  }

  sint32(): number {
    const value = this.uint32();
    return (value >>> 1) ^ -(value & 1);
  }

  bool(): boolean {
    return this.uint64() !== 0n;
  }

  uint64(): bigint {
    let low = 0;
    for (let i = 0; i < 4; i++) {
      const byte = this.#byte();
      low += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return BigInt(low);
    }
    let value = BigInt(low);
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new WireError("varint longer than ten bytes");
  }

  int64(): bigint {
    return BigInt.asIntN(64, this.uint64());
  }

  sint64(): bigint {
    const value = this.uint64();
    return (value >> 1n) ^ -(value & 1n);
  }

  fixed32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  fixed64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true);
  }

  float(): number {
    return this.#view.getFloat32(this.#advance(4), true);
  }

  double(): number {
    return this.#view.getFloat64(this.#advance(8), true);
  }

  /** A view of the input, not a copy. */
  bytes(): Uint8Array {
    const length = this.uint32();
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  string(): string {
    const bytes = this.bytes();
    if (bytes.length > 24) return textDecoder.decode(bytes);
    // Short ASCII strings, the usual case, are several times faster without TextDecoder.
    let text = "";
    for (const byte of bytes) {
      if (byte >= 0x80) return textDecoder.decode(bytes);
      text += String.fromCharCode(byte);
    }
    return text;
  }

  /** Reads a length, then calls `read` until that many bytes are consumed. */
  delimited(read: () => void): void {
    const length = this.uint32();
    const outerEnd = this.#end;
    const end = this.#position + length;
    if (end > outerEnd) throw new WireError(`field of ${length} bytes reaches beyond the end of its message`);
    this.#end = end;
    while (this.#position < end) read();
    this.#end = outerEnd;
  }

  /** Passes over the value of a field that is not known here. */
  skip(type: number, depth = 0): void {
    if (type === wireType.varint) this.uint64();
    else if (type === wireType.fixed64) this.#advance(8);
    else if (type === wireType.delimited) this.#advance(this.uint32());
    else if (type === wireType.fixed32) this.#advance(4);
    else if (type === wireType.groupStart && depth < maxGroupDepth) {
      for (let tag = this.uint32(); (tag & 7) !== wireType.groupEnd; tag = this.uint32()) this.skip(tag & 7, depth + 1);
    } else throw new WireError(`unexpected wire type ${type}`);
  }

  #byte(): number {
    if (this.#position >= this.#end) throw new WireError("unexpected EOF");
    return this.#bytes[this.#position++] as number;
  }

  #advance(length: number): number {
    const start = this.#position;
    if (start + length > this.#end) throw new WireError("unexpected EOF");
    this.#position = start + length;
    return start;
  }
}

export class WireWriter {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** The bytes written so far, as a copy of exactly their length. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  tag(field: number, type: number): void {
    this.uint32(((field << 3) | type) >>> 0);
  }

  uint32(value: number): void {
    this.#reserve(5);
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#length++] = rest;
  }

  /** Negative values take ten bytes, as protobuf wants for int32, int64 and enums. */
  int64(value: bigint | number): void {
    if (typeof value === "number" && value >= 0 && value < 2 ** 32) {
      this.uint32(value);
      return;
    }
    this.#reserve(10);
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest >= 0x80n) {
      this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#bytes[this.#length++] = Number(rest);
  }

  sint64(value: bigint | number): void {
    const wide = BigInt(value);
    this.int64(BigInt.asUintN(64, (wide << 1n) ^ (wide >> 63n)));
  }

  bool(value: boolean): void {
    this.uint32(value ? 1 : 0);
  }

  fixed32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  fixed64(value: bigint): void {
    this.#reserve(8);
    this.#view.setBigUint64(this.#length, value, true);
    this.#length += 8;
  }

  float(value: number): void {
    this.#reserve(4);
    this.#view.setFloat32(this.#length, value, true);
    this.#length += 4;
  }

  double(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  bytes(value: Uint8Array): void {
    this.uint32(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  string(value: string): void {
    if (value.length <= shortText && this.#shortAscii(value)) return;
    this.delimited(() => {
      this.#reserve(value.length * 3);
      this.#length += textEncoder.encodeInto(value, this.#bytes.subarray(this.#length)).written;
    });
  }

  /** Short ASCII strings, the usual case, are several times faster without TextEncoder. False: nothing has been written. */
  #shortAscii(value: string): boolean {
    this.#reserve(1 + value.length);
    let at = this.#length;
    this.#bytes[at++] = value.length;
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) return false;
      this.#bytes[at++] = code;
    }
    this.#length = at;
    return true;
  }

  /** What `write` writes, preceded by its length. One byte is left for the length; longer contents are moved along. */
  delimited(write: () => void): void {
    this.#reserve(1);
    const start = ++this.#length;
    write();
    const size = this.#length - start;
    const extra = size < 2 ** 7 ? 0 : size < 2 ** 14 ? 1 : size < 2 ** 21 ? 2 : size < 2 ** 28 ? 3 : 4;
    this.#reserve(5); // while the contents still count, so that growing copies them
    if (extra > 0) this.#bytes.copyWithin(start + extra, start, this.#length);
    this.#length = start - 1;
    this.uint32(size);
    this.#length += size;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
