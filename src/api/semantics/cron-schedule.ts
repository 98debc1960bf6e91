// Cron schedules as CronJobs write them: five fields with lists, ranges, steps and names, "@daily" and its like, and
// "@every 1h30m". Parsing says what is wrong in the words of upstream's parser.

/** A text that is no schedule; the message is upstream's. */
export class CronError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "CronError";
  }
}

/** The values of each field at which the schedule fires. */
export interface CronFields {
  readonly kind: "fields";
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly daysOfMonth: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly daysOfWeek: ReadonlySet<number>;
  /** The field was "*": where only one of the two kinds of days is, the other alone decides. */
  readonly anyDayOfMonth: boolean;
  readonly anyDayOfWeek: boolean;
}

export type CronSchedule =
  | CronFields
  /** Every so many seconds since the last time. */
  | { readonly kind: "interval"; readonly seconds: number };

interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const monthNames = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const bounds = {
  minutes: { min: 0, max: 59 },
  hours: { min: 0, max: 23 },
  daysOfMonth: { min: 1, max: 31 },
  months: { min: 1, max: 12, names: monthNames },
  daysOfWeek: { min: 0, max: 6, names: dayNames },
} as const satisfies Readonly<Record<string, Bounds>>;

const macros: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

/** Parses a schedule, without the time zone that old ones carry. Throws CronError. */
export function parseCronSchedule(text: string): CronSchedule {
  if (text === "") throw new CronError("empty spec string");
  const schedule = /^(CRON_)?TZ=/.test(text) ? text.slice(text.indexOf(" ")).trim() : text;
  if (schedule.startsWith("@every ")) return { kind: "interval", seconds: parseInterval(schedule) };
  if (schedule.startsWith("@") && macros[schedule] === undefined) throw new CronError(`unrecognized descriptor: ${schedule}`);
  return parseFields(macros[schedule] ?? schedule);
}

function parseFields(text: string): CronFields {
  const fields = text.split(/\s+/).filter((field) => field !== "");
  if (fields.length !== 5) throw new CronError(`expected exactly 5 fields, found ${fields.length}: [${fields.join(" ")}]`);
  const [minutes = "", hours = "", daysOfMonth = "", months = "", daysOfWeek = ""] = fields;
  return {
    kind: "fields",
    minutes: parseField(minutes, bounds.minutes).values,
    hours: parseField(hours, bounds.hours).values,
    ...named("daysOfMonth", "anyDayOfMonth", parseField(daysOfMonth, bounds.daysOfMonth)),
    months: parseField(months, bounds.months).values,
    ...named("daysOfWeek", "anyDayOfWeek", parseField(daysOfWeek, bounds.daysOfWeek)),
  };
}

interface ParsedField {
  readonly values: ReadonlySet<number>;
  readonly any: boolean;
}

const named = <V extends string, A extends string>(values: V, any: A, field: ParsedField) =>
  ({ [values]: field.values, [any]: field.any }) as Readonly<Record<V, ReadonlySet<number>>> & Readonly<Record<A, boolean>>;

function parseField(text: string, limits: Bounds): ParsedField {
  const values = new Set<number>();
  let any = false;
  for (const range of text.split(",")) {
    if (range === "") continue;
    const { start, end, step, star } = parseRange(range, limits);
    for (let value = start; value <= end; value += step) values.add(value);
    any ||= star;
  }
  return { values, any };
}

interface Range {
  readonly start: number;
  readonly end: number;
  readonly step: number;
  readonly star: boolean;
}

function parseRange(text: string, limits: Bounds): Range {
  const [range = "", stepText, ...slashes] = text.split("/");
  const [low = "", high, ...hyphens] = range.split("-");
  const star = low === "*" || low === "?";
  let start = limits.min;
  let end = limits.max;
  if (!star) {
    start = parseValue(low, limits);
    end = high === undefined ? start : parseValue(high, limits);
    if (hyphens.length > 0) throw new CronError(`too many hyphens: ${text}`);
  }
  if (slashes.length > 0) throw new CronError(`too many slashes: ${text}`);
  const step = stepText === undefined ? 1 : parseNumber(stepText);
  if (stepText !== undefined && high === undefined) end = limits.max;
  if (start < limits.min) throw new CronError(`beginning of range (${start}) below minimum (${limits.min}): ${text}`);
  if (end > limits.max) throw new CronError(`end of range (${end}) above maximum (${limits.max}): ${text}`);
  if (start > end) throw new CronError(`beginning of range (${start}) beyond end of range (${end}): ${text}`);
  if (step === 0) throw new CronError(`step of range should be a positive number: ${text}`);
  return { start, end, step, star: star && step === 1 };
}

function parseValue(text: string, { names, min }: Bounds): number {
  const index = names?.indexOf(text.toLowerCase()) ?? -1;
  return index >= 0 ? index + min : parseNumber(text);
}

function parseNumber(text: string): number {
  if (!/^[+-]?\d+$/.test(text))
    throw new CronError(`failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  if (Number(text) < 0) throw new CronError(`negative number (${Number(text)}) not allowed: ${text}`);
  return Number(text);
}

const unitSeconds: Readonly<Record<string, number>> = { ns: 1e-9, us: 1e-6, µs: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };

/** "@every 1h30m": whole seconds, at least one. */
function parseInterval(text: string): number {
  const duration = text.slice("@every ".length);
  const valid = /^[+-]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$/.test(duration);
  if (!valid) throw new CronError(`failed to parse duration ${text}: time: invalid duration ${JSON.stringify(duration)}`);
  let seconds = 0;
  for (const [, number = "", unit = ""] of duration.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g))
    seconds += Number(number) * (unitSeconds[unit] ?? 0);
  return Math.max(1, Math.floor(duration.startsWith("-") ? 0 : seconds));
}
