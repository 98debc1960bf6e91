// Encodes and decodes the messages of a generated protocol table (see protocol.ts) as proto3 bytes: scalars, enums as their
// names, messages, repeated fields (packed or not on reading, packed on writing), maps. Unknown fields are skipped. An enum
// number without a name is kept as its decimal text, so that newer peers do not break older ones. Each message's table line is
// compiled once, on first use.

import { WireError, WireReader, WireWriter, wireType } from "../base/protobuf/wire.ts";
import type { Input, ProtocolTable } from "./protocol.ts";
import { scalars, type ValueType } from "./scalars.ts";

export interface MessageCodec<T> {
  readonly name: string;
  encode(message: Input<T>): Uint8Array;
  /** The message with every field present that proto3 gives a default. Throws a WireError naming the message. */
  decode(bytes: Uint8Array): T;
  /** What the peer would decode from `encode(message)`: the input with its defaults filled in. */
  complete(message: Input<T>): T;
}

export interface Codecs {
  /** The codec of a message of the table. The caller names the matching generated interface. */
  of<T>(message: string): MessageCodec<T>;
}

type Fields = Record<string, unknown>;

interface Field {
  readonly number: number;
  readonly name: string;
  readonly shape: "single" | "optional" | "repeated" | "map";
  readonly type: ValueType;
  /** Of maps only. */
  readonly keyType: ValueType;
}

interface CompiledMessage {
  readonly fields: readonly Field[];
  readonly byNumber: ReadonlyMap<number, Field>;
  /** Of a message without fields; made when one is completed for the first time. */
  defaults: Fields | undefined;
}

/** One set of codecs for each table, however many clients and servers speak it: a thousand simulated nodes do. */
const known = new WeakMap<ProtocolTable, Codecs>();

export function createCodecs(table: ProtocolTable): Codecs {
  const codecs = known.get(table) ?? compileCodecs(table);
  known.set(table, codecs);
  return codecs;
}

function compileCodecs(table: ProtocolTable): Codecs {
  const types = new Map<string, ValueType>(Object.entries(scalars));
  const compiled = new Map<string, CompiledMessage>();

  const typeOf = (name: string): ValueType => {
    let type = types.get(name);
    if (!type) {
      const values = table.enums[name];
      type = values ? enumType(name, values) : messageType(name, () => compile(name));
      types.set(name, type);
    }
    return type;
  };
  const compile = (name: string): CompiledMessage => {
    let message = compiled.get(name);
    if (!message) {
      const text = table.messages[name];
      if (text === undefined) throw new Error(`package ${table.package} has no message or enum ${name}`);
      const fields = text === "" ? [] : text.split("; ").map((field) => parseField(field, typeOf));
      message = { fields, byNumber: new Map(fields.map((f) => [f.number, f])), defaults: undefined };
      compiled.set(name, message);
    }
    return message;
  };
  const codecs = new Map<string, MessageCodec<unknown>>();
  return {
    of<T>(name: string): MessageCodec<T> {
      const codec = codecs.get(name) ?? messageCodec(name, compile(name));
      codecs.set(name, codec);
      return codec as MessageCodec<T>; // the caller names the interface of the message
    },
  };
}

