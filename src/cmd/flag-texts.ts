// The flags of a command as /flagz shows them: durations and lists in Go's notation, what is not given empty. None of them
// holds a secret.
import { formatDuration } from "../api/meta/time.ts";
import { durationMs, type Flags } from "../base/flags.ts";

export function flagTexts(flags: Flags, values: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const textOf = (name: string): string => {
    const value = values[name];
    if (value === undefined) return "";
    if (flags[name]?.type === durationMs) return formatDuration(Number(value));
    if (Array.isArray(value)) return `[${value.join(",")}]`;
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  };
  return Object.fromEntries(Object.keys(flags).map((name) => [name, textOf(name)]));
}
