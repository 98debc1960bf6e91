// Offsets of IANA time zones, from the data that comes with the JavaScript engine.

/** How far a zone's clocks are ahead of UTC at a time. */
export interface TimeZone {
  readonly name: string;
  /** Milliseconds, for a time in milliseconds since the epoch. */
  offsetMs(atMs: number): number;
}

export const utc: TimeZone = { name: "UTC", offsetMs: () => 0 };

/** At most one entry for each name of the zone database. */
const known = new Map<string, TimeZone>([
  ["", utc],
  ["UTC", utc],
  ["Etc/UTC", utc],
]);

/** The zone of this name; undefined where there is none. */
export function timeZone(name: string): TimeZone | undefined {
  const zone = known.get(name) ?? load(name);
  if (zone) known.set(name, zone);
  return zone;
}

function load(name: string): TimeZone | undefined {
  // Not a name of the database, though engines take it as a zone: "+02:00".
  if (!/^[A-Za-z]/.test(name)) return undefined;
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-US", { timeZone: name, timeZoneName: "longOffset" });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  return { name, offsetMs: (atMs) => parseOffset(format.format(atMs)) };
}

/** Of "1/1/2026, GMT+05:30"; "GMT" alone is 0. */
function parseOffset(text: string): number {
  const match = /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(text);
  if (!match) return 0;
  const seconds = Number(match[2]) * 3600 + Number(match[3]) * 60 + Number(match[4] ?? 0);
  return (match[1] === "-" ? -seconds : seconds) * 1000;
}
