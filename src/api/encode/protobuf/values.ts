// How single values of the API lie in protobuf: scalars, and the types that JSON writes as a text, a number or anything at
// all while protobuf has a message for them (times, quantities, int-or-strings, embedded JSON). Facts follow upstream's
// generated.proto files. Reading is as lenient as Go's generated decoders; what they refuse is a WireError.
import { formatMicroTime, formatTime } from "../../../base/clock.ts";
import { WireError, type WireReader, type WireWriter, wireType } from "../../../base/protobuf/wire.ts";
import { base64OfBytes, bytesOfBase64 } from "../../meta/base64.ts";
import { nearestInteger } from "../../meta/go-number.ts";
import { parseTime } from "../../meta/time.ts";
import type { ScalarKind } from "../../schema/schema.ts";
import { nestsDeeper } from "../nesting.ts";

export interface ValueCodec {
  readonly wire: number;
  /** What Go has where nothing was sent, in JSON: the value of a map's entry without one. */
  readonly zero: unknown;
  /** Writes what follows the tag. */
  write(writer: WireWriter, value: unknown): void;
  /** Reads what follows the tag. `depth` counts the messages around it. */
  read(reader: WireReader, depth: number): unknown;
}

/** Takes the field after a tag, or returns false to have it skipped. */
export type TakeField = (number: number, wire: number) => boolean;

/** Reads a length and that many bytes of fields. */
export function readMessage(reader: WireReader, take: TakeField): void {
  reader.delimited(() => readField(reader, take));
}

/** Reads fields to the end of the bytes. */
export function readAll(reader: WireReader, take: TakeField): void {
  while (!reader.done) readField(reader, take);
}

function readField(reader: WireReader, take: TakeField): void {
  const tag = reader.uint32();
  if (tag >>> 3 === 0) throw new WireError("field number 0 is not allowed");
  if (!take(tag >>> 3, tag & 7)) reader.skip(tag & 7);
}

export function expectWire(actual: number, expected: number, field: string): void {
  if (actual !== expected) throw new WireError(`wrong wire type ${actual} for field ${field}`);
}

function text(value: unknown): string {
  if (typeof value !== "string") throw new WireError(`expected a string, got ${typeof value}`);
  return value;
}

function number(value: unknown): number {
  if (typeof value !== "number") throw new WireError(`expected a number, got ${typeof value}`);
  return value;
}

const integer = (value: unknown): number | bigint => {
  const given = number(value);
  return Number.isSafeInteger(given) ? given : BigInt(Math.trunc(given));
};

const { varint, fixed64, delimited } = wireType;

const string: ValueCodec = {
  wire: delimited,
  zero: "",
  write: (writer, value) => writer.string(text(value)),
  read: (reader) => reader.string(),
};

const bytes: ValueCodec = {
  wire: delimited,
  zero: "",
  write: (writer, value) => writer.bytes(bytesOfBase64(text(value))),
  read: (reader) => base64OfBytes(reader.bytes()),
};

const boolean: ValueCodec = {
  wire: varint,
  zero: false,
  write(writer, value) {
    if (typeof value !== "boolean") throw new WireError(`expected a boolean, got ${typeof value}`);
    writer.bool(value);
  },
  read: (reader) => reader.bool(),
};

const int32: ValueCodec = {
  wire: varint,
  zero: 0,
  write: (writer, value) => writer.int64(integer(value)),
  read: (reader) => reader.int32(),
};

const int64: ValueCodec = { ...int32, read: (reader) => nearestInteger(reader.int64()) };

const double: ValueCodec = {
  wire: fixed64,
  zero: 0,
  write: (writer, value) => writer.double(number(value)),
  read(reader) {
    const value = reader.double();
    if (!Number.isFinite(value)) throw new WireError(`${value} is no number of JSON`);
    return value;
  },
};

/** The seconds of Go's zero time, the first of year 1, and of the last time RFC 3339 can write. */
const zeroSeconds = -62135596800;
const lastSeconds = 253402300799;

