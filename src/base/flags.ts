// Command-line flags with pflag's conventions: --flag=value, --flag value, --switch, --switch=false, -v 2, -v=2, repeated
// flags and comma lists. One object literal defines a command's flags; what comes out is typed by it. Problems name the
// flag and say what was expected.

import { formatDuration, parseDuration } from "./duration.ts";

/** What was given wrongly; printed as one line with a hint at --help. */
export class FlagError extends Error {
  /** One or several, each of which names its flag. */
  readonly problems: readonly string[];

  constructor(...problems: readonly string[]) {
    super(problems.length === 1 ? problems[0] : `[${problems.join(", ")}]`);
    this.name = "FlagError";
    this.problems = problems;
  }
}

/** The results of all parts; where some throw FlagErrors, one that has the problems of all, in the order of the parts. */
export function allParts<T extends Readonly<Record<string, unknown>>>(parts: { readonly [K in keyof T]: () => T[K] }): T {
  const problems: string[] = [];
  const results = Object.entries<() => unknown>(parts).map(([name, part]) => {
    try {
      return [name, part()];
    } catch (error) {
      if (!(error instanceof FlagError)) throw error;
      problems.push(...error.problems);
      return [name, undefined];
    }
  });
  if (problems.length > 0) throw new FlagError(...problems);
  // Object.fromEntries loses the names, which the type gives back.
  return Object.fromEntries(results) as T;
}

/** Throws one FlagError with every problem whose condition holds. */
export function refuse(...checks: readonly (readonly [isWrong: boolean, problem: string])[]): void {
  const problems = checks.filter(([isWrong]) => isWrong).map(([, problem]) => problem);
  if (problems.length > 0) throw new FlagError(...problems);
}

export interface FlagType<T> {
  /** Shown in --help after the flag: "string", "int", "duration"; "" for switches. */
  readonly placeholder: string;
  /** Throws an Error that says what was expected. `previous`: from an earlier use of the flag on this command line. */
  parse(text: string, previous: T | undefined): T;
  /** A default as --help shows it, "" for none. Absent: as it is, lists and maps with commas. */
  show?(value: T): string;
  /** The value of the flag without one ("true" for switches); absent where a value must follow. */
  readonly bare?: string;
}

export interface Flag<T> {
  readonly type: FlagType<T>;
  readonly default: T;
  readonly help: string;
  /** One letter: "v". */
  readonly shorthand?: string;
  /** What to do instead; said when the flag is given. */
  readonly deprecated?: string;
}

export type Flags = Readonly<Record<string, Flag<unknown>>>;
export type FlagValues<F extends Flags> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

export interface ParsedFlags<F extends Flags> {
  readonly values: FlagValues<F>;
  /** Arguments that are no flags, and everything after "--". */
  readonly positional: readonly string[];
  /** The flags that were given. */
  readonly given: ReadonlySet<keyof F>;
  /** --help or -h was among them: nothing else has been checked. */
  readonly help: boolean;
}

/** A flag definition whose default is of its type. */
export function flag<T>(type: FlagType<T>, defaultValue: NoInfer<T>, help: string, shorthand?: string): Flag<T> {
  return { type, default: defaultValue, help, ...(shorthand === undefined ? {} : { shorthand }) };
}

/** The same flag, which nobody should use any more: `instead` says what to do, or why. */
export const deprecated = <T>(of: Flag<T>, instead: string): Flag<T> => ({ ...of, deprecated: instead });

/** A line for each deprecated flag that was given, in pflag's words. */
export function deprecationWarnings(flags: Flags, given: ReadonlySet<string>): readonly string[] {
  return [...given].flatMap((name) => {
    const instead = flags[name]?.deprecated;
    return instead === undefined ? [] : [`Flag --${name} has been deprecated, ${instead}`];
  });
}

export const text: FlagType<string> = { placeholder: "string", parse: (value) => value };

export const optionalText: FlagType<string | undefined> = { placeholder: "string", parse: (value) => value };

export const boolean: FlagType<boolean> = {
  placeholder: "",
  bare: "true",
  parse(value) {
    if (/^(1|t|T|true|TRUE|True)$/.test(value)) return true;
    if (/^(0|f|F|false|FALSE|False)$/.test(value)) return false;
    throw new Error("expected true or false");
  },
};

/** As Go reads whole numbers: also 0x1f, 0o17, 017, 0b11 and 1_000. NaN for what is none. */
function wholeNumber(text: string): number {
  const [, sign, digits = ""] = /^([+-]?)(\d+|0[xX]_?[\da-fA-F]+|0[oO]_?[0-7]+|0[bB]_?[01]+)$/.exec(withoutSeparators(text)) ?? [];
  const plain = /^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits;
  const number = plain === "" || /^0\d/.test(plain) ? Number.NaN : Number(plain);
  return sign === "-" ? -number : number;
}