function messageCodec<T>(name: string, message: CompiledMessage): MessageCodec<T> {
  return {
    name,
    encode(value) {
      const writer = new WireWriter();
      writeFields(writer, message, value as Fields, name);
      return writer.finish();
    },
    decode(bytes) {
      const reader = new WireReader(bytes);
      const value = emptyMessage(message);
      try {
        while (!reader.done) readField(reader, message, value);
      } catch (error) {
        throw new WireError(`decoding ${name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      }
      // The table and the interface T are generated from the same facts.
      return value as T;
    },
    complete: (value) => completeFields(message, value as Fields) as T,
  };
}

function parseField(text: string, typeOf: (name: string) => ValueType): Field {
  const [number = "", name = "", type = ""] = text.split(" ");
  const base = { number: Number(number), name, keyType: scalars.string };
  if (type.startsWith("map<")) {
    const [key = "", value = ""] = type.slice(4, -1).split(",");
    return { ...base, shape: "map", type: typeOf(value), keyType: typeOf(key) };
  }
  if (type.endsWith("[]")) return { ...base, shape: "repeated", type: typeOf(type.slice(0, -2)) };
  if (type.endsWith("?")) return { ...base, shape: "optional", type: typeOf(type.slice(0, -1)) };
  return { ...base, shape: "single", type: typeOf(type) };
}

function emptyMessage(message: CompiledMessage): Fields {
  const value: Fields = {};
  for (const field of message.fields) {
    if (field.shape === "repeated") value[field.name] = [];
    else if (field.shape === "map") value[field.name] = {};
    else if (field.shape === "single" && field.type.zero !== undefined) value[field.name] = field.type.zero;
  }
  return value;
}

function readField(reader: WireReader, message: CompiledMessage, into: Fields): void {
  const tag = reader.uint32();
  const wire = tag & 7;
  const field = message.byNumber.get(tag >>> 3);
  if (!field) {
    reader.skip(wire);
    return;
  }
  const { type, name } = field;
  if (field.shape === "map" && wire === wireType.delimited) {
    readMapEntry(reader, field, into[name] as Fields);
  } else if (field.shape === "repeated" && type.packable && wire === wireType.delimited) {
    const list = into[name] as unknown[];
    reader.delimited(() => void list.push(type.read(reader)));
  } else if (wire !== type.wire) {
    throw new WireError(`${name} has wire type ${wire}, expected ${type.wire}`);
  } else if (field.shape === "repeated") {
    (into[name] as unknown[]).push(type.read(reader));
  } else {
    into[name] = type.read(reader);
  }
}

function readMapEntry(reader: WireReader, field: Field, into: Fields): void {
  let key: unknown = field.keyType.zero;
  let value: unknown = field.type.zero;
  reader.delimited(() => {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) key = field.keyType.read(reader);
    else if (tag >>> 3 === 2) value = field.type.read(reader);
    else reader.skip(tag & 7);
  });
  // defineProperty: a key "__proto__" must become an entry like any other.
  Object.defineProperty(into, String(key), {
    value: value ?? field.type.complete({}),
    enumerable: true,
    writable: true,
    configurable: true,
  });
}

function writeFields(writer: WireWriter, message: CompiledMessage, value: Fields, path: string): void {
  for (const field of message.fields) {
    const item = value[field.name];
    if (item === undefined) continue;
    try {
      writeField(writer, field, item);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      throw new WireError(`${path}.${field.name}: ${error.message}`);
    }
  }
}

function writeField(writer: WireWriter, field: Field, item: unknown): void {
  const { type, number } = field;
  if (field.shape === "repeated") writeRepeated(writer, field, item);
  else if (field.shape === "map") writeMap(writer, field, item as Fields);
  else if (field.shape === "optional" || !isZero(item, type)) {
    writer.tag(number, type.wire);
    type.write(writer, item);
  }
}

function writeMap(writer: WireWriter, field: Field, entries: Fields): void {
  for (const [key, value] of Object.entries(entries)) {
    if (value === undefined) continue;
    writer.tag(field.number, wireType.delimited);
    writer.delimited(() => {
      writer.tag(1, field.keyType.wire);
      field.keyType.write(writer, mapKey(field.keyType, key));
      writer.tag(2, field.type.wire);
      field.type.write(writer, value);
    });
  }
}

function writeRepeated(writer: WireWriter, field: Field, item: unknown): void {
  if (!Array.isArray(item)) throw new WireError(`expected an array, got ${typeof item}`);
  if (item.length === 0) return;
  if (field.type.packable) {
    writer.tag(field.number, wireType.delimited);
    writer.delimited(() => {
      for (const value of item) field.type.write(writer, value);
    });
    return;
  }
  for (const value of item) {
    writer.tag(field.number, field.type.wire);
    field.type.write(writer, value);
  }
}

/** Object keys are strings; integer and bool map keys are read back from them. */
function mapKey(type: ValueType, key: string): unknown {
  if (typeof type.zero === "number") return Number(key);
  return typeof type.zero === "boolean" ? key === "true" : key;
}

function isZero(value: unknown, type: ValueType): boolean {
  if (type.zero === undefined) return false;
  return value === type.zero || (value instanceof Uint8Array && value.length === 0);
}

/** Shared by all messages that are completed: nobody changes one. */
const noItems: readonly unknown[] = Object.freeze([]);
const noEntries: Readonly<Fields> = Object.freeze({});

/** What is absent from a message. */
function defaultsOf(message: CompiledMessage): Fields {
  const value: Fields = {};
  for (const { name, shape, type } of message.fields) {
    if (shape === "repeated") value[name] = noItems;
    else if (shape === "map") value[name] = noEntries;
    else if (shape === "single" && type.zero !== undefined) value[name] = type.zero;
  }
  return value;
}

function completeFields(message: CompiledMessage, value: Fields): Fields {
  message.defaults ??= defaultsOf(message);
  const result: Fields = { ...message.defaults };
  for (const field of message.fields) {
    const item = value[field.name];
    if (item === undefined) continue;
    if (field.shape === "repeated") {
      const items = item as readonly unknown[];
      result[field.name] = items.length === 0 ? noItems : items.map((entry) => field.type.complete(entry));
    } else if (field.shape === "map") {
      const entries = Object.entries(item as Fields).filter(([, entry]) => entry !== undefined);
      result[field.name] = Object.fromEntries(entries.map(([key, entry]) => [key, field.type.complete(entry)]));
    } else result[field.name] = field.type.complete(item);
  }
  return result;
}

function messageType(name: string, compile: () => CompiledMessage): ValueType {
  return {
    wire: wireType.delimited,
    packable: false,
    zero: undefined,
    read(reader) {
      const message = compile();
      const value = emptyMessage(message);
      reader.delimited(() => readField(reader, message, value));
      return value;
    },
    write(writer, value) {
      if (typeof value !== "object" || value === null) throw new WireError(`expected a ${name}, got ${typeof value}`);
      writer.delimited(() => writeFields(writer, compile(), value as Fields, name));
    },
    complete: (value) => completeFields(compile(), value as Fields),
  };
}

function enumType(name: string, values: Readonly<Record<string, number>>): ValueType {
  const names = new Map(Object.entries(values).map(([key, number]) => [number, key]));
  return {
    wire: wireType.varint,
    packable: true,
    zero: names.get(0) ?? "0",
    read(reader) {
      const number = reader.int32();
      return names.get(number) ?? String(number);
    },
    write(writer, value) {
      const number = values[String(value)] ?? Number(value);
      if (!Number.isInteger(number)) throw new WireError(`${JSON.stringify(value)} is not a value of ${name}`);
      writer.int64(number);
    },
    complete: (value) => value,
  };
}
