// Objects as CBOR, as upstream writes them: behind the tag that says it is CBOR, strings and keys as byte strings, bytes of
// built-in kinds in tag 22 (shown as base64), floating-point numbers in the shortest form that keeps them, lengths always told.
// Which fields hold bytes or floating-point numbers, the schema says; objects without one hold neither. Upstream shuffles the
// keys of its answers, so that nobody relies on their order; here they come as in JSON.
import { bytesOfBase64, normalizeBase64 } from "../../meta/base64.ts";
import { builtInSchemas, type ObjectSchema, schemaOfKind, type ValueType } from "../../schema/schema.ts";
import { majorType } from "./data-items.ts";

const utf8 = new TextEncoder();
const firstBytes = 1024;

/** Bytes that grow as they are written. */
class CborWriter {
  #bytes = new Uint8Array(firstBytes);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  done(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  head(major: number, argument: number): void {
    this.#need(9);
    const first = major << 5;
    if (argument < 24) this.#bytes[this.#length++] = first | argument;
    else if (argument < 2 ** 8) {
      this.#bytes[this.#length++] = first | 24;
      this.#bytes[this.#length++] = argument;
    } else if (argument < 2 ** 16) {
      this.#bytes[this.#length++] = first | 25;
      this.#view.setUint16(this.#length, argument);
      this.#length += 2;
    } else if (argument < 2 ** 32) {
      this.#bytes[this.#length++] = first | 26;
      this.#view.setUint32(this.#length, argument);
      this.#length += 4;
    } else {
      this.#bytes[this.#length++] = first | 27;
      this.#view.setBigUint64(this.#length, BigInt(argument));
      this.#length += 8;
    }
  }

  raw(bytes: Uint8Array): void {
    this.#need(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  string(text: string): void {
    const bytes = utf8.encode(text);
    this.head(majorType.bytes, bytes.length);
    this.raw(bytes);
  }

  value(value: unknown, type: ValueType | undefined): void {
    if (typeof value === "string") this.#text(value, type);
    else if (typeof value === "number") this.#number(value, type);
    else if (typeof value === "boolean") this.head(majorType.primitive, value ? 21 : 20);
    else if (typeof value !== "object" || value === null) this.head(majorType.primitive, 22);
    else if (Array.isArray(value)) this.#array(value, type);
    else this.#map(value as Readonly<Record<string, unknown>>, type);
  }

  #text(value: string, type: ValueType | undefined): void {
    const base64 = type?.kind === "bytes" ? normalizeBase64(value) : undefined;
    if (base64 === undefined) return this.string(value);
    const bytes = bytesOfBase64(base64);
    this.head(majorType.tag, 22);
    this.head(majorType.bytes, bytes.length);
    this.raw(bytes);
  }

  #number(value: number, type: ValueType | undefined): void {
    // A number of this size has been a floating-point one, or could not have been read.
    if (type?.kind === "double" || !Number.isInteger(value) || Math.abs(value) >= 2 ** 63) this.#float(value);
    else if (value >= 0) this.head(majorType.positive, value);
    else this.head(majorType.negative, -1 - value);
  }

  #float(value: number): void {
    this.#need(9);
    const half = halfBits(value);
    if (half !== undefined) {
      this.#bytes[this.#length++] = 0xf9;
      this.#view.setUint16(this.#length, half);
      this.#length += 2;
    } else if (Math.fround(value) === value) {
      this.#bytes[this.#length++] = 0xfa;
      this.#view.setFloat32(this.#length, value);
      this.#length += 4;
    } else {
      this.#bytes[this.#length++] = 0xfb;
      this.#view.setFloat64(this.#length, value);
      this.#length += 8;
    }
  }

  #array(items: readonly unknown[], type: ValueType | undefined): void {
    const itemType = type?.kind === "array" ? type.items : undefined;
    this.head(majorType.array, items.length);
    for (const item of items) this.value(item, itemType);
  }

  #map(object: Readonly<Record<string, unknown>>, type: ValueType | undefined): void {
    const fields = type?.kind === "object" ? type.schema.fields : undefined;
    const values = type?.kind === "map" ? type.values : undefined;
    let length = 0;
    for (const key in object) if (object[key] !== undefined) length++;
    this.head(majorType.map, length);
    for (const key in object) {
      const value = object[key];
      if (value === undefined) continue;
      this.string(key);
      this.value(value, fields ? fields.get(key)?.type : values);
    }
  }

  #need(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

