// Durations as Go writes them: "1h2m3.5s", "500ms". Flags, configuration files and fields of the API have them in this form;
// the program reckons in milliseconds, with nanoseconds as a fraction.

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Go counts nanoseconds in 64 bits: some 292 years. */
const longestMs = 2 ** 63 / 1e6;

/** Milliseconds of a Go duration ("1h2m3s", "1.5h", "-3ms"); undefined when the text is none. */
export function parseDuration(text: string): number | undefined {
  const sign = text.startsWith("-") ? -1 : 1;
  const rest = text.replace(/^[+-]/, "");
  if (rest === "0") return 0;
  if (!/^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(rest)) return undefined;
  let total = 0;
  for (const [, amount, unit = ""] of rest.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g))
    total += Number(amount) * (unitMs[unit] ?? 0);
  return total <= longestMs ? sign * total : undefined;
}

/** A duration as Go writes it: 90000 is "1m30s", 1500 is "1.5s", 0.5 is "500µs". */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return "0s";
  const sign = durationMs < 0 ? "-" : "";
  const nanos = Math.round(Math.abs(durationMs) * 1e6);
  if (nanos < 1000) return `${sign}${nanos}ns`;
  if (nanos < 1e6) return `${sign}${decimal(nanos, 1e3)}µs`;
  if (nanos < 1e9) return `${sign}${decimal(nanos, 1e6)}ms`;
  const wholeSeconds = Math.floor(nanos / 1e9);
  const hours = Math.floor(wholeSeconds / 3600);
  const minutes = Math.floor((wholeSeconds % 3600) / 60);
  const seconds = `${decimal((wholeSeconds % 60) * 1e9 + (nanos % 1e9), 1e9)}s`;
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${sign}${minutes}m${seconds}` : `${sign}${seconds}`;
}

function decimal(nanos: number, unit: number): string {
  const fraction = String(nanos % unit)
    .padStart(Math.log10(unit), "0")
    .replace(/0+$/, "");
  return `${Math.floor(nanos / unit)}${fraction === "" ? "" : `.${fraction}`}`;
}
