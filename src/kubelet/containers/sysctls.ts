// Which sysctls a pod may set: those that are safe (of the pod's own namespaces, and without influence on others), and those
// the node's administrator allows besides (--allowed-unsafe-sysctls). None that belongs to a namespace the pod shares with
// the node.
import type { Pod } from "../../api/types/core-v1.ts";

/** With the first kernel that keeps them apart for each pod, where there was one without. */
const safe: readonly (readonly [name: string, kernel?: readonly [major: number, minor: number]])[] = [
  ["kernel.shm_rmid_forced"],
  ["net.ipv4.ip_local_port_range"],
  ["net.ipv4.tcp_syncookies"],
  ["net.ipv4.ping_group_range"],
  ["net.ipv4.ip_unprivileged_port_start"],
  ["net.ipv4.ip_local_reserved_ports", [3, 16]],
  ["net.ipv4.tcp_keepalive_time", [4, 5]],
  ["net.ipv4.tcp_fin_timeout", [4, 6]],
  ["net.ipv4.tcp_keepalive_intvl", [4, 5]],
  ["net.ipv4.tcp_keepalive_probes", [4, 5]],
  ["net.ipv4.tcp_rmem", [4, 15]],
  ["net.ipv4.tcp_wmem", [4, 15]],
];

const ipc = /^(kernel\.(sem|shm|msg)|fs\.mqueue\.)/;

export interface SysctlRules {
  /** Names, or prefixes that end with "*". */
  readonly allowedUnsafe: readonly string[];
  /** "6.1.0-18-amd64". */
  readonly kernelVersion: string;
}

/** Why the pod's sysctls are refused, in upstream's words; undefined when they are not. */
export function forbiddenSysctl({ spec }: Pod, rules: SysctlRules): string | undefined {
  for (const { name = "" } of spec.securityContext?.sysctls ?? []) {
    const dotted = dottedName(name);
    const allowed = isSafe(dotted, rules.kernelVersion) || rules.allowedUnsafe.some((pattern) => matches(dotted, dottedName(pattern)));
    if (!allowed) return `forbidden sysctl: "${dotted}" not allowlisted`;
    const shared = sharedNamespace(dotted, spec);
    if (shared !== undefined) return `forbidden sysctl: "${dotted}" not allowed with host ${shared} enabled`;
  }
  return undefined;
}

/** The kernel's way of writing, whose separators are slashes, becomes the usual one: the first separator tells which it is. */
export function dottedName(name: string): string {
  const first = /[./]/.exec(name)?.[0];
  return first === "/" ? name.replace(/[./]/g, (c) => (c === "/" ? "." : "/")) : name;
}

function isSafe(name: string, kernelVersion: string): boolean {
  const found = safe.find(([known]) => known === name);
  if (!found) return false;
  const [major = 0, minor = 0] = kernelVersion.split(".").map((part) => Number.parseInt(part, 10));
  const [, since] = found;
  return !since || major > since[0] || (major === since[0] && minor >= since[1]);
}

function matches(name: string, pattern: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

function sharedNamespace(name: string, { hostNetwork, hostIPC }: Pod["spec"]): string | undefined {
  if (hostIPC && ipc.test(name)) return "IPC";
  return hostNetwork && name.startsWith("net.") ? "Net" : undefined;
}
