// The extension of functions on texts, in upstream's version 2 and the costs that Kubernetes charges: charAt, indexOf,
// lastIndexOf, lowerAscii, upperAscii, replace, split, substring, trim, join, format and strings.quote. Positions count
// characters (code points).

import { CelError, exceededBudget } from "../cel-error.ts";
import { actualSize, costBeyond, deepTraversalCost, traversalOf } from "../cost/actual.ts";
import { sameSizeEstimate, traversalEstimate } from "../cost/call-estimates.ts";
import { addRanges, multiplyRanges, type Range, scaleRange, traversalFactor } from "../cost/estimates.ts";
import { goText } from "../go-text.ts";
import type { CelCallEstimate, CelCallSite, CelLibrary, CelOverload } from "../library.ts";
import { maxCelCost, maxTextSize } from "../limits.ts";
import { characters } from "../source.ts";
import { type CelType, intType, listOf, stringType } from "../types.ts";
import { CelArray, type CelList, type CelValue } from "../values.ts";
import { formatTexts, formatValidator } from "./format.ts";

const outOfRange = (index: bigint): CelError => new CelError(`index out of range: ${index}`);

const characterSize = (text: string, at: number): number => ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);

/** Where so many characters of a text end; undefined where it has fewer. Makes nothing: such calls may cost as little as 1. */
function endOf(text: string, count: bigint): number | undefined {
  if (count > text.length) return undefined;
  let at = 0;
  for (let left = Number(count); left > 0; left--) {
    if (at >= text.length) return undefined;
    at += characterSize(text, at);
  }
  return at;
}

function charAt(text: string, index: bigint): string {
  const at = index < 0n ? undefined : endOf(text, index);
  if (at === undefined) throw outOfRange(index);
  return text.slice(at, at + characterSize(text, at));
}

function indexOf(text: string, part: string, offset = 0n): bigint {
  if (part === "") return offset;
  if (offset < 0n) throw outOfRange(offset);
  const from = endOf(text, offset);
  if (from === undefined || from === text.length) return -1n;
  const found = text.indexOf(part, from);
  return found < 0 ? -1n : BigInt(characters(text.slice(0, found)));
}

function lastIndexOf(text: string, part: string, offset?: bigint): bigint {
  if (part === "") return offset ?? BigInt(characters(text));
  if (offset !== undefined && offset < 0n) throw outOfRange(offset);
  const from = offset === undefined ? text.length : endOf(text, offset);
  if (from === undefined || (offset !== undefined && from === text.length)) return -1n;
  const found = text.lastIndexOf(part, from);
  return found < 0 ? -1n : BigInt(characters(text.slice(0, found)));
}

/** Upstream would go on to whatever memory there is. */
function checkSize(size: number): void {
  if (size > maxTextSize) throw exceededBudget();
}

/** `limit` negative: all. */
function replace(text: string, old: string, by: string, limit = -1n): string {
  if (old === by || limit === 0n) return text;
  const parts = old === "" ? ["", ...text, ""] : text.split(old);
  const count = limit < 0n ? parts.length - 1 : Math.min(Number(limit), parts.length - 1);
  checkSize(text.length + count * (by.length - old.length));
  let result = parts[0] ?? "";
  for (let index = 1; index < parts.length; index++) result += (index <= count ? by : old) + parts[index];
  return result;
}

/** `limit` negative: all. */
function split(text: string, separator: string, limit = -1n): CelList {
  if (limit === 0n) return new CelArray([]);
  const parts = separator === "" ? [...text] : text.split(separator);
  if (limit < 0n || parts.length <= limit) return new CelArray(parts);
  const first = parts.slice(0, Number(limit) - 1);
  return new CelArray([...first, parts.slice(Number(limit) - 1).join(separator)]);
}

function substring(text: string, start: bigint, end?: bigint): string {
  if (end !== undefined && start > end) throw new CelError(`invalid substring range. start: ${start}, end: ${end}`);
  const from = start < 0n ? undefined : endOf(text, start);
  if (from === undefined) throw outOfRange(start);
  if (end === undefined) return text.slice(from);
  const to = endOf(text, end);
  if (to === undefined) throw outOfRange(end);
  return text.slice(from, to);
}

