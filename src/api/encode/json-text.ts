// JSON texts as the API server reads them. JSON.parse does the work; a second look finds what it does not tell: fields
// given twice, numbers whose notation matters (2.0 is no integer to Go), and, for broken texts, Go's words.
import { nearestInteger } from "../meta/go-number.ts";
import { maxNesting } from "./nesting.ts";

/** A text that is no JSON; the message is Go's. */
export class JsonSyntaxError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "JsonSyntaxError";
  }
}

/** A number that is not written as a plain integer of moderate size: its text matters to integers and quantities. */
export class JsonNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  valueOf(): number {
    return /^\d{19}$/.test(this.text) ? nearestInteger(BigInt(this.text)) : Number(this.text);
  }

  toJSON(): number {
    return this.valueOf();
  }
}

export interface ParsedText {
  /** Plain JSON, in which JsonNumber stands for some numbers. */
  readonly value: unknown;
  /** Paths of fields given more than once ("metadata.name"), in the order of the text, at most 100; the last one counts. */
  readonly duplicates: readonly string[];
  /** The text itself, where it has such fields: for inTextOrder(). */
  readonly text?: string;
}

/** The place of a field in a text: its path, and whether its object has had it before. */
export interface FieldPlace {
  readonly path: string;
  readonly repeated: boolean;
}

const unusualNumber = /(?:"\s*:|[[,])\s*-?(?:\d+[.eE]|\d{16,})/;

/** Half of a pair: alone it is no character, and Go reads it as U+FFFD. */
const surrogate = /\\u[dD][89a-fA-F]/;

/** Parses a JSON text. Throws JsonSyntaxError, also for lists and objects more than maxNesting deep. */
export function parseJson(text: string): ParsedText {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    new Reader(text).read();
    throw new JsonSyntaxError("invalid JSON");
  }
  if (typeof value !== "object" || value === null) return { value, duplicates: [] };
  if (!unusualNumber.test(text) && !(text.includes("\\u") && surrogate.test(text)) && countKeys(text) === countMembers(value, 1))
    return { value, duplicates: [] };
  return new Reader(text).read();
}

/** The fields of a well-formed text that are given again or are in `paths`, in the order of the text; each once. */
export function inTextOrder(text: string, paths: ReadonlySet<string>): readonly FieldPlace[] {
  const places = new Map<string, FieldPlace>();
  new Reader(text, (path, repeated) => {
    const isSought = paths.has(path);
    const place = { path, repeated: repeated && !isSought };
    if ((repeated || isSought) && !places.has(path)) places.set(path, place);
  }).read();
  return [...places.values()];
}

/** Replaces the numbers that kept their text by plain ones; the same reference where there are none. */
export function withPlainNumbers(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof JsonNumber) return value.valueOf();
  // Each part is looked at once: who asked first and then did it would do twice the work at each level, and so 2^depth.
  return Array.isArray(value) ? plainItems(value) : plainFields(value as Readonly<Record<string, unknown>>);
}

function plainItems(items: readonly unknown[]): readonly unknown[] {
  let output: unknown[] | undefined;
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    const plain = withPlainNumbers(item);
    if (plain === item) continue;
    output ??= [...items];
    output[i] = plain;
  }
  return output ?? items;
}

function plainFields(object: Readonly<Record<string, unknown>>): unknown {
  let changed: Map<string, unknown> | undefined;
  for (const key in object) {
    const value = object[key];
    const plain = withPlainNumbers(value);
    if (plain !== value) (changed ??= new Map()).set(key, plain);
  }
  if (!changed) return object;
  // `__proto__` is a name like others here, which assigning to it would not make it.
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, changed.has(key) ? changed.get(key) : value]));
}

const [quote, backslash, colon] = [34, 92, 58];

/** The number of object keys in a well-formed text. */
function countKeys(text: string): number {
  let keys = 0;
  for (let open = text.indexOf('"'); open >= 0; ) {
    let close = text.indexOf('"', open + 1);
    while (close > 0 && text.charCodeAt(close - 1) === backslash && oddBackslashes(text, close)) close = text.indexOf('"', close + 1);
    let next = close + 1;
    while (text.charCodeAt(next) <= 32) next++;
    if (text.charCodeAt(next) === colon) keys++;
    open = text.charCodeAt(next) === quote ? next : text.indexOf('"', next);
  }
  return keys;
}

function oddBackslashes(text: string, end: number): boolean {
  let count = 0;
  while (text.charCodeAt(end - 1 - count) === backslash) count++;
  return count % 2 === 1;
}

/** `depth`: of the value itself, 1 for the outermost. */
function countMembers(value: object, depth: number): number {
  if (depth > maxNesting) throw tooDeep();
  if (Array.isArray(value)) {
    let members = 0;
    for (const item of value) if (typeof item === "object" && item !== null) members += countMembers(item, depth + 1);
    return members;
  }
  let members = 0;
  for (const key in value) {
    members++;
    const child: unknown = (value as Record<string, unknown>)[key];
    if (typeof child === "object" && child !== null) members += countMembers(child, depth + 1);
  }
  return members;
}

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const maxDuplicates = 100;

/** Each path repeats the keys on the way to it, which may be a megabyte long. */
const maxDuplicateCharacters = 1024 * 1024;

const tooDeep = (): JsonSyntaxError => new JsonSyntaxError("exceeded max depth");

/** A plain recursive reader, for the texts that JSON.parse cannot do alone. */
class Reader {
  readonly #text: string;
  readonly #duplicates = new Set<string>();
  #duplicateCharacters = 0;
  readonly #path: (string | number)[] = [];
  #at = 0;

  /** Told of each field, as it is met. */
  readonly #met: ((path: string, repeated: boolean) => void) | undefined;

