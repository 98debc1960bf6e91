// Structured log lines on standard error, in the form of Kubernetes' structured text logs, or of its JSON logs:
//   I1122 13:45:08.123456 scheduler] Bound pod pod="default/web-1" node="n1"
//   {"ts":1763819108123.456,"logger":"scheduler","msg":"Bound pod","v":0,"pod":"default/web-1","node":"n1"}
// Quiet by default: `info` with a verbosity above the configured -v is dropped before its values are formatted.
import { realClock } from "./clock.ts";

export type LogValues = Readonly<Record<string, unknown>>;

export interface Logger {
  /** A line about normal operation, shown when its verbosity (default 0) is at most the configured one. */
  info(message: string, values?: LogValues, verbosity?: number): void;
  warn(message: string, values?: LogValues): void;
  /** `values.error` may be an Error: its message and causes are shown. */
  error(message: string, values?: LogValues): void;
  /** Whether info at this verbosity is shown: ask before computing expensive values. */
  enabled(verbosity: number): boolean;
  /** The same logger under another component name. */
  named(component: string): Logger;
}

/** The verbosity of the loggers whose names fit a pattern; "*" and "?" stand for any characters and for one. */
export interface ModuleVerbosity {
  readonly pattern: string;
  readonly verbosity: number;
}

/** A verbosity that is set while loggers are in use; until then theirs counts. */
export class LogLevel {
  #current: number | undefined;

  get current(): number | undefined {
    return this.#current;
  }

  set(verbosity: number): void {
    this.#current = verbosity;
  }
}

export interface LogOptions {
  /** As upstream's -v: 0 is quiet, 2 is usual for servers, 4 is debugging. Default 0. */
  readonly verbosity?: number;
  /** Default "text". */
  readonly format?: "text" | "json";
  /** Verbosity of parts, by the names of their loggers. The first that fits counts. */
  readonly modules?: readonly ModuleVerbosity[];
  /** Goes before everything else, once it is set. Default none. */
  readonly level?: LogLevel;
  /** Where lines go; default standard error. */
  readonly write?: (line: string) => void;
}

export function createLogger(component: string, options: LogOptions = {}): Logger {
  const verbosity = verbosityOf(component, options);
  const { level } = options;
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  const lineOf = options.format === "json" ? jsonLine : textLine;
  const emit = (level: Level, message: string, values?: LogValues, at = 0): void =>
    write(`${lineOf({ level, component, message, at }, values)}\n`);
  return {
    info(message, values, at = 0) {
      if (at <= (level?.current ?? verbosity)) emit("I", message, values, at);
    },
    warn: (message, values) => emit("W", message, values),
    error: (message, values) => emit("E", message, values),
    enabled: (at) => at <= (level?.current ?? verbosity),
    named: (name) => createLogger(name, options),
  };
}

type Level = "I" | "W" | "E";

interface Line {
  readonly level: Level;
  readonly component: string;
  readonly message: string;
  /** The verbosity it is shown from. */
  readonly at: number;
}

function textLine({ level, component, message }: Line, values?: LogValues): string {
  let line = `${level}${stamp(realClock.now())} ${component}] ${message}`;
  for (const key in values) {
    const value = values[key];
    if (value !== undefined) line += ` ${key}=${show(value)}`;
  }
  return line;
}

/** As upstream, errors have "err" instead of a verbosity; warnings are told by their level, which it does not have. */
function jsonLine({ level, component, message, at }: Line, values: LogValues = {}): string {
  const { error, ...others } = values;
  const shown = Object.fromEntries(Object.entries(others).map(([key, value]) => [key, value instanceof Error ? errorText(value) : value]));
  return JSON.stringify({
    ts: realClock.now(),
    logger: component,
    msg: message,
    ...(level === "E" ? {} : { v: at }),
    ...(level === "W" ? { level: "warn" } : {}),
    ...(error === undefined ? {} : { err: errorText(error) }),
    ...(level === "E" && error === undefined ? { err: null } : {}),
    ...shown,
  });
}

function verbosityOf(component: string, { verbosity = 0, modules = [] }: LogOptions): number {
  const found = modules.find(({ pattern }) => patternOf(pattern).test(component));
  return found?.verbosity ?? verbosity;
}

const patternOf = (glob: string): RegExp =>
  new RegExp(
    `^${glob
      .replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replaceAll("*", ".*")
      .replaceAll("?", ".")}$`,
  );

/** Drops everything: for tests that do not look at logs. */
export const silentLogger: Logger = createLogger("", { verbosity: -1, write: () => undefined });

function stamp(nowMs: number): string {
  const t = new Date(nowMs).toISOString();
  return `${t.slice(5, 7)}${t.slice(8, 10)} ${t.slice(11, 23)}000`;
}

function show(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(errorText(value));
  return typeof value === "string" || typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** An error's message with those of its causes, on one line. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${errorText(error.cause)}`;
}
