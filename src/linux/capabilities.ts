// Which Linux capabilities this process has. Containers and restricted machines lack some even for root, and what needs them
// must be arranged otherwise: without CAP_SYS_RESOURCE, for example, oom_score_adj cannot be lowered.
import { readFile } from "node:fs/promises";

/** The capabilities this project asks about, by their bit (linux/capability.h). */
const bits = { NET_ADMIN: 12, SYS_MODULE: 16, SYS_CHROOT: 18, SYS_PTRACE: 19, SYS_ADMIN: 21, SYS_RESOURCE: 24, BPF: 39 } as const;

export type Capability = keyof typeof bits;

/** The effective capabilities of this process; none on systems without /proc. */
export async function effectiveCapabilities(): Promise<ReadonlySet<Capability>> {
  try {
    return parseEffectiveCapabilities(await readFile("/proc/self/status", "utf8"));
  } catch {
    return new Set(); // not Linux
  }
}

/** Reads the CapEff line of /proc/<pid>/status. */
export function parseEffectiveCapabilities(status: string): ReadonlySet<Capability> {
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  const names = Object.keys(bits) as Capability[];
  return new Set(names.filter((name) => (mask >> BigInt(bits[name])) & 1n));
}
