// CBOR bodies as the plain values their JSON would have, as upstream reads them: text and byte strings are both strings,
// tags 21 to 23 say in which text a byte string is to be shown, times become texts, other tags are looked through, maps with
// a key twice are refused. With a schema the types of fields are checked on the way, because messages tell the CBOR type and
// bytes of a field are read by it; without one (custom resources, applied configurations) anything may stand anywhere.
import { base64OfBytes, base64Problem, normalizeBase64 } from "../../meta/base64.ts";
import { normalizeTime, timeProblem } from "../../meta/time.ts";
import type { ObjectSchema, ValueType } from "../../schema/schema.ts";
import { elementTypeName, goTypeName, wireRules } from "../../schema/wire-facts.ts";
import { JsonNumber } from "../json-text.ts";
import { breakCode, CborError, checkWellFormed, HeadReader, majorType, notAccepted, typeName } from "./data-items.ts";

export interface CborValue {
  /** Plain JSON, in which JsonNumber stands for numbers whose notation matters. */
  readonly value: unknown;
  /** What strict validation says of the first field that the schema does not have. */
  readonly unknown: string | undefined;
}

const stringMap = "map[string]interface {}";
const any: ValueType = { kind: "any" };
const looseMap: ValueType = { kind: "map", values: any };

/** Reads an object of a schema, or with none a map of anything; null is either. Throws CborError. */
export function readCbor(bytes: Uint8Array, schema: ObjectSchema | undefined): CborValue {
  checkWellFormed(bytes);
  const reader = new ValueReader(bytes);
  const type: ValueType = schema ? { kind: "object", schema } : looseMap;
  return { value: reader.value(type, schema ? goTypeName(type) : stringMap), unknown: reader.unknown };
}

/** What a body says that it is, found before anything else of it is read. Throws CborError. */
export function readCborType(bytes: Uint8Array): { readonly apiVersion?: string; readonly kind?: string } {
  checkWellFormed(bytes);
  return new ValueReader(bytes).typeMeta();
}

const selfDescribed = 55_799;
const firstLaterEncoding = 21;
const lastLaterEncoding = 23;
const fatalUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const looseUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Reads values of well-formed bytes. */
class ValueReader extends HeadReader {
  unknown: string | undefined;
  /** The field of the outermost struct in which the reader is: messages tell no more. */
  #field = "";
  /** Tag 21, 22 or 23 around what is read; 0 for none. */
  #laterEncoding = 0;

