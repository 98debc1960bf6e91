// Turns parsed JSON into an object of a schema, as decoding into Go's structs and encoding again would: unknown fields are
// dropped, values of the wrong type refused, quantities and times normalised, null is absence, empty optional values are
// left out and always-present ones filled in. Each type is compiled to closures once; what needs no change is shared with
// the input. Only when something was unknown or wrong is the value walked again to say where (decode-diagnosis.ts).
import { base64OfList, normalizeBase64 } from "../meta/base64.ts";
import { parseQuantity, QuantityError } from "../meta/quantity.ts";
import { type EmptyFields, sentEmpty } from "../meta/sent-empty.ts";
import { badRequest, type StatusError } from "../meta/status-error.ts";
import { normalizeMicroTime, normalizeTime } from "../meta/time.ts";
import type { FieldSchema, ObjectSchema, SchemaUnion, ValueType } from "../schema/schema.ts";
import { wireRules } from "../schema/wire-facts.ts";
import { diagnose } from "./decode-diagnosis.ts";
import { JsonNumber, withPlainNumbers } from "./json-text.ts";

/** A value that cannot be decoded; the message is Go's. */
export class DecodeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "DecodeError";
  }
}

export interface Decoded {
  readonly object: Readonly<Record<string, unknown>>;
  /** Paths of unknown fields ("spec.containers[0].foo") in the order of the text, at most 100. */
  readonly unknown: readonly string[];
}

/** What a decoding run has met. */
interface Findings {
  unknown: boolean;
  wrong: boolean;
  /** A list or map was sent empty (sent-empty.ts). */
  empty: boolean;
}

/** Decoded objects, with what was sent empty of their fields. */
type Output = Record<string, unknown> & { [sentEmpty]?: EmptyFields };

type Decode = (value: unknown, findings: Findings) => unknown;

/** Decodes a value that parseJson or parseYaml has returned. Throws DecodeError for values of the wrong type. */
export function decodeObject(schema: ObjectSchema, value: unknown): Decoded {
  const findings: Findings = { unknown: false, wrong: false, empty: false };
  const object = objectDecoder(schema)(value, findings);
  if (findings.empty) (object as Output)[sentEmpty] ??= {};
  if (!findings.unknown && !findings.wrong) return { object: object as Decoded["object"], unknown: [] };
  const { problem, unknown } = diagnose(schema, value);
  if (problem !== undefined) throw new DecodeError(problem);
  return { object: object as Decoded["object"], unknown };
}

/** The 400 for a body that cannot be decoded: `Deployment in version "v1" cannot be handled as a Deployment: …`. */
export function cannotBeHandled(sent: { readonly version: string; readonly kind: string }, as: string, problem: string): StatusError {
  return badRequest(`${sent.kind} in version ${JSON.stringify(sent.version)} cannot be handled as a ${as}: ${problem}`);
}

/** What strict field validation says of a body: `strict decoding error: unknown field "spec.foo"`. */
export function strictProblem(problems: readonly string[]): string {
  return `strict decoding error: ${problems.join(", ")}`;
}

export const unknownField = (path: string): string => `unknown field ${JSON.stringify(path)}`;
export const duplicateField = (path: string): string => `duplicate field ${JSON.stringify(path)}`;

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber);

const objectDecoders = new WeakMap<ObjectSchema, Decode>();

/** The compiled decoder of a type; types may contain themselves, so fields are compiled when first met. */
function objectDecoder(schema: ObjectSchema): Decode {
  const known = objectDecoders.get(schema);
  if (known) return known;
  let fields: ReadonlyMap<string, FieldDecoder> | undefined;
  let filled: readonly FieldDecoder[] = [];
  const decode: Decode = (value, findings) => {
    if (!fields) {
      fields = new Map([...schema.fields.values()].map((field) => [field.name, fieldDecoder(schema, field)]));
      filled = [...fields.values()].filter((field) => field.fill !== undefined);
    }
    if (value === null || value === undefined) return decodeFields({}, fields, filled, findings);
    if (isObject(value)) return decodeFields(value, fields, filled, findings);
    findings.wrong = true;
    return value;
  };
  objectDecoders.set(schema, decode);
  return decode;
}

