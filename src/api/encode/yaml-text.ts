// YAML texts as kubectl and the API server read them: YAML 1.1 words and numbers (yes, off, 0644 is 420), timestamps as
// plain texts, merge keys, keys as strings. The parser gives the structure; scalars are resolved here, by the rules of the
// Go library that upstream uses, which differ from those of YAML 1.1 proper (no base-60 numbers).
import { Composer, type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, Scalar } from "yaml";
import { nearestInteger } from "../meta/go-number.ts";
import { JsonSyntaxError, type ParsedText, parseJson, withPlainNumbers } from "./json-text.ts";
import { maxNesting } from "./nesting.ts";
import { YamlLimitError, yamlTokens } from "./yaml-nesting.ts";
import { yamlProblemText } from "./yaml-problems.ts";

/** The library's own functions, for those who load it late: imported dynamically it has no names in the bundle, being CommonJS. */
export { parse, stringify } from "yaml";

/** A text that is no YAML. */
export class YamlSyntaxError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "YamlSyntaxError";
  }
}

/** Bounds on the values made from aliases, and on the characters in them: a few lines could ask for billions of either. */
const maxValues = 200_000;
const maxCharacters = 8 * 1024 * 1024;

const parseOptions = { schema: "failsafe", uniqueKeys: false, strict: false, version: "1.1", logLevel: "silent" } as const;

/** Parses the first document of a text: what comes after it is not looked at. Keys given twice are reported as upstream words it. Throws YamlSyntaxError. */
export function parseYaml(text: string): ParsedText {
  const value = plainJson(text);
  if (value !== undefined) return { value, duplicates: [] };
  const lines = new LineCounter();
  for (const document of composeDocuments(text, lines)) return parsedDocument(document, text, lines);
  return { value: null, duplicates: [] };
}

/** Parses every document of a text; those without content are left out. Throws YamlSyntaxError, also for what nests too deep. */
export function parseYamlDocuments(text: string): ParsedText[] {
  const lines = new LineCounter();
  const texts: ParsedText[] = [];
  for (const document of composeDocuments(text, lines)) {
    const parsed = parsedDocument(document, text, lines);
    if (parsed.value !== null) texts.push(parsed);
  }
  return texts;
}

/** What JSON and YAML read differently, or what YAML has more to say of: tabs, breaks and halves of characters in texts. */
const notPlain = /[\t\u007f-\u009f\u2028\u2029\ufffe\uffff]|\\u[dD]|"<</;

/** The value of a text that is JSON and nothing more, as most that programs apply are: a hundredth of the work. */
function plainJson(text: string): unknown {
  if (!/^[ \r\n]*\{/.test(text) || notPlain.test(text)) return undefined;
  try {
    const { value, duplicates } = parseJson(text);
    return duplicates.length === 0 ? withPlainNumbers(value) : undefined;
  } catch (error) {
    if (error instanceof JsonSyntaxError) return undefined;
    throw error;
  }
}

function parsedDocument({ contents, errors }: Document.Parsed, text: string, lines: LineCounter): ParsedText {
  // A list or map in brackets is a document: what stands after it would be another one.
  const isFlow = (isMap(contents) || isSeq(contents)) && contents.flow === true;
  const end = isFlow && /[\]}]\s*$/.test(text.slice(0, contents.range[1])) ? contents.range[1] : Number.POSITIVE_INFINITY;
  const error = errors.find(({ pos }) => pos[0] < end);
  if (error) {
    const { code, message, pos } = error;
    throw new YamlSyntaxError(yamlProblemText({ code, message, line: lines.linePos(pos[0]).line }, text));
  }
  const conversion = new Conversion(lines);
  return { value: conversion.convert(contents), duplicates: conversion.duplicates };
}

/** All but tab, line breaks and next line. */
const controlCharacter = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f\ufffe\uffff]/;

function* composeDocuments(text: string, lines: LineCounter): Generator<Document.Parsed, void, void> {
  if (controlCharacter.test(text)) throw new YamlSyntaxError("yaml: control characters are not allowed");
  try {
    yield* new Composer(parseOptions).compose(yamlTokens(text, { maxValues, onNewLine: lines.addNewLine }));
  } catch (error) {
    throw error instanceof YamlLimitError ? new YamlSyntaxError(`yaml: ${error.message}`) : error;
  }
}

/** Makes plain JSON of a document's nodes. */
class Conversion {
  readonly duplicates: string[] = [];
  readonly #lines: LineCounter;
  readonly #anchors = new Map<string, Node>();
  /** Anchored nodes that are being converted. */
  readonly #open = new Set<Node>();
  #values = maxValues;
  #characters = maxCharacters;

  constructor(lines: LineCounter) {
    this.#lines = lines;
  }

