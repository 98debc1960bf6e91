// Durations as people read them: two or three significant figures, the finer units dropped as the duration grows.

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const year = 365 * day;

/** "5s", "2m30s", "3h5m", "6d4h", "2y10d"; "<invalid>" for times that lie in the future by more than clocks differ. */
export function humanDuration(durationMs: number): string {
  const seconds = Math.trunc(durationMs / second);
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (durationMs < 2 * minute) return `${seconds}s`;
  if (durationMs < 10 * minute) return twoUnits(durationMs, [minute, "m"], [second, "s"]);
  if (durationMs < 3 * hour) return `${Math.floor(durationMs / minute)}m`;
  if (durationMs < 8 * hour) return twoUnits(durationMs, [hour, "h"], [minute, "m"]);
  if (durationMs < 2 * day) return `${Math.floor(durationMs / hour)}h`;
  if (durationMs < 8 * day) return twoUnits(durationMs, [day, "d"], [hour, "h"]);
  if (durationMs < 2 * year) return `${Math.floor(durationMs / day)}d`;
  if (durationMs < 8 * year) return twoUnits(durationMs, [year, "y"], [day, "d"]);
  return `${Math.floor(durationMs / year)}y`;
}

type Unit = readonly [ms: number, letter: string];

function twoUnits(durationMs: number, [ms, letter]: Unit, [fineMs, fineLetter]: Unit): string {
  const fine = Math.floor((durationMs % ms) / fineMs);
  return `${Math.floor(durationMs / ms)}${letter}${fine === 0 ? "" : `${fine}${fineLetter}`}`;
}