/** Time and MicroTime: seconds and nanoseconds since the epoch. An empty message is the zero time, null in JSON. */
function time(format: (ms: number) => string, withFraction: boolean): ValueCodec {
  return {
    wire: delimited,
    zero: null,
    write(writer, value) {
      const ms = parseTime(text(value));
      if (ms === undefined) throw new WireError(`${JSON.stringify(value)} is no time`);
      const seconds = Math.floor(ms / 1000);
      const micros = withFraction ? Math.round((ms - seconds * 1000) * 1000) : 0;
      writer.delimited(() => {
        writer.tag(1, varint);
        writer.int64(seconds);
        writer.tag(2, varint);
        writer.int64(micros * 1000);
      });
    },
    read(reader) {
      let seconds = 0;
      let nanos = 0;
      let empty = true;
      readMessage(reader, (field, wire) => {
        empty = false;
        if (field !== 1 && field !== 2) return false;
        expectWire(wire, varint, field === 1 ? "seconds" : "nanos");
        if (field === 1) seconds = nearestInteger(reader.int64());
        else nanos = reader.int32();
        return true;
      });
      if (empty || seconds === zeroSeconds) return null;
      if (seconds < zeroSeconds || seconds > lastSeconds || nanos < 0 || nanos >= 1e9)
        throw new WireError(`time ${seconds} s is out of range`);
      if (!withFraction) return format(seconds * 1000);
      const micros = Math.floor(nanos / 1000);
      return `${format(seconds * 1000).slice(0, 20)}${String(micros).padStart(6, "0")}Z`;
    },
  };
}

const quantity: ValueCodec = {
  wire: delimited,
  zero: "0",
  write(writer, value) {
    writer.delimited(() => {
      writer.tag(1, delimited);
      writer.string(String(value));
    });
  },
  read(reader) {
    let amount = "";
    readMessage(reader, (field, wire) => {
      if (field !== 1) return false;
      expectWire(wire, delimited, "string");
      amount = reader.string();
      return true;
    });
    return amount === "" ? "0" : amount;
  },
};

const intOrString: ValueCodec = {
  wire: delimited,
  zero: 0,
  write(writer, value) {
    writer.delimited(() => {
      writer.tag(1, varint);
      writer.uint32(typeof value === "string" ? 1 : 0);
      writer.tag(2, varint);
      writer.int64(typeof value === "string" ? 0 : integer(value));
      writer.tag(3, delimited);
      writer.string(typeof value === "string" ? value : "");
    });
  },
  read(reader) {
    let type = 0;
    let whole = 0;
    let words = "";
    readMessage(reader, (field, wire) => {
      if (field < 1 || field > 3) return false;
      expectWire(wire, field === 3 ? delimited : varint, ["type", "intVal", "strVal"][field - 1] ?? "");
      if (field === 1) type = nearestInteger(reader.int64());
      else if (field === 2) whole = reader.int32();
      else words = reader.string();
      return true;
    });
    if (type !== 0 && type !== 1) throw new WireError(`int-or-string of type ${type}`);
    return type === 1 ? words : whole;
  },
};

const utf8 = { encoder: new TextEncoder(), decoder: new TextDecoder() };

/** RawExtension, FieldsV1 and JSON: a message whose field 1 is a JSON text. */
export const embeddedJson: ValueCodec = {
  wire: delimited,
  zero: null,
  write(writer, value) {
    writer.delimited(() => {
      writer.tag(1, delimited);
      writer.bytes(utf8.encoder.encode(JSON.stringify(value)));
    });
  },
  read(reader) {
    let raw = new Uint8Array();
    readMessage(reader, (field, wire) => {
      if (field !== 1) return false;
      expectWire(wire, delimited, "raw");
      raw = new Uint8Array(reader.bytes());
      return true;
    });
    if (raw.length === 0) return null;
    const value = parseEmbedded(raw);
    if (nestsDeeper(value)) throw new WireError("embedded object: exceeded max depth");
    return value;
  },
};

function parseEmbedded(raw: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decoder.decode(raw));
  } catch (cause) {
    throw new WireError("embedded object is not JSON", { cause });
  }
}

/** A message without fields, `{}` in JSON. */
export const emptyMessage: ValueCodec = {
  wire: delimited,
  zero: {},
  write: (writer) => writer.delimited(() => undefined),
  read(reader) {
    readMessage(reader, () => false);
    return {};
  },
};

export const scalarCodecs: Readonly<Record<Exclude<ScalarKind, "any">, ValueCodec>> = {
  string,
  bytes,
  boolean,
  int32,
  int64,
  double,
  time: time(formatTime, false),
  microTime: time(formatMicroTime, true),
  quantity,
  intOrString,
};
