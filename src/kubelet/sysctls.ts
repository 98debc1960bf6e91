// Which kernel parameters pods may set: the safe ones of this kernel, which belong to the pod's own namespaces and disturb no
// other pod, and those the administrator allows besides. One that belongs to a namespace the pod shares with the node is
// not its to set.
import type { Pod } from "../api/types/core-v1.ts";

type Namespace = "IPC" | "Net";

/** Safe ones with the kernel from which on they are namespaced. */
const safeSysctls: readonly (readonly [name: string, since: readonly [major: number, minor: number]])[] = [
  ["kernel.shm_rmid_forced", [0, 0]],
  ["net.ipv4.ip_local_port_range", [0, 0]],
  ["net.ipv4.tcp_syncookies", [0, 0]],
  ["net.ipv4.ping_group_range", [0, 0]],
  ["net.ipv4.ip_unprivileged_port_start", [0, 0]],
  ["net.ipv4.ip_local_reserved_ports", [3, 16]],
  ["net.ipv4.tcp_keepalive_time", [4, 5]],
  ["net.ipv4.tcp_fin_timeout", [4, 6]],
  ["net.ipv4.tcp_keepalive_intvl", [4, 5]],
  ["net.ipv4.tcp_keepalive_probes", [4, 5]],
  ["net.ipv4.tcp_rmem", [4, 15]],
  ["net.ipv4.tcp_wmem", [4, 15]],
];

const ipcSysctls: ReadonlySet<string> = new Set([
  ...["kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.shm"],
  ...["kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.msg"],
]);

export interface SysctlAllowlist {
  /** Why the pod must not set what it wants to; undefined when it may. */
  problem(pod: Pod): string | undefined;
}

/** `allowedUnsafe`: names, or prefixes ending in "*". Throws for what belongs to no namespace. */
export function createSysctlAllowlist(kernelVersion: string, allowedUnsafe: readonly string[]): SysctlAllowlist {
  const exact = new Map<string, Namespace>();
  const prefixes = new Map<string, Namespace>();
  const safe = safeSysctls.filter(([, since]) => isAtLeast(kernelVersion, since)).map(([name]) => name);
  for (const pattern of [...safe, ...allowedUnsafe]) {
    const name = normalizeSysctl(pattern);
    const star = name.indexOf("*");
    const part = star < 0 ? name : name.slice(0, star);
    const namespace = namespaceOf(part);
    if (namespace === undefined) throw new Error(`the sysctls "${part}" are not known to be namespaced`);
    (star < 0 ? exact : prefixes).set(part, namespace);
  }
  return {
    problem(pod) {
      for (const { name } of pod.spec.securityContext?.sysctls ?? []) {
        const wanted = normalizeSysctl(name);
        const namespace = exact.get(wanted) ?? [...prefixes].find(([prefix]) => wanted.startsWith(prefix))?.[1];
        if (namespace === undefined) return `"${wanted}" not allowlisted`;
        const shared = namespace === "IPC" ? pod.spec.hostIPC : pod.spec.hostNetwork;
        if (shared) return `"${wanted}" not allowed with host ${namespace} enabled`;
      }
      return undefined;
    },
  };
}

/** With dots between its parts: "net/ipv4/conf/eth0.1/rp_filter" is "net.ipv4.conf.eth0/1.rp_filter". */
function normalizeSysctl(name: string): string {
  const first = /[./]/.exec(name)?.[0];
  return first === "/" ? name.replace(/[./]/g, (c) => (c === "/" ? "." : "/")) : name;
}

function namespaceOf(name: string): Namespace | undefined {
  if (ipcSysctls.has(name) || name.startsWith("fs.mqueue.")) return "IPC";
  return name.startsWith("net.") ? "Net" : undefined;
}

function isAtLeast(kernelVersion: string, [major, minor]: readonly [number, number]): boolean {
  const [, own = "0", ownMinor = "0"] = /^(\d+)\.(\d+)/.exec(kernelVersion) ?? [];
  return Number(own) > major || (Number(own) === major && Number(ownMinor) >= minor);
}