interface FieldDecoder {
  readonly name: string;
  readonly decode: Decode;
  /** An empty value is left out. */
  readonly dropsEmpty: boolean;
  /** An empty list or map becomes null, which is what it is once it has been stored as protobuf. */
  readonly emptyIsNull: boolean;
  /** An empty one that is left out or null is noted. */
  readonly notesEmpty: boolean;
  /** What is written when the field is absent, where something is. */
  readonly fill: (() => unknown) | undefined;
}

function fieldDecoder(schema: ObjectSchema, field: FieldSchema): FieldDecoder {
  const { dropsEmpty, whenAbsent } = wireRules(schema, field);
  const fill = whenAbsent === "nothing" ? undefined : whenAbsent === "null" ? () => null : () => zeroOf(field.type);
  const notesEmpty = field.type.kind === "array" || field.type.kind === "map";
  const emptyIsNull = whenAbsent === "null" && notesEmpty;
  return { name: field.name, decode: decoderOf(field.type), dropsEmpty, emptyIsNull, notesEmpty, fill };
}

function decodeFields(
  input: Readonly<Record<string, unknown>>,
  fields: ReadonlyMap<string, FieldDecoder>,
  filled: readonly FieldDecoder[],
  findings: Findings,
): Readonly<Record<string, unknown>> {
  let changed = false;
  const output: Output = {};
  let empty: Record<string, object> | undefined;
  for (const key in input) {
    const field = fields.get(key);
    const value = input[key];
    if (!field) {
      findings.unknown = true;
      changed = true;
    } else if (value === null || value === undefined) {
      changed = true;
    } else {
      const decoded = field.decode(value, findings);
      if ((field.dropsEmpty || field.emptyIsNull) && isEmpty(decoded)) {
        if (field.emptyIsNull) output[key] = null;
        if (field.notesEmpty) (empty ??= {})[key] = decoded as object;
        changed = true;
      } else {
        output[key] = decoded;
        if (decoded !== value) changed = true;
      }
    }
  }
  for (const field of filled) {
    if (output[field.name] !== undefined) continue;
    output[field.name] = field.fill?.();
    changed = true;
  }
  if (empty) {
    output[sentEmpty] = empty;
    findings.empty = true;
  }
  return changed ? output : input;
}

function isEmpty(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return value === "" || value === 0 || value === false;
  if (Array.isArray(value)) return value.length === 0;
  for (const _ in value) return false;
  return true;
}

const nothingFound: Findings = { unknown: false, wrong: false, empty: false };

/** What Go's zero value of a type is in JSON: what a null in a list becomes. */
function zeroOf(type: ValueType): unknown {
  switch (type.kind) {
    case "string":
    case "bytes":
      return "";
    case "boolean":
      return false;
    case "int32":
    case "int64":
    case "double":
    case "intOrString":
      return 0;
    case "quantity":
      return "0";
    case "object":
      return objectDecoder(type.schema)(undefined, nothingFound);
    default:
      return type.kind === "any" && type.union?.or === "strings" ? [] : null;
  }
}

function decoderOf(type: ValueType): Decode {
  switch (type.kind) {
    case "object":
      return objectDecoder(type.schema);
    case "array":
      return arrayDecoder(type.items);
    case "map":
      return mapDecoder(type.values);
    case "int32":
      return integerDecoder(2 ** 31);
    case "int64":
      return integerDecoder(2 ** 63);
    case "any":
      return type.union ? unionDecoder(type.union) : any;
    default:
      return scalarDecoders[type.kind];
  }
}

