// Distinguished Encoding Rules (X.690), as much of them as certificates and signing requests need: building elements
// from the inside out, and walking through received ones with every length checked. Bytes that are not well-formed
// throw a DerError; nothing here looks at the meaning of what it reads.

/** Bytes that are not well-formed DER, or not the structure that was expected. */
export class DerError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "DerError";
  }
}

/** Universal tags, with the constructed bit where the type has it. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
} as const;

/** The tag of a context-specific element: `[0]` constructed is context(0), `[2]` IMPLICIT IA5String is context(2, false). */
export const context = (number: number, constructed = true): number => (constructed ? 0xa0 : 0x80) | number;

/** One element: its tag, length and the concatenated contents. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const c of contents) length += c.length;
  const header = [tag, ...lengthBytes(length)];
  const bytes = new Uint8Array(header.length + length);
  bytes.set(header);
  let at = header.length;
  for (const c of contents) {
    bytes.set(c, at);
    at += c.length;
  }
  return bytes;
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}

export const sequence = (...contents: readonly Uint8Array[]): Uint8Array => element(tags.sequence, ...contents);
export const set = (...contents: readonly Uint8Array[]): Uint8Array => element(tags.set, ...contents);
export const octetString = (bytes: Uint8Array): Uint8Array => element(tags.octetString, bytes);
export const boolean = (value: boolean): Uint8Array => element(tags.boolean, Uint8Array.of(value ? 0xff : 0));
export const nullValue = (): Uint8Array => element(tags.null);
export const utf8String = (text: string): Uint8Array => element(tags.utf8String, new TextEncoder().encode(text));

/** A bit string whose last byte has `unusedBits` low bits that do not count. */
export const bitString = (bytes: Uint8Array, unusedBits = 0): Uint8Array => element(tags.bitString, Uint8Array.of(unusedBits), bytes);

/** A non-negative integer from its big-endian bytes. */
export function integer(magnitude: Uint8Array): Uint8Array {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++;
  const trimmed = magnitude.subarray(start);
  const needsZero = trimmed.length === 0 || (trimmed[0] ?? 0) >= 0x80;
  return needsZero ? element(tags.integer, Uint8Array.of(0), trimmed) : element(tags.integer, trimmed);
}

/** An object identifier from its dotted text. */
export function oid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const groups = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) groups.unshift(0x80 | (left % 128));
    bytes.push(...groups);
  }
  return element(tags.oid, Uint8Array.from(bytes));
}

/** A point in time: UTCTime until 2049, GeneralizedTime from 2050 on, as RFC 5280 demands. */
export function time(atMs: number): Uint8Array {
  const text = new Date(atMs).toISOString().replace(/[-:T]/g, "").slice(0, 14);
  const year = Number(text.slice(0, 4));
  const utc = year >= 1950 && year < 2050;
  return element(utc ? tags.utcTime : tags.generalizedTime, new TextEncoder().encode(`${utc ? text.slice(2) : text}Z`));
}

/** A received element. */
export interface DerElement {
  readonly tag: number;
  /** The contents, without tag and length. */
  readonly contents: Uint8Array;
  /** The whole element. */
  readonly bytes: Uint8Array;
}

/** The only element of `bytes`; more or fewer bytes are refused. */
export function readElement(bytes: Uint8Array): DerElement {
  const found = elementAt(bytes, 0);
  if (found.bytes.length !== bytes.length) throw new DerError(`${bytes.length - found.bytes.length} bytes follow the element`);
  return found;
}

/** The elements inside a constructed element. */
export function children(parent: DerElement, expectedTag: number = tags.sequence): DerElement[] {
  expectTag(parent, expectedTag);
  const found: DerElement[] = [];
  for (let at = 0; at < parent.contents.length; ) {
    const child = elementAt(parent.contents, at);
    found.push(child);
    at += child.bytes.length;
  }
  return found;
}

function elementAt(bytes: Uint8Array, at: number): DerElement {
  const tag = bytes[at];
  let length = bytes[at + 1];
  if (tag === undefined || length === undefined) throw new DerError("the data ends inside an element's header");
  if ((tag & 0x1f) === 0x1f) throw new DerError("tags of several bytes are not supported");
  let start = at + 2;
  if (length >= 0x80) {
    const count = length & 0x7f;
    if (count === 0 || count > 4) throw new DerError(`a length of ${count} bytes is not supported`);
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start++] ?? 0);
  }
  const end = start + length;
  if (end > bytes.length) throw new DerError("an element is longer than the data");
  return { tag, contents: bytes.subarray(start, end), bytes: bytes.subarray(at, end) };
}

export function expectTag(found: DerElement | undefined, tag: number): DerElement {
  if (found?.tag !== tag) throw new DerError(`expected an element with tag ${hex(tag)}, found ${found ? hex(found.tag) : "none"}`);
  return found;
}

const hex = (tag: number): string => `0x${tag.toString(16).padStart(2, "0")}`;

/** The dotted text of an object identifier. */
export function oidText(found: DerElement | undefined): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of expectTag(found, tags.oid).contents) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const [head = 0, ...rest] = arcs;
  const first = Math.min(2, Math.floor(head / 40));
  return [first, head - first * 40, ...rest].join(".");
}

/** The text of any of the string types that occur in names. */
export function stringText(found: DerElement): string {
  switch (found.tag) {
    case tags.utf8String:
    case tags.printableString:
    case tags.ia5String:
      return new TextDecoder("utf-8", { fatal: true }).decode(found.contents);
    case tags.teletexString:
      return new TextDecoder("latin1").decode(found.contents);
    case tags.bmpString:
      return new TextDecoder("utf-16be", { ignoreBOM: true }).decode(found.contents.subarray(0, found.contents.length & ~1));
    default:
      throw new DerError(`expected a text, found an element with tag ${hex(found.tag)}`);
  }
}

/** Milliseconds since the epoch of a UTCTime or GeneralizedTime. */
export function timeMs(found: DerElement | undefined): number {
  if (found?.tag !== tags.utcTime && found?.tag !== tags.generalizedTime) throw new DerError("expected a time");
  const text = new TextDecoder().decode(found.contents);
  const full = found.tag === tags.utcTime ? `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}` : text;
  const m = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full);
  if (!m) throw new DerError(`"${text}" is not a time in UTC`);
  const [, year, month, day, hour, minute, second] = m.map(Number);
  return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second);
}
