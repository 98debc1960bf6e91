// format(): "%s is %d".format(["a", 1]), with the clauses s d f e b x X o and a precision for f and e. Numbers with a fraction
// are written as upstream's en_US writes them: grouped by thousands, powers of ten spelled out.

import { goQuoted } from "../../base/go-quoted.ts";
import type { CelExpr } from "../ast.ts";
import { CelError, exceededBudget } from "../cel-error.ts";
import { compareStrings } from "../compare.ts";
import { doubleText, durationText, timestampText } from "../go-text.ts";
import type { CelCheckedExpr, CelValidator } from "../library.ts";
import { maxTextSize } from "../limits.ts";
import { childrenOf } from "../paths.ts";
import type { CelType } from "../types.ts";
import { CelDuration, CelList, CelMap, CelTimestamp, CelTypeValue, CelUint, type CelValue, celTypeName } from "../values.ts";

const defaultPrecision = 6;
/** What is asked for beyond is refused: upstream would write as many zeros. */
const maxPrecision = 10_000;

interface Clause {
  readonly verb: string;
  readonly precision: number;
}

/** What clauses are applied to: values at run time, types when an expression is checked. */
interface Arguments {
  readonly count: number;
  /** The text of an argument by a clause. Throws ClauseProblem. */
  write(index: number, clause: Clause): string;
}

/** A clause that does not fit its argument, or is none. */
class FormatProblem extends Error {
  readonly at: CelExpr | undefined;
  constructor(message: string, at?: CelExpr) {
    super(message);
    this.at = at;
  }
}

const refusals: Readonly<Record<string, string>> = {
  s: "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
  d: "decimal clause can only be used on integers",
  f: "fixed-point clause can only be used on doubles",
  e: "scientific clause can only be used on doubles",
  b: "only integers and bools can be formatted as binary",
  x: "only integers, byte buffers, and strings can be formatted as hex",
  o: "octal clause can only be used on integers",
};

const refusal = (verb: string, type: string, at?: CelExpr): FormatProblem =>
  new FormatProblem(`${refusals[verb.toLowerCase()]}, was given ${type}`, at);

/** The text with its clauses replaced; how many arguments it used. Throws FormatProblem. */
function interpolate(format: string, args: Arguments): { readonly text: string; readonly used: number } {
  let text = "";
  let used = 0;
  for (let at = 0; at < format.length; ) {
    if (format[at] !== "%") text += format[at++];
    else if (format[at + 1] === "%") {
      text += "%";
      at += 2;
    } else {
      if (used >= args.count) throw new FormatProblem(`index ${used} out of range`);
      if (at + 1 >= format.length) throw new FormatProblem("unexpected end of string");
      const { clause, size } = clauseAt(format, at + 1);
      try {
        text += args.write(used++, clause);
      } catch (error) {
        if (error instanceof FormatProblem) throw new FormatProblem(`error during formatting: ${error.message}`, error.at);
        throw error;
      }
      if (text.length > maxTextSize) throw exceededBudget();
      at += 1 + size;
    }
  }
  return { text, used };
}

function clauseAt(format: string, at: number): { readonly clause: Clause; readonly size: number } {
  const unparsed = (problem: string) => new FormatProblem(`could not parse formatting clause: ${problem}`);
  const [written, digits] = /^\.(\d*)/.exec(format.slice(at)) ?? ["", undefined];
  if (written && at + written.length >= format.length)
    throw unparsed("error while parsing precision: could not find end of precision specifier");
  if (digits === "")
    throw unparsed('error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing "": invalid syntax');
  const precision = digits === undefined ? defaultPrecision : Number(digits);
  if (precision > maxPrecision) throw unparsed("error while parsing precision: too large");
  const verb = String.fromCodePoint(format.codePointAt(at + written.length) ?? 0);
  if (!/^[sdfebxXo]$/.test(verb)) throw unparsed(`unrecognized formatting clause "${verb}"`);
  return { clause: { verb, precision }, size: written.length + verb.length };
}

