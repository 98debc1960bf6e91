// Makes values of JSON, lazily: an array or object is wrapped where it lies, and what is inside of it is made a value when it is
// read, by its declared type. Where the type is dyn, the JSON tells: a number without fraction is an int, an object a map.

import { CelError } from "./cel-error.ts";
import { parseDate, parseDuration, parseTimestamp } from "./time-text.ts";
import { type CelListType, type CelMapType, type CelObjectType, type CelType, dynType, stringType } from "./types.ts";
import { CelList, CelMap, CelObject, CelUint, type CelValue, isCelInstance } from "./values.ts";

type Json = Readonly<Record<string, unknown>>;

/** The value of JSON of a declared type. What is a CelValue already stays as it is. Throws CelError where the JSON is not of that type. */
export function adaptJson(json: unknown, type: CelType): CelValue {
  if (type.adapt && !isCelInstance(json)) return type.adapt(json);
  if (json === null || json === undefined) return null;
  switch (type.kind) {
    case "string":
      return typeof json === "string" ? json : mismatch(json, "string");
    case "bool":
      return typeof json === "boolean" ? json : mismatch(json, "bool");
    case "int":
      return intOf(json) ?? mismatch(json, "int");
    case "double":
      return typeof json === "number" || typeof json === "bigint" ? Number(json) : mismatch(json, "float");
    case "list":
      return Array.isArray(json) ? new JsonList(json, type) : instance(json, "list");
    case "map":
      return isJsonObject(json) ? new JsonMap(json, type) : instance(json, "map");
    case "object":
      return isJsonObject(json) ? new JsonObject(json, type) : instance(json, type.name);
    case "uint":
    case "bytes":
    case "timestamp":
    case "duration":
      return adaptScalar(json, type.kind);
    case "wrapper":
      return adaptJson(json, type.of);
    case "opaque":
    case "optional":
    case "type":
      return instance(json, type.kind === "opaque" ? type.name : type.kind);
    default:
      return adaptDyn(json);
  }
}

const anyList: CelListType = { kind: "list", items: dynType };
const anyMap: CelMapType = { kind: "map", values: dynType };

function adaptDyn(json: unknown): CelValue {
  switch (typeof json) {
    case "string":
    case "boolean":
    case "bigint":
      return json;
    case "number":
      return intOf(json) ?? json;
  }
  if (Array.isArray(json)) return new JsonList(json, anyList);
  if (isJsonObject(json)) return new JsonMap(json, anyMap);
  return instance(json, "JSON");
}

const limit = 2 ** 63;

function intOf(json: unknown): bigint | undefined {
  if (typeof json === "bigint") return json;
  return typeof json === "number" && Number.isInteger(json) && json >= -limit && json < limit ? BigInt(json) : undefined;
}

function adaptScalar(json: unknown, kind: "uint" | "bytes" | "timestamp" | "duration"): CelValue {
  if (kind === "uint") {
    const value = intOf(json);
    return value === undefined || value < 0n ? instance(json, kind) : new CelUint(value);
  }
  if (typeof json !== "string") return instance(json, "string");
  switch (kind) {
    case "timestamp":
      return parseTimestamp(json) ?? parseDate(json) ?? invalid("Invalid date-time formatted string", json);
    case "duration":
      return parseDuration(json) ?? invalid("Invalid duration", json);
    case "bytes":
      return decodeBase64(json) ?? invalid("Invalid byte formatted string", json);
  }
}

function invalid(problem: string, json: string): never {
  throw new CelError(`${problem} ${json}`);
}

function mismatch(json: unknown, wanted: string): CelValue {
  return instance(json, wanted);
}

/** A value that is no JSON, as it is. */
function instance(json: unknown, wanted: string): CelValue {
  if (isCelInstance(json)) return json;
  throw new CelError(`invalid data, expected ${wanted}, got ${jsonKind(json)}`);
}

function jsonKind(json: unknown): string {
  if (Array.isArray(json)) return "list";
  if (typeof json === "number") return Number.isInteger(json) ? "int64" : "float64";
  return typeof json === "object" ? "map" : typeof json === "boolean" ? "bool" : typeof json;
}

function isJsonObject(json: unknown): json is Json {
  return typeof json === "object" && json !== null && !Array.isArray(json) && !isCelInstance(json);
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const bytes = new Uint8Array((text.length / 4) * 3 - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0));
  for (let from = 0, to = 0; from < text.length; from += 4) {
    let group = 0;
    for (let index = 0; index < 4; index++) group = group * 64 + Math.max(0, alphabet.indexOf(text[from + index] ?? ""));
    for (let shift = 16; shift >= 0 && to < bytes.length; shift -= 8) bytes[to++] = (group >> shift) & 0xff;
  }
  return bytes;
}

export function encodeBase64(bytes: Uint8Array): string {
  let text = "";
  for (let from = 0; from < bytes.length; from += 3) {
    const group = ((bytes[from] ?? 0) << 16) | ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0);
    for (let index = 0; index < 4; index++) {
      text += from + index <= bytes.length ? alphabet[(group >> (18 - 6 * index)) & 63] : "=";
    }
  }
  return text;
}

/** An array of JSON. */
export class JsonList extends CelList {
  readonly json: readonly unknown[];
  readonly #items: CelType;

  constructor(json: readonly unknown[], type: CelListType) {
    super();
    this.json = json;
    this.#items = type.items;
  }

  get size(): number {
    return this.json.length;
  }

  at(index: number): CelValue {
    return adaptJson(this.json[index], this.#items);
  }
}

const manyKeys = 1000;
const keyCounts = new WeakMap<Json, number>();

/** Of large objects remembered: each of a schema's rules may ask, and counting takes as long as there are keys. */
function keyCount(json: Json): number {
  const known = keyCounts.get(json);
  if (known !== undefined) return known;
  const count = Object.keys(json).length;
  if (count > manyKeys) keyCounts.set(json, count);
  return count;
}

/** An object of JSON whose keys are data. */
export class JsonMap extends CelMap {
  readonly json: Json;
  readonly #type: CelMapType;

  constructor(json: Json, type: CelMapType) {
    super();
    this.json = json;
    this.#type = type;
  }

  get size(): number {
    return keyCount(this.json);
  }

  find(key: CelValue): CelValue | undefined {
    if (typeof key !== "string" || !Object.hasOwn(this.json, key)) return undefined;
    const value = this.json[key];
    return value === undefined ? undefined : adaptJson(value, this.#type.values);
  }

  keys(): Iterable<CelValue> {
    const keys = Object.keys(this.json);
    const type = this.#type.keys ?? stringType;
    return type.kind === "string" || type.kind === "dyn" ? keys : keys.map((key) => adaptJson(key, type));
  }
}

/** An object of JSON with declared fields. */
export class JsonObject extends CelObject {
  readonly json: Json;
  readonly #type: CelObjectType;

  constructor(json: Json, type: CelObjectType) {
    super();
    this.json = json;
    this.#type = type;
  }

  get typeName(): string {
    return this.#type.name;
  }

  get size(): number {
    return Object.keys(this.json).length;
  }

  find(name: string): CelValue | undefined {
    const field = this.#type.field(name);
    if (!field) return undefined;
    const property = field.property ?? name;
    if (!Object.hasOwn(this.json, property)) return undefined;
    const value = this.json[property];
    return value === undefined ? undefined : adaptJson(value, field.type);
  }

  fields(): Iterable<string> {
    const names = this.#type.fieldNames?.() ?? Object.keys(this.json);
    return [...names].filter((name) => this.find(name) !== undefined);
  }

  toJson(): unknown {
    return this.json;
  }
}