  typeMeta(): { apiVersion?: string; kind?: string } {
    const found: { apiVersion?: string; kind?: string } = {};
    this.#skipTags();
    this.read();
    if (this.#isNull()) return found;
    if (this.major !== majorType.map) throw this.#noStruct("v1.TypeMeta");
    this.#entries((key) => {
      if (key !== "apiVersion" && key !== "kind") return this.#skip();
      this.#field = `v1.TypeMeta.${key}`;
      const value = this.value({ kind: "string" }, "string");
      if (typeof value === "string") found[key] = value;
    }, true);
    return found;
  }

  value(type: ValueType, goType: string): unknown {
    const outer = this.#laterEncoding;
    const tag = this.#readTags();
    const value = tag !== undefined && type.kind === "any" ? this.#time(tag) : this.#content(type, goType);
    this.#laterEncoding = outer;
    return value;
  }

  #skipTags(): void {
    while (this.next() === majorType.tag) this.read();
  }

  /** Reads tags; gives that of a time, where the value has one. */
  #readTags(): number | undefined {
    let time: number | undefined;
    while (this.next() === majorType.tag) {
      this.read();
      const { argument } = this;
      time = argument === 0 || argument === 1 ? argument : argument === selfDescribed ? time : undefined;
      if (argument === 0 && this.next() !== majorType.text)
        throw new CborError(`cbor: tag number 0 must be followed by text string, got ${typeName(this.next())}`);
      const head = this.bytes[this.at] ?? 0;
      if (argument === 1 && head >= 0x40 && (head < 0xf9 || head > 0xfb))
        throw new CborError(`cbor: tag number 1 must be followed by integer or floating-point number, got ${typeName(this.next())}`);
      if (argument >= firstLaterEncoding && argument <= lastLaterEncoding) this.#laterEncoding = argument;
    }
    return time;
  }

  #time(tag: number): string {
    const value = this.#content(any, "time.Time");
    if (tag === 0) {
      if (normalizeTime(value as string) === undefined)
        throw new CborError(`cbor: cannot set ${value as string} for time.Time: ${timeProblem(value as string)}`);
      return value as string;
    }
    const date = new Date(Number(value) * 1000);
    if (Number.isNaN(date.getTime()) || date.getUTCFullYear() < 0 || date.getUTCFullYear() > 9999)
      throw new CborError(
        "cbor: decoded time cannot be represented in RFC3339 format with sub-second precision: Time.MarshalText: year outside of range [0,9999]",
      );
    return date.toISOString().replace(/\.?0*Z$/, "Z");
  }

  #content(type: ValueType, goType: string): unknown {
    this.read();
    switch (this.major) {
      case majorType.positive:
      case majorType.negative:
        return this.#integer(type, goType);
      case majorType.bytes:
      case majorType.text:
        return this.#stringFor(type, goType);
      case majorType.array:
        return this.#array(type, goType);
      case majorType.map:
        return this.#map(type, goType);
      default:
        return this.#primitive(type, goType);
    }
  }

  #integer(type: ValueType, goType: string): number | JsonNumber {
    const isNegative = this.major === majorType.negative;
    const takesAny = type.kind === "any" || type.kind === "quantity" || type.kind === "intOrString";
    if (!takesAny && type.kind !== "int32" && type.kind !== "int64" && type.kind !== "double") throw this.#mismatch(goType);
    const value = isNegative ? -1 - this.argument : this.argument;
    if (type.kind !== "double" && !this.#fits(value, type.kind === "int32" ? 31 : 63)) {
      const overflows = `${this.#exactInteger()} overflows ${takesAny ? "Go's int64" : goType}`;
      throw this.#mismatch(takesAny ? "int64" : goType, overflows);
    }
    return Number.isSafeInteger(value) ? value : new JsonNumber(String(this.#exactInteger()));
  }

  #fits(value: number, bits: number): boolean {
    if (!Number.isSafeInteger(value)) return bits > 53 && BigInt.asIntN(64, this.#exactInteger()) === this.#exactInteger();
    return bits > 53 || (value < 2 ** bits && value >= -(2 ** bits));
  }

  #exactInteger(): bigint {
    return this.major === majorType.negative ? -1n - this.exact() : this.exact();
  }

  #stringFor(type: ValueType, goType: string): string {
    const { major } = this;
    switch (type.kind) {
      case "int32":
      case "int64":
      case "double":
      case "boolean":
      case "array":
      case "map":
      case "object":
        throw this.#mismatch(goType);
      case "bytes":
        if (major === majorType.text) throw this.#mismatch("[]uint8");
        return this.#byteField();
      default:
        return major === majorType.text ? this.#text() : this.#byteText();
    }
  }

  /** Bytes of a field that has bytes: base64 already, where nothing says that they are to become it. */
  #byteField(): string {
    const bytes = this.#stringBytes();
    if (this.#laterEncoding !== 0) return base64OfBytes(bytes);
    const text = looseUtf8.decode(bytes);
    const base64 = normalizeBase64(text);
    if (base64 === undefined) throw new CborError(`cbor: failed to decode base64 from byte string: ${base64Problem(text)}`);
    return base64;
  }

  #text(): string {
    try {
      return fatalUtf8.decode(this.#stringBytes());
    } catch {
      throw new CborError("cbor: invalid UTF-8 string");
    }
  }

  #byteText(): string {
    const bytes = this.#stringBytes();
    switch (this.#laterEncoding) {
      case 21:
        return base64OfBytes(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
      case 22:
        return base64OfBytes(bytes);
      case 23:
        return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      default:
        return looseUtf8.decode(bytes);
    }
  }

  /** Of a string whose head has been read. */
  #stringBytes(): Uint8Array {
    if (!this.isOpen) return this.bytes.subarray(this.at, (this.at += this.argument));
    const start = this.at;
    const joined = new Uint8Array(this.#skipChunks() - start);
    const end = this.at;
    let length = 0;
    for (this.at = start; this.bytes[this.at] !== breakCode; ) {
      this.read();
      joined.set(this.bytes.subarray(this.at, this.at + this.argument), length);
      length += this.argument;
      this.at += this.argument;
    }
    this.at = end;
    return joined.subarray(0, length);
  }

  #skipChunks(): number {
    while (this.bytes[this.at] !== breakCode) {
      this.read();
      this.at += this.argument;
    }
    return ++this.at;
  }

  #array(type: ValueType, goType: string): unknown[] {
    const items = type.kind === "any" ? any : type.kind === "array" ? type.items : undefined;
    if (!items)
      throw this.#mismatch(goType, type.kind === "object" ? "cannot decode CBOR array to struct without toarray option" : undefined);
    const itemType = type.kind === "any" ? "interface {}" : elementTypeName(goType, items);
    const list: unknown[] = [];
    for (let left = this.isOpen ? -1 : this.argument; this.#hasMore(left); left--) list.push(this.value(items, itemType));
    return list;
  }

  #hasMore(left: number): boolean {
    if (left >= 0) return left > 0;
    if (this.bytes[this.at] !== breakCode) return true;
    this.at++;
    return false;
  }

  #map(type: ValueType, goType: string): Record<string, unknown> {
    if (type.kind === "object") return this.#struct(type.schema);
    if (type.kind !== "any" && type.kind !== "map") throw this.#mismatch(goType);
    const values = type.kind === "map" ? type.values : any;
    const valueType = type.kind === "map" ? elementTypeName(goType, values) : "interface {}";
    const map: Record<string, unknown> = {};
    this.#entries((key) => put(map, key, this.value(values, valueType)), false);
    return map;
  }

  #struct(schema: ObjectSchema): Record<string, unknown> {
    const outer = this.#field;
    const object: Record<string, unknown> = {};
    this.#entries((key, index) => {
      const field = schema.fields.get(key);
      const isType = !field && outer === "" && (key === "kind" || key === "apiVersion");
      if (!field && !isType) {
        this.unknown ??= `cbor: found unknown field at map element index ${index}`;
        return this.#skip();
      }
      if (outer === "") this.#field = `${goTypeName({ kind: "object", schema })}.${key}`;
      const value = field ? this.value(field.type, wireRules(schema, field).typeName) : this.value({ kind: "string" }, "string");
      put(object, key, value);
    }, true);
    this.#field = outer;
    return object;
  }

  /** The entries of a map whose head has been read. Throws for keys that are there twice. */
  #entries(take: (key: string, index: number) => void, ofStruct: boolean): void {
    const seen = new Set<string>();
    let index = 0;
    for (let left = this.isOpen ? -1 : this.argument; this.#hasMore(left); left--, index++) {
      const key = this.#key(ofStruct);
      if (seen.has(key)) throw new CborError(`cbor: found duplicate map key ${shownKey(key)} at map element index ${index}`);
      seen.add(key);
      take(key, index);
    }
  }

  /** Numbers are no names of fields, but may stand where they are: with a mark that no text begins with. */
  #key(ofStruct: boolean): string {
    if (!ofStruct) return (this.value({ kind: "string" }, "string") as string | null) ?? "";
    const next = this.next();
    if (next === majorType.text || next === majorType.bytes) return this.value({ kind: "string" }, "string") as string;
    if (next <= majorType.negative) {
      this.read();
      return `${numberMark}${this.#exactInteger()}`;
    }
    this.major = next;
    const why = `map key is of type ${typeName(next)} and cannot be used to match struct field name`;
    throw new CborError(`cbor: cannot unmarshal ${typeName(next)} into Go value of type string (${why})`);
  }

  #primitive(type: ValueType, goType: string): unknown {
    if (this.info >= 25) {
      if (type.kind !== "any" && type.kind !== "double" && type.kind !== "quantity") throw this.#mismatch(goType);
      const value = this.float();
      return Number.isInteger(value) ? new JsonNumber(floatText(value)) : value;
    }
    if (this.#isNull()) return null;
    if (this.argument !== 20 && this.argument !== 21) throw notAccepted("primitives", `simple value ${this.argument} is not recognized`);
    if (type.kind !== "any" && type.kind !== "boolean") throw this.#mismatch(goType);
    return this.argument === 21;
  }

  #isNull(): boolean {
    if (this.major !== majorType.primitive || this.info >= 25) return false;
    if (this.argument < 20 || this.argument > 22) throw notAccepted("primitives", `simple value ${this.argument} is not recognized`);
    return this.argument === 22;
  }

  #noStruct(goType: string): CborError {
    return this.#mismatch(goType, this.major === majorType.array ? "cannot decode CBOR array to struct without toarray option" : undefined);
  }

  #mismatch(goType: string, why?: string): CborError {
    const target = this.#field === "" ? "Go value" : `Go struct field ${this.#field}`;
    return new CborError(`cbor: cannot unmarshal ${typeName(this.major)} into ${target} of type ${goType}${why ? ` (${why})` : ""}`);
  }

  /** Passes over the next item. */
  #skip(): void {
    for (let left = 1; left > 0; left--) {
      this.read();
      if (this.major === majorType.bytes || this.major === majorType.text) this.#stringBytes();
      else if (this.major === majorType.tag) left++;
      else if (this.major === majorType.array || this.major === majorType.map) {
        if (!this.isOpen) left += this.argument * (this.major === majorType.map ? 2 : 1);
        else {
          while (this.bytes[this.at] !== breakCode) this.#skip();
          this.at++;
        }
      }
    }
  }
}

const numberMark = "\0";

const shownKey = (key: string): string => (key.startsWith(numberMark) ? key.slice(1) : JSON.stringify(key));

/** A whole number in a notation that is none of an integer. */
function floatText(value: number): string {
  const text = Object.is(value, -0) ? "-0" : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function put(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__") Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  else object[key] = value;
}
