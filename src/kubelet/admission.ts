// Whether a pod may run on this node after all: static pods and pods bound by hand have passed no scheduler, and two
// schedulers may have filled the same gap. What is refused becomes Failed with upstream's reasons and messages. Taints are
// the scheduler's and the taint manager's business.
import { requiredNodeMatcher } from "../api/semantics/node-affinity.ts";
import { amountsOf, podAmounts } from "../api/semantics/pod-resources.ts";
import type { Container, Node, Pod } from "../api/types/core-v1.ts";
import { allContainers } from "./pod-spec.ts";
import type { PodVerdict } from "./pod-status.ts";
import { forbiddenSysctl, type SysctlRules } from "./sysctls.ts";

/** What of the machine decides besides the node's object. */
export interface MachineRules extends SysctlRules {
  /** The kernel enforces AppArmor profiles. */
  readonly appArmor: boolean;
}

/** Undefined when the pod may run; else how it fails. `others` are the pods that hold resources of the node. */
export function admitPod(pod: Pod, others: readonly Pod[], node: Node, machine: MachineRules): PodVerdict | undefined {
  const sysctl = forbiddenSysctl(pod, machine);
  if (sysctl !== undefined) return rejected("SysctlForbidden", sysctl);
  const os = node.metadata.labels?.["kubernetes.io/os"];
  const osWanted = pod.spec.nodeSelector?.["kubernetes.io/os"];
  if (osWanted !== undefined && os !== undefined && osWanted !== os)
    return rejected("PodOSSelectorNodeLabelDoesNotMatch", "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label");
  if (pod.spec.os && os !== undefined && pod.spec.os.name !== os)
    return rejected("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS");
  if (pod.spec.securityContext?.supplementalGroupsPolicy === "Strict" && node.status?.features?.supplementalGroupsPolicy !== true)
    return rejected("SupplementalGroupsPolicyNotSupported", "SupplementalGroupsPolicy=Strict is not supported in this node");
  return lacking(pod, others, node) ?? wrongNode(pod, node) ?? portTaken(pod, others) ?? unconfined(pod, machine);
}

function rejected(reason: string, message: string): PodVerdict {
  return { phase: "Failed", reason, message: `Pod was rejected: ${message}` };
}

const outOf: Readonly<Record<string, string>> = {
  cpu: "OutOfcpu",
  memory: "OutOfmemory",
  "ephemeral-storage": "OutOfephemeral-storage",
  pods: "OutOfpods",
};

function lacking(pod: Pod, others: readonly Pod[], node: Node): PodVerdict | undefined {
  const capacity = amountsOf(node.status?.allocatable);
  const insufficient = (resource: string, requested: number, used: number, total: number): PodVerdict => {
    const reason = outOf[resource] ?? `OutOf${resource}`;
    const text = `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${total}`;
    return rejected(reason, text);
  };
  if (capacity.pods !== undefined && others.length + 1 > capacity.pods) return insufficient("pods", 1, others.length, capacity.pods);
  const used = others.map((other) => podAmounts(other.spec));
  for (const [resource, requested] of Object.entries(podAmounts(pod.spec))) {
    const total = capacity[resource];
    // Extended resources this node knows nothing of are someone else's to check.
    if (requested === 0 || total === undefined) continue;
    const taken = used.reduce((sum, amounts) => sum + (amounts[resource] ?? 0), 0);
    if (taken + requested > total) return insufficient(resource, requested, taken, total);
  }
  return undefined;
}

function unconfined(pod: Pod, { appArmor }: MachineRules): PodVerdict | undefined {
  if (appArmor) return undefined;
  const profiles = [pod.spec, ...allContainers(pod.spec)].map((of) => of.securityContext?.appArmorProfile?.type ?? "Unconfined");
  return profiles.every((type) => type === "Unconfined")
    ? undefined
    : rejected("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host");
}

function wrongNode(pod: Pod, node: Node): PodVerdict | undefined {
  const matches = requiredNodeMatcher(pod.spec);
  if (!matches || matches(node)) return undefined;
  return rejected("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector");
}

function portTaken(pod: Pod, others: readonly Pod[]): PodVerdict | undefined {
  const taken = others.flatMap(hostPorts);
  const clash = hostPorts(pod).some((wanted) => taken.some((port) => overlaps(wanted, port)));
  return clash
    ? rejected("NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports")
    : undefined;
}

interface HostPort {
  readonly port: number;
  readonly protocol: string;
  readonly ip: string;
}

function hostPorts(pod: Pod): readonly HostPort[] {
  const containers: readonly Container[] = [
    ...(pod.spec.initContainers ?? []).filter((c) => c.restartPolicy === "Always"),
    ...pod.spec.containers,
  ];
  return containers.flatMap((c) =>
    (c.ports ?? [])
      .filter((p) => (p.hostPort ?? 0) > 0)
      .map((p) => ({ port: p.hostPort ?? 0, protocol: p.protocol ?? "TCP", ip: p.hostIP || "0.0.0.0" })),
  );
}

function overlaps(a: HostPort, b: HostPort): boolean {
  const sameIp = a.ip === b.ip || a.ip === "0.0.0.0" || b.ip === "0.0.0.0";
  return a.port === b.port && a.protocol === b.protocol && sameIp;
}
