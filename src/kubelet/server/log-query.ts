// The queries of NodeLogQuery (`/logs/?query=kubelet&tailLines=100`): which services' or which file's log is wanted, and
// from when. What is wrong is told in upstream's words.
import { type FieldError, invalidValue, tooMany } from "../../api/meta/field-error.ts";
import { parseTime } from "../../api/meta/time.ts";

export interface LogQuery {
  /** Units of the journal, or names of log files of the services. */
  readonly services: readonly string[];
  readonly files: readonly string[];
  readonly sinceMs?: number;
  readonly untilMs?: number;
  readonly tailLines?: number;
  /** 0 is the present one, -1 the one before. */
  readonly boot?: number;
  readonly pattern?: string;
}

const maxServices = 4;
const maxServiceLength = 256;
const maxTailLines = 100_000;

/** Errors of the first kind make no query at all (400), those of the second one that is refused (406). */
export function parseLogQuery(parameters: URLSearchParams): {
  readonly query: LogQuery;
  readonly malformed: readonly FieldError[];
  readonly refused: readonly FieldError[];
} {
  const malformed: FieldError[] = [];
  const named = parameters.getAll("query");
  const files = named.filter((name) => /[/\\]/.test(name));
  const services = named.filter((name) => !/[/\\]/.test(name) && name.trim() !== "");
  if (named.length > 0 && files.length + services.length === 0) malformed.push(invalidValue("query", named, "query cannot be empty"));
  const time = (name: string): number | undefined => {
    const text = parameters.get(name);
    if (!text) return undefined;
    const ms = parseTime(text);
    if (ms === undefined) malformed.push(invalidValue(name, text, "invalid time format"));
    return ms;
  };
  const whole = (name: string): number | undefined => {
    const text = parameters.get(name);
    if (!text) return undefined;
    if (/^[+-]?\d{1,18}$/.test(text)) return Number(text);
    malformed.push(invalidValue(name, text, `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`));
    return undefined;
  };
  const optional = {
    sinceMs: time("sinceTime"),
    untilMs: time("untilTime"),
    boot: whole("boot"),
    tailLines: whole("tailLines"),
    pattern: parameters.get("pattern") || undefined,
  };
  const present = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  const query: LogQuery = { services, files, ...present };
  return { query, malformed, refused: malformed.length > 0 ? [] : refusals(query) };
}

export const hasOptions = ({ services: _services, files: _files, ...options }: LogQuery): boolean => Object.keys(options).length > 0;

function refusals(query: LogQuery): readonly FieldError[] {
  const { services, files, sinceMs, untilMs, boot, tailLines } = query;
  const errors: FieldError[] = [];
  for (const service of services) {
    if (service.length > maxServiceLength) errors.push(invalidValue("query", service, `length must be less than ${maxServiceLength}`));
    else if (/[^a-zA-Z\-_.:0-9@]/.test(service)) errors.push(invalidValue("query", service, "input contains unsupported characters"));
  }
  if (services.length > maxServices) errors.push(tooMany("query", services.length, maxServices));
  const list = (names: readonly string[]): string => `[${names.join(" ")}]`;
  if (files.length > 0 && services.length > 0)
    errors.push(invalidValue("query", `${list(files)}, ${list(services)}`, "cannot specify a file and service"));
  else if (files.length > 1) errors.push(invalidValue("query", files, "cannot specify more than one file"));
  else if (files.length === 1 && hasOptions(query)) errors.push(invalidValue("query", files, "cannot specify file with options"));
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs > untilMs)
    errors.push(invalidValue("untilTime", new Date(untilMs).toISOString(), "must be after `sinceTime`"));
  if (boot !== undefined && boot > 0) errors.push(invalidValue("boot", boot, "must be less than 1"));
  if (tailLines !== undefined && (tailLines < 0 || tailLines > maxTailLines))
    errors.push(invalidValue("tailLines", tailLines, `must be between 0 and ${maxTailLines}, inclusive`));
  return errors;
}