/** Underscores stand between digits, or after the prefix of a base. */
function withoutSeparators(text: string): string {
  if (!text.includes("_")) return text;
  return /^[+-]?(0[xXoObB]_?)?[\da-fA-F]+(_[\da-fA-F]+)*$/.test(text) ? text.replaceAll("_", "") : "";
}

/** A whole number within bounds. */
export function integer(bounds: { readonly min?: number; readonly max?: number } = {}): FlagType<number> {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = bounds;
  const range = bounds.min === undefined ? "" : bounds.max === undefined ? ` of at least ${min}` : ` from ${min} to ${max}`;
  return {
    placeholder: "int",
    parse(value) {
      const number = wholeNumber(value);
      if (Number.isNaN(number) || number < min || number > max) throw new Error(`expected a whole number${range}`);
      return number;
    },
  };
}

/** A number, whole or not, within bounds. */
export function number(bounds: { readonly min?: number; readonly max?: number } = {}): FlagType<number> {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = bounds;
  const range = bounds.min === undefined ? "" : bounds.max === undefined ? ` of at least ${min}` : ` from ${min} to ${max}`;
  return {
    placeholder: "float",
    parse(value) {
      const parsed = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value) ? Number(value) : Number.NaN;
      if (!Number.isFinite(parsed) || parsed < min || parsed > max) throw new Error(`expected a number${range}`);
      return parsed;
    },
  };
}

export function oneOf<const T extends string>(...choices: readonly T[]): FlagType<T> {
  return {
    placeholder: choices.join("|"),
    parse(value) {
      const choice = choices.find((c) => c === value);
      if (choice === undefined) throw new Error(`expected ${choices.map((c) => JSON.stringify(c)).join(" or ")}`);
      return choice;
    },
  };
}

/** A type whose flag given as "" is as if it were not given. */
export function orDefault<T>(type: FlagType<T>, value: T): FlagType<T> {
  return { ...type, parse: (given, previous) => (given === "" ? value : type.parse(given, previous)) };
}

/** A comma list; the flag may be repeated, and the lists are joined. */
export const list: FlagType<readonly string[]> = {
  placeholder: "strings",
  parse: (value, previous) => [...(previous ?? []), ...value.split(",").filter((part) => part !== "")],
};

/** A comma list that is one value: given again, it replaces the one before. */
export const lastList: FlagType<readonly string[]> = {
  placeholder: "strings",
  parse: (value) => list.parse(value, undefined),
};

/** Go's notation ("1m30s", "500ms") as milliseconds. */
export const durationMs: FlagType<number> = {
  placeholder: "duration",
  parse(value) {
    const ms = parseDuration(value);
    if (ms === undefined) throw new Error('expected a duration such as "30s" or "1h15m"');
    return ms;
  },
  show: (ms) => (ms === undefined ? "" : formatDuration(ms)),
};

/** A duration that is not negative. */
export const periodMs: FlagType<number> = {
  ...durationMs,
  parse(value, previous) {
    const ms = durationMs.parse(value, previous);
    if (ms < 0) throw new Error("expected a duration that is not negative");
    return ms;
  },
};

export function parseFlags<F extends Flags>(flags: F, args: readonly string[]): ParsedFlags<F> {
  const values = new Map<string, unknown>();
  const positional: string[] = [];
  const shorthands = new Map(Object.entries(flags).flatMap(([name, f]) => (f.shorthand ? [[f.shorthand, name] as const] : [])));
  let help = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (arg === "--") {
      positional.push(...args.slice(i + 1));
      break;
    }
    if (arg === "--help" || arg === "-h") help = true;
    else if (!arg.startsWith("-") || arg === "-") positional.push(arg);
    else {
      const { name, shown, inline } = nameOf(arg, flags, shorthands);
      const { type } = flags[name] as Flag<unknown>;
      let value = inline ?? type.bare;
      if (value === undefined) {
        value = args[++i];
        if (value === undefined) throw new FlagError(`flag needs an argument: ${shown}`);
      }
      values.set(name, parseValue(type, value, values.get(name), shown));
    }
    if (help) break;
  }
  const all = Object.fromEntries(Object.entries(flags).map(([name, f]) => [name, values.has(name) ? values.get(name) : f.default]));
  // Each value was made by the type of its flag, which is what FlagValues says.
  return { values: all as FlagValues<F>, positional, given: new Set(values.keys()), help };
}