  constructor(text: string, met?: (path: string, repeated: boolean) => void) {
    this.#text = text;
    this.#met = met;
  }

  read(): ParsedText {
    const value = this.#value("looking for beginning of value");
    this.#space();
    if (this.#at < this.#text.length) throw this.#unexpected("after top-level value");
    return this.#duplicates.size === 0 ? { value, duplicates: [] } : { value, duplicates: [...this.#duplicates], text: this.#text };
  }

  #value(context: string): unknown {
    this.#space();
    const c = this.#text.charAt(this.#at);
    if (c === "{") return this.#object();
    if (c === "[") return this.#array();
    if (c === '"') return this.#string();
    if (c === "-" || (c >= "0" && c <= "9")) return this.#number();
    if (c === "t") return this.#literal("true", true);
    if (c === "f") return this.#literal("false", false);
    if (c === "n") return this.#literal("null", null);
    throw this.#unexpected(context);
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    const seen = new Set<string>();
    this.#enter();
    this.#space();
    if (this.#skip("}")) return object;
    for (;;) {
      this.#space();
      if (this.#text.charAt(this.#at) !== '"') throw this.#unexpected("looking for beginning of object key string");
      const key = this.#string();
      this.#path.push(key);
      if (seen.has(key)) this.#report();
      if (this.#met) this.#met(pathText(this.#path), seen.has(key));
      seen.add(key);
      this.#space();
      if (!this.#skip(":")) throw this.#unexpected("after object key");
      const value = this.#value("looking for beginning of value");
      this.#path.pop();
      if (key === "__proto__") Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
      else object[key] = value;
      this.#space();
      if (this.#skip("}")) return object;
      if (!this.#skip(",")) throw this.#unexpected("after object key:value pair");
    }
  }

  #array(): unknown[] {
    const items: unknown[] = [];
    this.#enter();
    this.#space();
    if (this.#skip("]")) return items;
    for (;;) {
      this.#path.push(items.length);
      items.push(this.#value("looking for beginning of value"));
      this.#path.pop();
      this.#space();
      if (this.#skip("]")) return items;
      if (!this.#skip(",")) throw this.#unexpected("after array element");
    }
  }

  #string(): string {
    const start = this.#at++;
    for (; ; this.#at++) {
      const c = this.#text.charAt(this.#at);
      if (c === '"') break;
      if (c === "" || c < " ") throw this.#unexpected("in string literal");
      if (c === "\\") this.#escape();
    }
    this.#at++;
    return (JSON.parse(this.#text.slice(start, this.#at)) as string).toWellFormed();
  }

  #escape(): void {
    this.#at++;
    if (this.#text.charAt(this.#at) === "u") {
      for (let i = 0; i < 4; i++) {
        this.#at++;
        if (!/^[0-9a-fA-F]$/.test(this.#text.charAt(this.#at))) throw this.#unexpected("in \\u hexadecimal character escape");
      }
    } else if (!/^["\\/bfnrt]$/.test(this.#text.charAt(this.#at))) throw this.#unexpected("in string escape code");
  }

  #number(): number | JsonNumber {
    numberPattern.lastIndex = this.#at;
    const text = numberPattern.exec(this.#text)?.[0];
    if (text === undefined) {
      this.#at++;
      throw this.#unexpected("in numeric literal");
    }
    this.#at += text.length;
    const next = this.#text.charAt(this.#at);
    if (next === "." || next === "e" || next === "E") {
      this.#at++;
      if (next !== "." && /^[+-]$/.test(this.#text.charAt(this.#at))) this.#at++;
      throw this.#unexpected(next === "." ? "after decimal point in numeric literal" : "in exponent of numeric literal");
    }
    return /^-?\d{1,15}$/.test(text) ? Number(text) : new JsonNumber(text);
  }

  #literal<T>(word: string, value: T): T {
    for (let i = 1; i < word.length; i++) {
      this.#at++;
      if (this.#text.charAt(this.#at) !== word.charAt(i)) throw this.#unexpected(`in literal ${word} (expecting '${word.charAt(i)}')`);
    }
    this.#at++;
    return value;
  }

  #enter(): void {
    this.#at++;
    if (this.#path.length >= maxNesting) throw tooDeep();
  }

  #space(): void {
    while (" \t\r\n".includes(this.#text.charAt(this.#at) || "x")) this.#at++;
  }

  #skip(c: string): boolean {
    if (this.#text.charAt(this.#at) !== c) return false;
    this.#at++;
    return true;
  }

  #report(): void {
    if (this.#duplicates.size >= maxDuplicates || this.#duplicateCharacters > maxDuplicateCharacters) return;
    const path = pathText(this.#path);
    this.#duplicateCharacters += path.length;
    this.#duplicates.add(path);
  }

  #unexpected(context: string): JsonSyntaxError {
    const c = this.#text.charAt(this.#at);
    if (c === "") return new JsonSyntaxError("unexpected end of JSON input");
    const shown = c === "'" ? "\\'" : c === '"' ? '"' : goEscaped(c);
    return new JsonSyntaxError(`invalid character '${shown}' ${context}`);
  }
}

const goNames: Readonly<Record<string, string>> = { "\u0007": "\\a", "\v": "\\v", "\u007f": "\\x7f" };

/** A character as Go quotes it. */
const goEscaped = (c: string): string => goNames[c] ?? JSON.stringify(c).slice(1, -1).replace("\\u00", "\\x");

/** "spec.containers[0].name". */
export function pathText(path: readonly (string | number)[]): string {
  let text = "";
  for (const step of path) text += typeof step === "number" ? `[${step}]` : text === "" ? step : `.${step}`;
  return text;
}
