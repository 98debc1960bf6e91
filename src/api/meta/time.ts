// Times and durations of the API. metav1.Time is RFC 3339 with whole seconds in UTC, metav1.MicroTime has six decimals;
// both are accepted with any offset and, as Go's parser does, with any number of decimals. Durations are in base/duration.ts.
import { formatMicroTime, formatTime } from "../../base/clock.ts";

const rfc3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|([+-])(\d\d):(\d\d))$/;

/**
 * Milliseconds since the epoch of an RFC 3339 time, with microseconds as a fraction; undefined for anything that Go does
 * not accept.
 */
export function parseTime(text: string): number | undefined {
  const match = rfc3339.exec(text);
  if (!match) return undefined;
  const part = (i: number): number => Number(match[i]);
  const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)];
  if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59) return undefined;
  if (day < 1 || day > daysIn(year, month)) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  const microseconds = Number((match[7] ?? "").padEnd(6, "0").slice(0, 6));
  return date.getTime() + microseconds / 1000 - offsetMs(match);
}

function offsetMs(match: RegExpExecArray): number {
  if (match[8] === "Z") return 0;
  const minutes = Number(match[10]) * 60 + Number(match[11]);
  return (match[9] === "-" ? -minutes : minutes) * 60_000;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

const canonicalTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const canonicalMicroTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

/** A time as the server stores it: whole seconds, UTC. Undefined when the text is no time. */
export function normalizeTime(text: string): string | undefined {
  const ms = parseTime(text);
  if (ms === undefined) return undefined;
  return canonicalTime.test(text) ? text : formatTime(Math.floor(ms / 1000) * 1000);
}

/** A time as the server stores it: six decimals, UTC. Undefined unless the text has exactly six decimals. */
export function normalizeMicroTime(text: string): string | undefined {
  const ms = parseTime(text);
  const fraction = /\.(\d{6})[Z+-]/.exec(text)?.[1];
  if (ms === undefined || fraction === undefined) return undefined;
  return canonicalMicroTime.test(text) ? text : `${formatMicroTime(Math.floor(ms / 1000) * 1000).slice(0, 20)}${fraction}Z`;
}

type Piece = readonly [layout: string, pattern: RegExp];

const datePieces: readonly Piece[] = [
  ["2006", /^\d{4}/],
  ["-", /^-/],
  ["01", /^\d\d/],
  ["-", /^-/],
  ["02", /^\d\d/],
  ["T", /^T/],
  ["15", /^\d\d/],
  [":", /^:/],
  ["04", /^\d\d/],
  [":", /^:/],
];
const zone: Piece = ["Z07:00", /^(?:Z|[+-]\d\d:\d\d)/];
const timePieces: readonly Piece[] = [...datePieces, ["05", /^\d\d(?:[.,]\d+)?/], zone];
const microTimePieces: readonly Piece[] = [...datePieces, ["05", /^\d\d/], [".000000", /^\.\d{6}/], zone];

/** Go's message for a text that is no time, or no MicroTime, as clients see it. */
export function timeProblem(text: string, micro = false): string {
  const pieces = micro ? microTimePieces : timePieces;
  const quoted = quote(text);
  const layout = quote(pieces.map(([piece]) => piece).join(""));
  let rest = text;
  for (const [piece, pattern] of pieces) {
    const match = pattern.exec(rest);
    if (!match) return `parsing time ${quoted} as ${layout}: cannot parse ${quote(rest)} as ${quote(piece)}`;
    rest = rest.slice(match[0].length);
  }
  if (rest !== "") return `parsing time ${quoted}: extra text: ${quote(rest)}`;
  return `parsing time ${quoted}: ${outOfRange(text)} out of range`;
}

/** As Go's package time quotes: all but printable ASCII by its bytes. */
function quote(text: string): string {
  const escaped = text.replace(/["\\]/g, "\\$&").replace(/[^ -\x7f]/gu, (char) => {
    const bytes = [...new TextEncoder().encode(char)];
    return bytes.map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  });
  return `"${escaped}"`;
}

function outOfRange(text: string): string {
  const [month, day] = [Number(text.slice(5, 7)), Number(text.slice(8, 10))];
  if (month < 1 || month > 12) return "month";
  if (Number(text.slice(11, 13)) > 23) return "hour";
  if (Number(text.slice(14, 16)) > 59) return "minute";
  if (Number(text.slice(17, 19)) > 59) return "second";
  return day < 1 || day > daysIn(Number(text.slice(0, 4)), month) ? "day" : "time zone offset hour";
}
