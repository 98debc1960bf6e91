// What Go's YAML library looks at before it writes a text: how it could be written without being read as something else,
// which characters it escapes, and the order of keys.
import { resolvePlain } from "./yaml-text.ts";

/** How a text may be written. */
export interface AllowedStyles {
  readonly plain: boolean;
  readonly single: boolean;
  readonly literal: boolean;
}

/** The characters that end a line in YAML 1.1. */
export const isBreak = (character: string): boolean => /^[\n\r\u0085\u2028\u2029]$/.test(character);

/** Everything else is escaped: beyond the basic plane, too. */
const unprintable = /[^\n\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/;
const breaks = /[\n\r\u0085\u2028\u2029]/;
/** What would be read as more than a text at its beginning, or within it. */
const markAtStart = /^(?:---|\.\.\.|[#,[\]{}&*!|>'"%@`]|[?:-](?:[ \t]|$))/;
const markWithin = /:(?:[ \t]|$)|[ \t\n\r\u0085\u2028\u2029]#/;
const simple = /^[A-Za-z0-9_/.][A-Za-z0-9_/.-]*$/;

export function analyzeScalar(text: string): AllowedStyles {
  if (simple.test(text)) return { plain: !text.startsWith("..."), single: true, literal: true };
  if (text === "") return { plain: true, single: true, literal: false };
  const spaceBeforeBreak = / [\n\r\u0085\u2028\u2029]/.test(text);
  const spaceAfterBreak = /[\n\r\u0085\u2028\u2029] /.test(text);
  const special = spaceBeforeBreak || unprintable.test(text);
  return {
    plain: !special && !breaks.test(text) && !/^ | $/.test(text) && !markAtStart.test(text) && !markWithin.test(text),
    single: !special && !spaceAfterBreak,
    literal: !special && !text.endsWith(" "),
  };
}

const timestamp =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt]\d{1,2}:\d{1,2}:\d{1,2}(?:[.,]\d+)?(?:Z|[+-]\d\d:\d\d))| \d{1,2}:\d{1,2}:\d{1,2}(?:[.,]\d+)?)?$/;
const base60 = /^[-+]?\d[\d_]*(?::[0-5]?\d)+(?:\.[\d_]*)?$/;

/** Whether a text without quotes would be read as that text. */
export function readsAsText(text: string): boolean {
  if (typeof resolvePlain(text) !== "string") return false;
  return !/^[-+.\d]/.test(text) || !(isNotANumber(text) || base60.test(text) || isTimestamp(text));
}

const isNotANumber = (text: string): boolean => /^(?:\.(?:nan|NaN|NAN)|[-+]?\.(?:inf|Inf|INF))$/.test(text);

function isTimestamp(text: string): boolean {
  const match = timestamp.exec(text);
  if (!match) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const [, hours, minutes, seconds] = /[Tt ](\d+):(\d+):(\d+)/.exec(text) ?? [];
  const isTime = Number(hours ?? 0) < 24 && Number(minutes ?? 0) < 60 && Number(seconds ?? 0) < 60;
  return isTime && month >= 1 && month <= 12 && day >= 1 && day <= daysOf(year, month);
}

function daysOf(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

const escapes: Readonly<Record<string, string>> = {
  "\0": "0",
  "\u0007": "a",
  "\b": "b",
  "\t": "t",
  "\n": "n",
  "\v": "v",
  "\f": "f",
  "\r": "r",
  "\u001b": "e",
  '"': '"',
  "\\": "\\",
  "\u0085": "N",
  "\u00a0": "_",
  "\u2028": "L",
  "\u2029": "P",
};

/** A character as it stands in double quotes. `always`: also where it need not be escaped. */
export function escapeOf(character: string, always = false): string {
  const isSafe = !unprintable.test(character) && !isBreak(character) && character !== '"' && character !== "\\";
  if (isSafe && !always) return character;
  const short = escapes[character];
  if (short !== undefined) return `\\${short}`;
  const code = character.codePointAt(0) ?? 0;
  const [mark, digits] = code <= 0xff ? ["x", 2] : code <= 0xffff ? ["u", 4] : ["U", 8];
  return `\\${mark}${code.toString(16).toUpperCase().padStart(Number(digits), "0")}`;
}

const letter = /\p{L}/u;
const digit = /\p{Nd}/u;

/** Natural order: what is no letter first, digits by the numbers they make. */
export function compareKeys(a: string, b: string): number {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  const isLowSurrogate = (a.charCodeAt(i) & 0xfc00) === 0xdc00 || (b.charCodeAt(i) & 0xfc00) === 0xdc00;
  if (isLowSurrogate && i > 0) i--;
  const [left, right] = [a.codePointAt(i), b.codePointAt(i)];
  if (left === undefined || right === undefined) return a.length - b.length;
  const [l, r] = [String.fromCodePoint(left), String.fromCodePoint(right)];
  const [isLeft, isRight] = [letter.test(l), letter.test(r)];
  if (isLeft !== isRight) return isRight ? -1 : 1;
  if (isLeft) return left - right;
  return compareNumbers(a, b, i) || left - right;
}

/** Compares the numbers that begin where two texts differ; leading zeros count only within a number. */
function compareNumbers(a: string, b: string, at: number): number {
  const within = (a[at] === "0" || b[at] === "0") && /[1-9]0*$/.test(a.slice(0, at)) ? 1n : 0n;
  const read = (text: string): { readonly value: bigint; readonly end: number } => {
    let end = at;
    let value = within;
    for (; end < text.length && digit.test(text[end] ?? ""); end++) value = value * 10n + BigInt(text.charCodeAt(end) - 48);
    return { value, end };
  };
  const [left, right] = [read(a), read(b)];
  if (left.value !== right.value) return left.value < right.value ? -1 : 1;
  return left.end - right.end;
}
