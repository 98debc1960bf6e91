// The flags of the log that all components share: -v, --vmodule and --logging-format, with upstream's names.
import { FlagError, type FlagType, type FlagValues, flag, integer, oneOf } from "./flags.ts";
import type { LogOptions, ModuleVerbosity } from "./log.ts";

const modules: FlagType<readonly ModuleVerbosity[]> = {
  placeholder: "pattern=N,...",
  parse(value, previous) {
    const pairs = value.split(",").filter((pair) => pair.trim() !== "");
    return [...(previous ?? []), ...pairs.map(parsePair)];
  },
};

function parsePair(pair: string): ModuleVerbosity {
  const [, pattern = "", verbosity = ""] = /^([^=]*)=(.*)$/.exec(pair.trim()) ?? [];
  if (pattern === "" || !/^\d+$/.test(verbosity)) throw new Error(`expected pattern=N, found ${JSON.stringify(pair)}`);
  return { pattern, verbosity: Number(verbosity) };
}

export const formatFlag = flag(oneOf("text", "json"), "text", "form of the log: lines of text, or a JSON object on each line");
export const vmoduleFlag = flag(modules, [], "verbosity of parts of the log whose names fit a pattern: scheduler=4,kubelet*=2 (text only)");

/** Of a component that has no configuration file. */
export const logFlags = {
  "logging-format": formatFlag,
  vmodule: vmoduleFlag,
  v: flag(integer({ min: 0 }), 0, "verbosity of the log", "v"),
};

/** Throws FlagError where they do not go together. */
export function logOptionsOf(values: FlagValues<typeof logFlags>): LogOptions {
  const { vmodule, "logging-format": format } = values;
  if (format === "json" && vmodule.length > 0) throw new FlagError("--vmodule: only supported for text log format");
  return { verbosity: values.v, format, modules: vmodule };
}
