// Ports on which programs of this machine listen at addresses that others can reach, from /proc/net.
import { hostFile } from "./host-file.ts";

const tables = [
  { file: "tcp", protocol: "TCP", state: "0A" },
  { file: "tcp6", protocol: "TCP", state: "0A" },
  { file: "udp", protocol: "UDP", state: "07" },
  { file: "udp6", protocol: "UDP", state: "07" },
] as const;

/** "TCP/22", "UDP/53" … */
export async function listeningPorts(): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  await Promise.all(
    tables.map(async ({ file, protocol, state }) => {
      for (const port of parseListening(await hostFile(`/proc/net/${file}`), state)) found.add(`${protocol}/${port}`);
    }),
  );
  return found;
}

/** Ports of one table in this state, but those of loopback addresses alone and those of connections. */
export function parseListening(table: string, state: string): readonly number[] {
  const found = new Set<number>();
  for (const line of table.split("\n").slice(1)) {
    const [, local = "", remote = "", lineState] = line.trim().split(/\s+/);
    const [address = "", port = "0"] = local.split(":");
    // A UDP socket that talks to one other serves nobody.
    if (lineState !== state || !remote.endsWith(":0000") || isLoopback(address)) continue;
    found.add(Number.parseInt(port, 16));
  }
  return [...found];
}

/** Addresses stand there as words in the machine's order of bytes: 127.0.0.1 is 0100007F on most. */
function isLoopback(hex: string): boolean {
  if (hex.length === 8) return hex.endsWith("7F");
  return hex === "00000000000000000000000001000000" || (hex.startsWith("0000000000000000FFFF0000") && hex.endsWith("7F"));
}
