// Checksums of upstream's checkpoints: the 32-bit FNV-1a hash of the structure as Go's spew package prints it, with types
// ("(string)static", "map[a:1 b:2]"). Files written here can be read by upstream's kubelet, and the other way round.
import { fnv1a } from "../runtime/labels.ts";

export function goChecksum(printed: string): number {
  // Over bytes, not over UTF-16 code units.
  return fnv1a(Buffer.from(printed).toString("latin1"));
}

/** Keys are sorted, numbers as such; without a map, what Go prints for none. */
export function goMap<T>(entries: Readonly<Record<string, T>> | undefined, print: (value: T) => string): string {
  if (!entries) return "<nil>";
  const keys = Object.keys(entries).sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : 1));
  return `map[${keys.map((key) => `${key}:${print(entries[key] as T)}`).join(" ")}]`;
}

export function goList<T>(items: readonly T[] | null | undefined, print: (item: T) => string = String): string {
  return items ? `[${items.map(print).join(" ")}]` : "<nil>";
}