function parseValue(type: FlagType<unknown>, value: string, previous: unknown, shown: string): unknown {
  try {
    return type.parse(value, previous);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FlagError(`invalid argument ${JSON.stringify(value)} for ${shown}: ${why}`);
  }
}

interface NamedFlag {
  readonly name: string;
  /** As the user wrote it, for messages. */
  readonly shown: string;
  readonly inline: string | undefined;
}

function nameOf(arg: string, flags: Flags, shorthands: ReadonlyMap<string, string>): NamedFlag {
  if (arg.startsWith("--")) {
    const equals = arg.indexOf("=");
    const written = equals < 0 ? arg.slice(2) : arg.slice(2, equals);
    // As upstream's: words may be parted by underscores as well.
    const name = Object.hasOwn(flags, written) ? written : written.replaceAll("_", "-");
    if (!Object.hasOwn(flags, name)) throw new FlagError(`unknown flag: --${name}`);
    return { name, shown: `--${name}`, inline: equals < 0 ? undefined : arg.slice(equals + 1) };
  }
  const letter = arg.slice(1, 2);
  const name = shorthands.get(letter);
  if (name === undefined) throw new FlagError(`unknown shorthand flag: '${letter}' in ${arg}`);
  // -v2 and -v=2 carry their value, -v has it in the next argument.
  const rest = arg.slice(2);
  return { name, shown: `-${letter}`, inline: rest === "" ? undefined : rest.startsWith("=") ? rest.slice(1) : rest };
}

/** What a flag without effect may be: "true" for a switch, a type that says so, undefined for any text. */
export type IgnoredValue = "true" | FlagType<unknown> | undefined;

/** Flags that are taken for the sake of manifests written for upstream and have nothing to set here. */
export function flagsWithoutEffect<const Name extends string>(
  table: Readonly<Record<Name, IgnoredValue>>,
): Readonly<Record<Name, Flag<string | undefined>>> {
  const entries = Object.entries<IgnoredValue>(table).map(([name, value]) => {
    const checked: FlagType<unknown> = value === "true" ? boolean : (value ?? text);
    const type: FlagType<string | undefined> = {
      placeholder: checked.placeholder,
      ...(checked.bare === undefined ? {} : { bare: checked.bare }),
      parse(given) {
        checked.parse(given, undefined);
        return given;
      },
    };
    return [name, flag(type, undefined, "without effect here")];
  });
  // Object.fromEntries loses the names, which the type gives back.
  return Object.fromEntries(entries) as Readonly<Record<Name, Flag<string | undefined>>>;
}

/** The flags as --help lists them. */
export function describeFlags(flags: Flags): string {
  const rows = Object.entries(flags).map(([name, f]) => {
    const short = f.shorthand ? `-${f.shorthand}, ` : "    ";
    return {
      left: `  ${short}--${name}${f.type.placeholder === "" ? "" : ` ${f.type.placeholder}`}`,
      right: `${f.help}${defaultText(f)}${f.deprecated === undefined ? "" : ` (DEPRECATED: ${f.deprecated})`}`,
    };
  });
  const width = Math.min(48, Math.max(...rows.map((r) => r.left.length)) + 2);
  return rows.map((r) => (r.left.length < width ? r.left.padEnd(width) : `${r.left}\n${" ".repeat(width)}`) + r.right).join("\n");
}

function defaultText({ type, default: value }: Flag<unknown>): string {
  const shown = type.show?.(value) ?? plainText(value);
  return shown === "" ? "" : ` (default ${shown})`;
}

function plainText(value: unknown): string {
  if (value === undefined || value === null || value === false) return "";
  if (Array.isArray(value)) return value.map(plainText).join(",");
  if (typeof value !== "object") return String(value);
  const pairs = value instanceof Map ? [...value] : Object.entries(value);
  return pairs.map(([name, each]) => `${name}=${String(each)}`).join(",");
}

/** What every flag is, as text: "1m0s", "[a,b]", "" for what is not given. */
export function flagTexts<F extends Flags>(flags: F, values: FlagValues<F>): Readonly<Record<string, string>> {
  const given = values as Readonly<Record<string, unknown>>;
  return Object.fromEntries(Object.entries(flags).map(([name, { type }]) => [name, flagText(type, given[name])]));
}

function flagText({ show }: FlagType<unknown>, value: unknown): string {
  if (typeof value === "boolean") return String(value);
  if (Array.isArray(value) && !show) return `[${value.map(plainText).join(",")}]`;
  return show?.(value) ?? plainText(value);
}