const goSpace = /[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** From both ends: an expression for the space at the end would be tried anew at each space of a long text. */
function trim(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && goSpace.test(text.charAt(start))) start++;
  while (end > start && goSpace.test(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}

function join(list: CelList, separator = ""): string {
  checkSize(list.size * separator.length);
  const texts: string[] = [];
  let size = 0;
  for (const item of list) {
    if (typeof item !== "string") throw new CelError(`join: invalid input: ${goText(item)}`);
    size += item.length + separator.length;
    texts.push(item);
  }
  checkSize(size);
  return texts.join(separator);
}

const quoted: Readonly<Record<string, string>> = {
  "\u0007": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"',
}; // biome-ignore format: a table

function quote(text: string): string {
  return `"${text.toWellFormed().replace(/[\x07\x08\f\n\r\t\v\\"]/g, (char) => quoted[char] ?? char)}"`;
}

interface Extra {
  readonly cost?: NonNullable<CelOverload["cost"]>;
  readonly estimate?: NonNullable<CelOverload["estimate"]>;
}

/** A member function of texts. */
const on = (
  id: string,
  types: readonly CelType[],
  result: CelType,
  of: (...args: never[]) => CelValue,
  extra: Extra = {},
): CelOverload => ({
  id,
  member: true,
  parameters: types,
  result,
  call: (args) => of(...(args as never[])),
  ...extra,
});

const reading: Extra = { cost: traversalOf(0), estimate: sameSizeEstimate(0) };
const searching: Extra = { cost: ([text]) => deepTraversalCost(text ?? null), estimate: traversalEstimate(0) };
const replacing: Extra = {
  cost: (args, result) => traversalOf(0, 2)(args) + costBeyond(result, args[0] ?? null),
  estimate: replaceEstimate,
};
const splitting: Extra = { cost: traversalOf(0, 2), estimate: splitEstimate };
const joining: Extra = { cost: (_, result) => Math.ceil(actualSize(result) * 2 * traversalFactor), estimate: joinEstimate };

function replaceEstimate({ target, args }: CelCallSite): CelCallEstimate | undefined {
  const [old, by] = [args[0]?.size, args[1]?.size];
  if (!target || !old || !by) return undefined;
  const { size } = target;
  const most = mostReplaced(size.max, old.min, by.max);
  const least = mostReplaced(size.min, old.max, by.min, true);
  const count: Range = { min: least.count, max: most.count };
  const resultSize = addRanges(multiplyRanges(count, by), { min: least.kept, max: most.kept });
  return { cost: scaleRange(size, 2 * traversalFactor), resultSize };
}

/** How many replacements make the longest (shortest) result, and what stays of the text itself. */
function mostReplaced(size: number, old: number, by: number, isLeast = false): { readonly count: number; readonly kept: number } {
  if (old === 0) return { count: size < maxCelCost ? size + 1 : size, kept: size };
  if (isLeast ? old <= by : by <= old) return { count: 0, kept: size };
  return { count: Math.ceil(size / old), kept: 0 };
}

function splitEstimate({ target, args }: CelCallSite): CelCallEstimate | undefined {
  if (!target) return undefined;
  const limit = args[1]?.literal;
  const max = typeof limit === "bigint" ? (limit < 0n ? maxCelCost : Number(limit)) : target.size.max;
  return { cost: scaleRange(target.size, 2 * traversalFactor), resultSize: { min: 0, max } };
}

function joinEstimate({ target, args }: CelCallSite): CelCallEstimate | undefined {
  if (!target) return undefined;
  const element = target.element?.();
  let resultSize: Range = element ? multiplyRanges(target.size, element.size) : { min: 0, max: 0 };
  const separator = args[0];
  if (separator) {
    const count = { min: Math.max(target.size.min - 1, 0), max: Math.max(target.size.max - 1, 0) };
    resultSize = addRanges(resultSize, multiplyRanges(separator.size, count));
  }
  return { cost: scaleRange(resultSize, traversalFactor), resultSize };
}

function quoteEstimate({ args }: CelCallSite): CelCallEstimate | undefined {
  const size = args[0]?.size;
  if (!size) return undefined;
  return { cost: scaleRange(size, traversalFactor), resultSize: { min: size.min + 2, max: Math.min(size.max * 2 + 2, maxCelCost) } };
}

const [text, int, texts] = [stringType, intType, listOf(stringType)];
const lower = (value: string): string => value.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
const upper = (value: string): string => value.replace(/[a-z]+/g, (letters) => letters.toUpperCase());

export const strings: CelLibrary = {
  name: "cel.lib.ext.strings",
  functions: [
    { name: "charAt", overloads: [on("string_char_at_int", [text, int], text, charAt)] },
    {
      name: "indexOf",
      overloads: [
        on("string_index_of_string", [text, text], int, indexOf, searching),
        on("string_index_of_string_int", [text, text, int], int, indexOf, searching),
      ],
    },
    {
      name: "lastIndexOf",
      overloads: [
        on("string_last_index_of_string", [text, text], int, lastIndexOf, searching),
        on("string_last_index_of_string_int", [text, text, int], int, lastIndexOf, searching),
      ],
    },
    { name: "lowerAscii", overloads: [on("string_lower_ascii", [text], text, lower, reading)] },
    { name: "upperAscii", overloads: [on("string_upper_ascii", [text], text, upper, reading)] },
    {
      name: "replace",
      overloads: [
        on("string_replace_string_string", [text, text, text], text, replace, replacing),
        on("string_replace_string_string_int", [text, text, text, int], text, replace, replacing),
      ],
    },
    {
      name: "split",
      overloads: [
        on("string_split_string", [text, text], texts, split, splitting),
        on("string_split_string_int", [text, text, int], texts, split, splitting),
      ],
    },
    {
      name: "substring",
      overloads: [
        on("string_substring_int", [text, int], text, substring, reading),
        on("string_substring_int_int", [text, int, int], text, substring, reading),
      ],
    },
    { name: "trim", overloads: [on("string_trim", [text], text, trim, reading)] },
    {
      name: "join",
      overloads: [on("list_join", [texts], text, join, joining), on("list_join_string", [texts, text], text, join, joining)],
    },
    {
      name: "format",
      overloads: [
        on("string_format", [text, listOf({ kind: "dyn" })], text, formatTexts, {
          cost: (args, result) => traversalOf(0)(args) + costBeyond(result, args[0] ?? null),
          estimate: traversalEstimate(0),
        }),
      ],
    },
    {
      name: "strings.quote",
      overloads: [
        {
          id: "strings_quote",
          parameters: [text],
          result: text,
          call: ([value]) => quote(value as string),
          cost: traversalOf(0),
          estimate: quoteEstimate,
        },
      ],
    },
  ],
  validators: [formatValidator],
};