/** Throws CelError. */
export function formatTexts(format: string, list: CelList): string {
  try {
    return interpolate(format, { count: list.size, write: (index, clause) => write(list.at(index), clause) }).text;
  } catch (error) {
    if (error instanceof FormatProblem) throw new CelError(error.message);
    throw error;
  }
}

function write(value: CelValue, { verb, precision }: Clause): string {
  switch (verb) {
    case "s":
      return plainText(value);
    case "d":
      return String(wholeNumber(value) ?? refuse(verb, value));
    case "f":
      return fixedText(fraction(value) ?? refuse(verb, value), precision);
    case "e":
      return scientificText(fraction(value) ?? refuse(verb, value), precision);
    case "b":
      return typeof value === "boolean" ? String(Number(value)) : (wholeNumber(value) ?? refuse(verb, value)).toString(2);
    case "o":
      return (wholeNumber(value) ?? refuse(verb, value)).toString(8);
    default:
      return verb === "X" ? hexText(value, verb).toUpperCase() : hexText(value, verb);
  }
}

function refuse(verb: string, value: CelValue): never {
  throw refusal(verb, celTypeName(value));
}

function wholeNumber(value: CelValue): bigint | undefined {
  return typeof value === "bigint" ? value : value instanceof CelUint ? value.value : undefined;
}

/** Doubles, and what texts can say of the ones that have no digits. */
function fraction(value: CelValue): number | undefined {
  if (typeof value === "number") return value;
  return value === "NaN" || value === "Infinity" || value === "-Infinity" ? Number(value) : undefined;
}

function hexText(value: CelValue, verb: string): string {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  if (bytes instanceof Uint8Array) return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return (wholeNumber(value) ?? refuse(verb, value)).toString(16);
}

function unbounded(value: number): string | undefined {
  return Number.isNaN(value) ? "NaN" : value === Number.POSITIVE_INFINITY ? "∞" : value === Number.NEGATIVE_INFINITY ? "-∞" : undefined;
}

/** Halves are rounded to even digits, where toFixed() rounds them up. */
function rounded(value: number, precision: number): string {
  const exact = value.toFixed(100);
  const end = exact.length - 100 + precision;
  const cut = exact.slice(0, precision === 0 ? end - 1 : end);
  return /^50*$/.test(exact.slice(end)) && /[02468]$/.test(cut) ? cut : value.toFixed(precision);
}

function fixedDigits(value: number, precision: number): string {
  const shown = Math.min(precision, 100);
  const text = Math.abs(value) < 1e21 ? rounded(value, shown) : BigInt(value).toString() + (shown > 0 ? `.${"0".repeat(shown)}` : "");
  return text + "0".repeat(precision - shown);
}

function fixedText(value: number, precision: number): string {
  const special = unbounded(value);
  if (special !== undefined) return special;
  const [whole = "", decimals] = fixedDigits(value, precision).split(".");
  const grouped = whole.replace(/\B(?=(?:\d{3})+$)/g, ",");
  return decimals === undefined ? grouped : `${grouped}.${decimals}`;
}

const superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹";

function scientificText(value: number, precision: number): string {
  const special = unbounded(value);
  if (special !== undefined) return special;
  const [digits = "", power = "+0"] = value.toExponential(Math.min(precision, 100)).split("e");
  const exponent = [...power.replace(/^[+-]/, "").padStart(2, "0")].map((digit) => superscripts[Number(digit)]).join("");
  return `${digits}${"0".repeat(Math.max(0, precision - 100))}×10${power.startsWith("-") ? "⁻" : ""}${exponent}`;
}

function plainText(value: CelValue): string {
  if (value === null) return "null";
  if (typeof value === "number") return doubleText(value);
  if (typeof value !== "object") return String(value);
  if (value instanceof CelUint) return String(value.value);
  if (value instanceof CelList) return `[${[...value].map(nestedText).join(", ")}]`;
  if (value instanceof CelMap) return mapText(value);
  if (value instanceof CelTimestamp) return timestampText(value);
  if (value instanceof CelDuration) return durationText(value);
  if (value instanceof Uint8Array) return bytesText(value);
  if (value instanceof CelTypeValue) return value.name;
  return refuse("s", value);
}