  /** `depth`: of what is around the node. */
  convert(node: unknown, depth = 0): unknown {
    if (--this.#values < 0) throw excessiveAliasing();
    if (isAlias(node)) return this.#alias(node.source, depth);
    if (isScalar(node)) return this.#scalar(node);
    if (!isSeq(node) && !isMap(node)) return null;
    if (depth >= maxNesting) throw new YamlSyntaxError(`yaml: exceeded max depth of ${maxNesting}`);
    if (node.anchor) {
      this.#anchors.set(node.anchor, node);
      this.#open.add(node);
    }
    const value = isSeq(node) ? node.items.map((item) => this.convert(item, depth + 1)) : this.#map(node.items as Pair[], depth + 1);
    this.#open.delete(node);
    return value;
  }

  #scalar(node: Scalar): unknown {
    if (node.anchor) this.#anchors.set(node.anchor, node);
    const value = resolveScalar(node);
    if (typeof value === "string") this.#characters -= value.length;
    if (this.#characters < 0) throw excessiveAliasing();
    return value;
  }

  #alias(name: string, depth: number): unknown {
    const target = this.#anchors.get(name);
    if (!target) throw new YamlSyntaxError(`yaml: unknown anchor '${name}' referenced`);
    if (this.#open.has(target)) throw new YamlSyntaxError(`yaml: anchor '${name}' value contains itself`);
    return this.convert(target, depth);
  }

  #map(pairs: readonly Pair[], depth: number): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    const own = new Set<string>();
    for (const { key, value } of pairs) {
      if (isScalar(key) && key.source === "<<" && key.type === Scalar.PLAIN) {
        for (const source of [this.convert(value, depth)].flat())
          for (const [k, v] of Object.entries(source ?? {})) if (!own.has(k)) define(object, k, v);
        continue;
      }
      const name = keyText(this.convert(key, depth));
      if (own.has(name)) this.#report(key, name);
      own.add(name);
      define(object, name, this.convert(value, depth));
    }
    return object;
  }

  #report(key: unknown, name: string): void {
    const offset = isScalar(key) ? (key.range?.[0] ?? 0) : 0;
    this.duplicates.push(`line ${this.#lines.linePos(offset).line}: key ${JSON.stringify(name)} already set in map`);
  }
}

const excessiveAliasing = (): YamlSyntaxError => new YamlSyntaxError("yaml: document contains excessive aliasing");

function define(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__") Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  else object[key] = value;
}

/** Keys of JSON are strings: numbers and booleans are written out, null is "null". */
function keyText(key: unknown): string {
  if (typeof key === "object" && key !== null) throw new YamlSyntaxError("yaml: unsupported map key of type map or list");
  return String(key);
}

function resolveScalar(node: Scalar): unknown {
  const text = node.type === Scalar.PLAIN ? (node.source ?? "") : String(node.value ?? "");
  const tag = node.tag?.replace("tag:yaml.org,2002:", "!!");
  if (tag === "!!str" || (node.type !== Scalar.PLAIN && tag === undefined)) return text;
  if (tag === "!!binary") return decodeBinary(text);
  if (node.type !== Scalar.PLAIN && tag !== "!!int" && tag !== "!!float" && tag !== "!!bool") return text;
  return resolvePlain(text);
}

function decodeBinary(text: string): string {
  try {
    const bytes = Uint8Array.from(atob(text.replace(/\s/g, "")), (c) => c.charCodeAt(0));
    return new TextDecoder().decode(bytes);
  } catch {
    throw new YamlSyntaxError("yaml: !!binary value contains invalid base64 data");
  }
}

const words = new Map<string, unknown>();
for (const word of ["y", "yes", "true", "on"]) for (const form of forms(word)) words.set(form, true);
for (const word of ["n", "no", "false", "off"]) for (const form of forms(word)) words.set(form, false);
for (const form of ["", "~", ...forms("null")]) words.set(form, null);

function forms(word: string): string[] {
  return [word, word.charAt(0).toUpperCase() + word.slice(1), word.toUpperCase()];
}

const float = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/;

/** The value of a scalar without quotes or tag. */
export function resolvePlain(text: string): unknown {
  const word = words.get(text);
  if (word !== undefined) return word;
  if (!/^[-+.\d]/.test(text)) return text;
  const plain = text.startsWith(".") ? text : text.replaceAll("_", "");
  const integer = parseInteger(plain);
  if (integer !== undefined) return integer;
  const number = float.test(plain) ? Number(plain) : Number.NaN;
  return Number.isFinite(number) ? number : text;
}

function parseInteger(text: string): number | undefined {
  const match = /^([-+]?)(?:(0[xX][0-9a-fA-F]+)|(0[bB][01]+)|0[oO]?([0-7]+)|(0|[1-9]\d*))$/.exec(text);
  if (!match) return undefined;
  const [, sign, hex, binary, octal, decimal] = match;
  if (decimal !== undefined && decimal.length === 19 && sign !== "-") return nearestInteger(BigInt(decimal));
  const magnitude = octal === undefined ? Number(hex ?? binary ?? decimal) : Number.parseInt(octal, 8);
  return sign === "-" ? 0 - magnitude : magnitude;
}