const floatView = new DataView(new ArrayBuffer(4));

/** A number as a half-precision one; undefined where that would be another number. */
function halfBits(value: number): number | undefined {
  floatView.setFloat32(0, value);
  if (floatView.getFloat32(0) !== value) return undefined;
  const bits = floatView.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 127;
  const fraction = bits & 0x7fffff;
  if (value === 0) return sign;
  if (exponent > 15 || exponent < -24) return undefined;
  if (exponent >= -14) return fraction & 0x1fff ? undefined : sign | ((exponent + 15) << 10) | (fraction >> 13);
  const shift = -1 - exponent;
  const whole = 0x800000 | fraction;
  return whole & ((1 << shift) - 1) ? undefined : sign | (whole >> shift);
}

/** "This is CBOR": what begins every answer, and every object in an event of a watch. */
const selfDescribed = Uint8Array.of(0xd9, 0xd9, 0xf7);

interface Typed {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
}

const typeOfSchema = (schema: ObjectSchema | undefined): ValueType | undefined => schema && { kind: "object", schema };

/** What an object's fields hold: of its kind, or of a list's items where it is one. */
function typeOf({ apiVersion, kind }: Typed): ValueType | undefined {
  if (typeof apiVersion !== "string" || typeof kind !== "string") return undefined;
  const schema = schemaOfKind(apiVersion, kind);
  if (schema || !kind.endsWith("List")) return typeOfSchema(schema);
  const items = schemaOfKind(apiVersion, kind.slice(0, -"List".length));
  return items && typeOfSchema(listOf(items));
}

const lists = new WeakMap<ObjectSchema, ObjectSchema>();

function listOf(item: ObjectSchema): ObjectSchema {
  let list = lists.get(item);
  if (!list) {
    const metadata: ValueType = { kind: "object", schema: builtInSchemas.get("meta-v1.ListMeta") };
    const items: ValueType = { kind: "array", items: { kind: "object", schema: item } };
    const fields: ObjectSchema["fields"] = new Map([
      ["metadata", { name: "metadata", required: false, type: metadata }],
      ["items", { name: "items", required: true, type: items }],
    ]);
    list = { name: `${item.name}List`, fields, kinds: [] };
    lists.set(item, list);
  }
  return list;
}

/** An object, or a list of objects, as an answer has it. */
export function writeCbor(object: unknown): Uint8Array {
  const writer = new CborWriter();
  writer.raw(selfDescribed);
  writer.value(object, typeOf((object ?? {}) as Typed));
  return writer.done();
}

/** An object within a list whose head is written elsewhere. */
export function writeCborItem(object: object, schema: ObjectSchema | undefined): Uint8Array {
  const writer = new CborWriter();
  writer.value(object, typeOfSchema(schema));
  return writer.done();
}

/** The beginning of a list, up to its first item. */
export function writeCborListHead(
  list: { readonly kind: string; readonly apiVersion: string; readonly metadata: unknown },
  items: number,
): Uint8Array {
  const writer = new CborWriter();
  writer.raw(selfDescribed);
  writer.head(majorType.map, 4);
  for (const [key, value] of Object.entries(list)) {
    writer.string(key);
    writer.value(value, undefined);
  }
  writer.string("items");
  writer.head(majorType.array, items);
  return writer.done();
}

/** An event of a watch around an object that writeCbor has written. */
export function writeCborEvent(type: string, object: Uint8Array): Uint8Array {
  const writer = new CborWriter();
  writer.raw(selfDescribed);
  writer.head(majorType.map, 2);
  writer.string("type");
  writer.string(type);
  writer.string("object");
  writer.raw(object);
  return writer.done();
}
