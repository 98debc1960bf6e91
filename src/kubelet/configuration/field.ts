// What one field of a configuration is: its type, its default, what counts as "not given", and whether this kubelet acts on
// it. A table of fields (kubelet-configuration.ts) reads a document, gives it its type and says what has no effect.
//
// As in upstream's types, most fields have no way to tell "not given" from zero: 0, "" and "0s" mean the default. The
// constructors whose names end in "OrZero" and "OrEmpty" make those that can.
import { ConfigError, ConfigFields } from "../../api/encode/config-fields.ts";
import { parseDuration } from "../../base/duration.ts";
import { goDuration } from "./duration.ts";

/** "used": acted on. "none": taken and listed, it tunes what is not there. */
export type Effect = "used" | "none";

/** What a command-line flag of the field looks like. */
export type FieldKind = "boolean" | "integer" | "number" | "text" | "duration" | "texts" | "textMap" | "booleanMap" | "other";

export interface Field<T> {
  readonly kind: FieldKind;
  readonly default: T;
  /** Undefined when it is not given. Throws ConfigError. */
  read(fields: ConfigFields, name: string): T | undefined;
  isUnset(value: T): boolean;
  readonly effect: Effect;
  /** Of an object with fields of its own. */
  readonly nested?: FieldTable;
}

export type FieldTable = Readonly<Record<string, Field<unknown>>>;
export type Resolved<F extends FieldTable> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

const never = (): boolean => false;
type Reader<T> = (fields: ConfigFields, name: string) => T | undefined;

function field<T>(kind: FieldKind, read: Reader<T>, defaultValue: T, isUnset: (value: T) => boolean = never): Field<T> {
  return { kind, read, default: defaultValue, isUnset, effect: "used" };
}

const maxInt32 = 2 ** 31 - 1;

/** A value that the field cannot hold, as upstream's decoder of JSON tells it. */
function typeProblem(fields: ConfigFields, name: string, { value, type }: { readonly value: unknown; readonly type: string }): ConfigError {
  const kind = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  const shown = kind === "number" && type.startsWith("int") ? `number ${value}` : kind;
  // Upstream's paths have no places in lists.
  const path = (fields.path === "" ? name : `${fields.path}.${name}`).replaceAll(/\[\d+\]/g, "");
  return new ConfigError(`json: cannot unmarshal ${shown} into Go struct field KubeletConfiguration.${path} of type ${type}`);
}

/** Undefined where nothing is given. */
function readAs<T>(
  fields: ConfigFields,
  name: string,
  { type, fits }: { readonly type: string; fits(value: unknown): value is T },
): T | undefined {
  const value = fields.value(name);
  if (value === undefined || value === null) return undefined;
  if (!fits(value)) throw typeProblem(fields, name, { value, type });
  return value;
}

const isText = (value: unknown): value is string => typeof value === "string";
const isInt32 = (value: unknown): value is number => Number.isInteger(value) && Math.abs(value as number) <= maxInt32;
const isInteger = (value: unknown): value is number => Number.isInteger(value);

const readBoolean: Reader<boolean> = (fields, name) =>
  readAs(fields, name, { type: "bool", fits: (value): value is boolean => typeof value === "boolean" });
const readInteger: Reader<number> = (fields, name) => readAs(fields, name, { type: "int32", fits: isInt32 });
const readInteger64: Reader<number> = (fields, name) => readAs(fields, name, { type: "int64", fits: isInteger });
const readText: Reader<string> = (fields, name) => readAs(fields, name, { type: "string", fits: isText });
const readDuration: Reader<string> = (fields, name) => {
  const written = readText(fields, name);
  if (written === undefined || written === "") return written === "" ? "0s" : undefined;
  const ms = parseDuration(written);
  if (ms === undefined) throw new ConfigError(durationProblem(written));
  return goDuration(ms);
};

/** What is no duration, in the words of Go's time.ParseDuration. */
function durationProblem(written: string): string {
  const shown = JSON.stringify(written);
  const amount = /^[+-]?(?:\d+\.?\d*|\.\d+)/.exec(written)?.[0];
  if (amount === undefined) return `time: invalid duration ${shown}`;
  const unit = /^[^\d.]*/.exec(written.slice(amount.length))?.[0] ?? "";
  if (unit === "") return `time: missing unit in duration ${shown}`;
  const isUnit = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"].includes(unit);
  return isUnit ? `time: invalid duration ${shown}` : `time: unknown unit ${JSON.stringify(unit)} in duration ${shown}`;
}

const readTexts: Reader<readonly string[]> = (fields, name) => {
  if (!fields.has(name)) return undefined;
  const value = fields.value(name);
  if (!Array.isArray(value)) throw typeProblem(fields, name, { value, type: "[]string" });
  const wrong = value.find((element) => !isText(element));
  if (wrong !== undefined) throw typeProblem(fields, name, { value: wrong, type: "string" });
  return value;
};