/** What stands there in place of a schema may be anything but for booleans: nothing is read from what is neither of both. */
function unionDecoder({ or, schema }: SchemaUnion): Decode {
  const decodeSchema = objectDecoder(schema);
  const decodeList = arrayDecoder(or === "schemas" ? { kind: "object", schema } : { kind: "string" });
  return (value, findings) => {
    if (isObject(value)) {
      // Unknown fields are left out, and nobody is told.
      const own: Findings = { unknown: false, wrong: false, empty: false };
      const decoded = decodeSchema(value, own);
      if (own.empty) findings.empty = true;
      return own.wrong ? wrong(value, findings) : decoded;
    }
    if (or === "boolean") return typeof value === "boolean" ? value : wrong(value, findings);
    return Array.isArray(value) ? decodeList(value, findings) : [];
  };
}

function arrayDecoder(items: ValueType): Decode {
  const decode = decoderOf(items);
  return (value, findings) => {
    if (!Array.isArray(value)) return wrong(value, findings);
    let output: unknown[] | undefined;
    for (const [i, item] of value.entries()) {
      const decoded = item === null ? zeroOf(items) : decode(item, findings);
      if (decoded === item) continue;
      output ??= [...value];
      output[i] = decoded;
    }
    return output ?? value;
  };
}

function mapDecoder(values: ValueType): Decode {
  const decode = decoderOf(values);
  return (value, findings) => {
    if (!isObject(value)) return wrong(value, findings);
    let output: Record<string, unknown> | undefined;
    for (const key in value) {
      const item = value[key];
      const decoded = item === null ? zeroOf(values) : decode(item, findings);
      if (decoded === item) continue;
      output ??= { ...value };
      output[key] = decoded;
    }
    return output ?? value;
  };
}

function wrong(value: unknown, findings: Findings): unknown {
  findings.wrong = true;
  return value;
}

function integerDecoder(limit: number): Decode {
  return (value, findings) => {
    if (typeof value === "number") return Number.isInteger(value) && value < limit && value >= -limit ? value : wrong(value, findings);
    if (!(value instanceof JsonNumber) || !isIntegerText(value.text, limit)) return wrong(value, findings);
    return value.valueOf();
  };
}

function isIntegerText(text: string, limit: number): boolean {
  if (!/^-?\d{1,20}$/.test(text)) return false;
  const value = BigInt(text);
  return value < BigInt(limit) && value >= -BigInt(limit);
}

const any: Decode = (value) => withPlainNumbers(value);
const string: Decode = (value, findings) => (typeof value === "string" ? value : wrong(value, findings));
const normalizing =
  (normalize: (text: string) => string | undefined): Decode =>
  (value, findings) =>
    (typeof value === "string" ? normalize(value) : undefined) ?? wrong(value, findings);

const scalarDecoders = {
  string,
  bytes: ((value, findings) => {
    const text = typeof value === "string" ? normalizeBase64(value) : Array.isArray(value) ? base64OfList(value) : undefined;
    return text ?? wrong(value, findings);
  }) as Decode,
  boolean: ((value, findings) => (typeof value === "boolean" ? value : wrong(value, findings))) as Decode,
  double: ((value, findings) => {
    const number = value instanceof JsonNumber ? value.valueOf() : value;
    return typeof number === "number" && Number.isFinite(number) ? number : wrong(value, findings);
  }) as Decode,
  time: normalizing(normalizeTime),
  microTime: normalizing(normalizeMicroTime),
  quantity: decodeQuantity,
  intOrString: ((value, findings) => (typeof value === "string" ? value : integerDecoder(2 ** 31)(value, findings))) as Decode,
} as const;

function decodeQuantity(value: unknown, findings: Findings): unknown {
  try {
    if (typeof value === "string") return parseQuantity(value.trim()).toString();
    if (typeof value === "number") return parseQuantity(value).toString();
    if (value instanceof JsonNumber) return parseQuantity(value.text).toString();
  } catch (error) {
    if (!(error instanceof QuantityError)) throw error;
  }
  return wrong(value, findings);
}
