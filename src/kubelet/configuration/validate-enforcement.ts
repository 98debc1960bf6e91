// enforceNodeAllocatable: which reservations are enforced by control groups, and what goes with what, in upstream's words.
import type { KubeletConfiguration } from "./kubelet-configuration.ts";

const q = (value: string): string => JSON.stringify(value);
const names = ["pods", "system-reserved", "system-reserved-compressible", "kube-reserved", "kube-reserved-compressible", "none"] as const;
const field = "enforceNodeAllocatable (--enforce-node-allocatable)";

/** Texts without "invalid configuration: ". */
export function enforcementProblems(c: KubeletConfiguration): readonly string[] {
  const problems: string[] = [];
  for (const kind of ["system-reserved", "kube-reserved"]) {
    if (c.enforceNodeAllocatable.includes(kind) && c.enforceNodeAllocatable.includes(`${kind}-compressible`))
      problems.push(`both ${q(kind)} and ${q(`${kind}-compressible`)} cannot be specified together in ${field}`);
  }
  const seen = new Set<string>();
  for (const name of c.enforceNodeAllocatable) {
    if (seen.has(name)) problems.push(`duplicated enforcements ${q(name)} in ${field}`);
    else problems.push(...problemsOf(name, c));
    seen.add(name);
  }
  return problems;
}

function problemsOf(name: string, c: KubeletConfiguration): readonly string[] {
  if (!names.some((known) => known === name)) {
    const valid = names.slice(0, -1).map(q).join(", ");
    return [`option ${q(name)} specified for ${field}. Valid options are ${valid} or "none"`];
  }
  if (name === "none")
    return c.enforceNodeAllocatable.length > 1 ? [`${field} may not contain additional enforcements when "none" is specified`] : [];
  const problems: string[] = [];
  const needs = (prefix: string, cgroup: string, shown: string): void => {
    if (name.startsWith(prefix) && cgroup === "")
      problems.push(`${shown} must be specified when ${q(prefix)} or ${q(`${prefix}-compressible`)} included in ${field}`);
  };
  needs("system-reserved", c.systemReservedCgroup, "systemReservedCgroup (--system-reserved-cgroup)");
  needs("kube-reserved", c.kubeReservedCgroup, "kubeReservedCgroup (--kube-reserved-cgroup)");
  if (!c.cgroupsPerQOS) problems.push(`cgroupsPerQOS (--cgroups-per-qos) must be set to true when ${q(name)} contained in ${field}`);
  return problems;
}