export const boolean = (defaultValue: boolean): Field<boolean> => field("boolean", readBoolean, defaultValue);
export const optionalBoolean: Field<boolean | undefined> = field("boolean", readBoolean as Reader<boolean | undefined>, undefined);
export const integer = (defaultValue: number): Field<number> => field("integer", readInteger, defaultValue, (v) => v === 0);
export const integerOrZero = (defaultValue: number): Field<number> => field("integer", readInteger, defaultValue);
export const optionalInteger: Field<number | undefined> = field("integer", readInteger as Reader<number | undefined>, undefined);
/** A whole number of 64 bits instead of 32. */
export const wide = <T extends number | undefined>(of: Field<T>): Field<T> => ({ ...of, read: readInteger64 as Reader<T> });
export const number = (defaultValue: number): Field<number> => field("number", (fields, name) => fields.number(name), defaultValue);
export const text = (defaultValue: string): Field<string> => field("text", readText, defaultValue, (v) => v === "");
export const textOrEmpty = (defaultValue: string): Field<string> => field("text", readText, defaultValue);
/** In Go's notation: "1m0s". */
export const duration = (defaultValue: string): Field<string> => field("duration", readDuration, defaultValue, (v) => v === "0s");
/** Absent where it is not given: others say what it is then. */
export const optionalDuration: Field<string | undefined> = field("duration", readDuration as Reader<string | undefined>, undefined);
export const durationOrZero = (defaultValue: string): Field<string> => field("duration", readDuration, defaultValue);
export const texts = (...defaultValue: readonly string[]): Field<readonly string[]> =>
  field<readonly string[]>("texts", readTexts, defaultValue);

export const integers: Field<readonly number[]> = field<readonly number[]>(
  "other",
  (fields, name) => {
    if (!fields.has(name)) return undefined;
    return listOf(fields, name).map((value, i) => {
      if (!Number.isInteger(value)) throw fields.problem(`${name}[${i}]`, "expected a whole number");
      return value as number;
    });
  },
  [],
);

/** The elements as they stand. */
function listOf(fields: ConfigFields, name: string): readonly unknown[] {
  const value = fields.value(name);
  if (!Array.isArray(value)) throw fields.problem(name, "expected a list");
  return value;
}

interface MapValues<T> {
  /** Upstream's word for what the values are. */
  readonly type: string;
  fits(value: unknown): value is T;
  readonly empty: T;
}

/** Undefined where there is none; of values that are null, the empty one. */
function readMap<T>({ type, fits, empty }: MapValues<T>): Reader<Readonly<Record<string, T>>> {
  return (fields, name) => {
    if (!fields.has(name)) return undefined;
    const map = fields.value(name);
    if (typeof map !== "object" || map === null || Array.isArray(map))
      throw typeProblem(fields, name, { value: map, type: `map[string]${type}` });
    const entries = Object.entries(map).map(([key, value]) => [key, value ?? empty] as const);
    const wrong = entries.find(([, value]) => !fits(value));
    if (wrong) throw typeProblem(fields, name, { value: wrong[1], type });
    return Object.fromEntries(entries) as Readonly<Record<string, T>>;
  };
}

export const textMap: Field<Readonly<Record<string, string>>> = field("textMap", readMap({ type: "string", fits: isText, empty: "" }), {});
export const booleanMap: Field<Readonly<Record<string, boolean>>> = field(
  "booleanMap",
  readMap({ type: "bool", fits: (value): value is boolean => typeof value === "boolean", empty: false }),
  {},
);
export const textListMap: Field<Readonly<Record<string, readonly string[]>>> = field(
  "other",
  readMap({
    ...{ type: "[]string", empty: [] },
    fits: (value): value is readonly string[] => Array.isArray(value) && value.every(isText),
  }),
  {},
);

/** An object whose fields all have defaults. */
export function nested<F extends FieldTable>(table: F): Field<Resolved<F>> {
  const read: Reader<Resolved<F>> = (fields, name) => {
    const inner = fields.object(name);
    return inner && readFields(table, inner);
  };
  return { ...field("other", read, defaultsOf(table)), nested: table };
}

/** An object that may be missing. */
export function optionalNested<F extends FieldTable>(table: F): Field<Resolved<F> | undefined> {
  return field<Resolved<F> | undefined>("other", nested(table).read, undefined);
}

/** A list of objects. */
export function objects<F extends FieldTable>(table: F): Field<readonly Resolved<F>[]> {
  return field<readonly Resolved<F>[]>(
    "other",
    (fields, name) => (fields.has(name) ? fields.objects(name).map((inner) => readFields(table, inner)) : undefined),
    [],
  );
}

/** Taken and listed, and nothing else happens. */
export const withoutEffect = <T>(of: Field<T>): Field<T> => ({ ...of, effect: "none" });

export const defaultsOf = <F extends FieldTable>(table: F): Resolved<F> => readFields(table, new ConfigFields({}, ""));

/** All fields of the table, defaults filled in; other fields are refused. Throws ConfigError. */
export function readFields<F extends FieldTable>(table: F, fields: ConfigFields): Resolved<F> {
  const entries = Object.entries(table).map(([name, of]) => {
    const given = of.read(fields, name);
    return [name, given === undefined || of.isUnset(given) ? of.default : given] as const;
  });
  fields.end();
  // Each value was read by its own field, which is what Resolved says.
  return Object.fromEntries(entries) as Resolved<F>;
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** The paths of fields that say something and have this effect. */
export function fieldsWith(effect: Effect, table: FieldTable, values: Readonly<Record<string, unknown>>, prefix = ""): readonly string[] {
  return Object.entries(table).flatMap(([name, of]) => {
    const value = values[name];
    const path = `${prefix}${name}`;
    if (of.nested && of.effect === "used") return fieldsWith(effect, of.nested, value as Readonly<Record<string, unknown>>, `${path}.`);
    return of.effect === effect && !same(value, of.default) ? [path] : [];
  });
}

/** Milliseconds of a duration that has been read. */
export function durationMs(written: string): number {
  const ms = parseDuration(written);
  if (ms === undefined) throw new ConfigError(`expected a duration, not ${JSON.stringify(written)}`);
  return ms;
}
