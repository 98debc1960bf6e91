// Durations as Go writes them ("1m0s", "500ms"): configurations are shown and compared in this form.
const nsPerMs = 1_000_000;

/** Milliseconds in Go's notation. Parts below a nanosecond are dropped. */
export function goDuration(ms: number): string {
  const ns = Math.round(ms * nsPerMs);
  if (ns === 0) return "0s";
  const sign = ns < 0 ? "-" : "";
  const size = Math.abs(ns);
  if (size < 1_000) return `${sign}${size}ns`;
  if (size < nsPerMs) return `${sign}${size / 1_000}µs`;
  if (size < 1_000 * nsPerMs) return `${sign}${size / nsPerMs}ms`;
  const seconds = size / (1_000 * nsPerMs);
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const rest = Number((seconds % 60).toFixed(9));
  if (hours > 0) return `${sign}${hours}h${minutes}m${rest}s`;
  return minutes > 0 ? `${sign}${minutes}m${rest}s` : `${sign}${rest}s`;
}
