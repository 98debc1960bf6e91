// What went through the network interfaces of a network namespace: /proc/<pid>/net/dev of any process in it.
import { hostFile } from "./host-file.ts";

export interface InterfaceUsage {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

/** Of the namespace of a process ("self" for our own), without loopback; empty when there is no such process. */
export async function networkUsage(pid: number | "self"): Promise<readonly InterfaceUsage[]> {
  return parseNetDev(await hostFile(`/proc/${pid}/net/dev`));
}

/** Two lines of headings, then "name: eight numbers of what was received, eight of what was sent". */
export function parseNetDev(table: string): readonly InterfaceUsage[] {
  return table
    .split("\n")
    .slice(2)
    .flatMap((line) => {
      const colon = line.lastIndexOf(":");
      const name = line.slice(0, Math.max(0, colon)).trim();
      const at = line
        .slice(colon + 1)
        .trim()
        .split(/\s+/)
        .map(Number);
      if (name === "" || name === "lo" || at.length < 12) return [];
      return [
        {
          ...{ name, rxBytes: at[0] ?? 0, rxPackets: at[1] ?? 0, rxErrors: at[2] ?? 0, rxDropped: at[3] ?? 0 },
          ...{ txBytes: at[8] ?? 0, txPackets: at[9] ?? 0, txErrors: at[10] ?? 0, txDropped: at[11] ?? 0 },
        },
      ];
    });
}