function bytesText(value: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(value);
}

/** Inside of a list or map, where texts are quoted. */
function nestedText(value: CelValue): string {
  if (typeof value === "string") return goQuoted(value);
  if (typeof value === "number") return Number.isFinite(value) ? fixedDigits(value, defaultPrecision) : goQuoted(doubleText(value));
  if (value instanceof Uint8Array) return `b${goQuoted(bytesText(value))}`;
  if (value instanceof CelTimestamp) return `timestamp(${goQuoted(timestampText(value))})`;
  if (value instanceof CelDuration) return `duration(${goQuoted(durationText(value))})`;
  const isKnown = typeof value !== "object" || value === null || value instanceof CelUint || value instanceof CelTypeValue;
  if (isKnown || value instanceof CelList || value instanceof CelMap) return plainText(value);
  throw new FormatProblem(`no formatting function for ${celTypeName(value)}`);
}

function mapText(map: CelMap): string {
  const entries: (readonly [string, string])[] = [];
  for (const key of map.keys()) {
    const isScalar = typeof key === "string" || typeof key === "boolean" || wholeNumber(key) !== undefined;
    if (!isScalar) throw new FormatProblem(`no formatting function for map key of type ${celTypeName(key)}`);
    entries.push([nestedText(key), nestedText(map.find(key) ?? null)]);
  }
  entries.sort(([a], [b]) => compareStrings(a, b));
  return `{${entries.map(([key, value]) => `${key}:${value}`).join(", ")}}`;
}

const allowed: Readonly<Record<string, readonly CelType["kind"][]>> = {
  s: ["list", "map", "int", "uint", "double", "bool", "string", "timestamp", "bytes", "duration", "type", "null"],
  d: ["int", "uint"],
  f: ["double", "string"],
  e: ["double", "string"],
  b: ["int", "uint", "bool"],
  x: ["int", "uint", "string", "bytes"],
  o: ["int", "uint"],
};

const typeNames: Readonly<Partial<Record<CelType["kind"], string>>> = {
  timestamp: "google.protobuf.Timestamp",
  duration: "google.protobuf.Duration",
  null: "null_type",
  optional: "optional_type",
};

const nameOf = (type: CelType): string =>
  type.kind === "object" || type.kind === "opaque" ? type.name : (typeNames[type.kind] ?? type.kind);

/** Throws FormatProblem where the type of an argument is one that the clause cannot write. */
function verify(checked: CelCheckedExpr, arg: CelExpr, verb: string): void {
  const type = checked.typeOf(arg);
  if (type.kind !== "dyn" && !allowed[verb.toLowerCase()]?.includes(type.kind)) throw refusal(verb, nameOf(type), arg);
  if (verb === "s" && (arg.kind === "list" || arg.kind === "map")) for (const part of childrenOf(arg)) verify(checked, part, verb);
}

/** Checks calls of format() on a literal with a literal list. */
export const formatValidator: CelValidator = {
  name: "cel.validator.string_format",
  validate(checked) {
    const problems: { readonly message: string; readonly at: CelExpr }[] = [];
    const visit = (expr: CelExpr): void => {
      for (const child of childrenOf(expr)) visit(child);
      if (expr.kind !== "call" || expr.name !== "format" || expr.target?.kind !== "literal" || typeof expr.target.value !== "string")
        return;
      const [list] = expr.args;
      if (list?.kind !== "list") return;
      const { elements } = list;
      const write = (index: number, { verb }: Clause) => {
        verify(checked, elements[index] as CelExpr, verb);
        return "";
      };
      try {
        const { used } = interpolate(expr.target.value, { count: elements.length, write });
        if (elements.length > used)
          problems.push({ message: `too many arguments supplied to string.format (expected ${used}, got ${elements.length})`, at: expr });
      } catch (error) {
        if (!(error instanceof FormatProblem)) throw error;
        problems.push({ message: error.message, at: error.at ?? expr });
      }
    };
    visit(checked.expr);
    return problems;
  },
};
