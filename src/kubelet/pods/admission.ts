// Whether a pod may run on this node after all: static pods and pods bound by hand have passed no scheduler, two schedulers
// may have filled the same gap, and the node may have run short of something since. What is refused becomes Failed with
// upstream's reasons and messages. A critical pod that only lacks resources is not refused: others make room for it.
import { requiredNodeMatcher } from "../../api/semantics/node-affinity.ts";
import { podQos } from "../../api/semantics/pod-qos.ts";
import { amountsOf, podAmounts } from "../../api/semantics/pod-resources.ts";
import { memoryPressureTaintKey, tolerates, untoleratedTaint } from "../../api/semantics/taints.ts";
import type { Container, Node, Pod } from "../../api/types/core-v1.ts";
import { forbiddenSysctl, type SysctlRules } from "../containers/sysctls.ts";
import type { PressureCondition } from "../eviction/thresholds.ts";
import type { PodVerdict } from "../status/pod-status.ts";
import { allContainers, isCriticalPod, isStaticPod } from "./pod-spec.ts";
import { podsToPreempt } from "./preemption.ts";

/** What of the machine decides besides the node's object. */
export interface MachineRules extends SysctlRules {
  /** The kernel enforces AppArmor profiles. */
  readonly appArmor: boolean;
}

export interface NodeState {
  readonly node: Node;
  /** Of what the node runs short. */
  readonly pressure: readonly PressureCondition[];
  readonly shuttingDown: boolean;
  readonly machine: MachineRules;
  /** Whether others may be ended for a critical pod. Default true. */
  readonly mayPreempt?: boolean;
}

export type Admission =
  | { readonly kind: "admitted" }
  /** `onlyLabels`: but for the node's labels it would be admitted. They may have changed since the node was last seen. */
  | { readonly kind: "refused"; readonly verdict: PodVerdict; readonly onlyLabels?: boolean }
  /** Admitted once these have ended; `lacking` is the first resource there was too little of. */
  | { readonly kind: "preempts"; readonly pods: readonly Pod[]; readonly lacking: string };

/** `others` are the pods that hold resources of the node. */
export function admitPod(pod: Pod, others: readonly Pod[], state: NodeState): Admission {
  const early = underPressure(pod, state.pressure) ?? wrongSysctl(pod, state.machine) ?? unsupported(pod, state.node);
  if (early) return refused(early);
  const fit = fitting(pod, others, state);
  if (fit.kind === "refused") return fit;
  const late = unconfined(pod, state.machine) ?? (state.shuttingDown ? shutDown : undefined);
  return late ? refused(late) : fit;
}

interface Problem {
  readonly reason: string;
  readonly message: string;
}

const shutDown: Problem = { reason: "NodeShutdown", message: "Pod was rejected as the node is shutting down." };

const refused = ({ reason, message }: Problem, onlyLabels = false): Admission => ({
  kind: "refused",
  verdict: { phase: "Failed", reason, message: `Pod was rejected: ${message}` },
  ...(onlyLabels ? { onlyLabels } : {}),
});

/** A node short of memory takes no best-effort pods; one short of disk or process ids takes none but critical ones. */
function underPressure(pod: Pod, pressure: readonly PressureCondition[]): Problem | undefined {
  if (pressure.length === 0 || isCriticalPod(pod)) return undefined;
  if (pressure.every((condition) => condition === "MemoryPressure")) {
    const taint = { key: memoryPressureTaintKey, effect: "NoSchedule" } as const;
    if (podQos(pod) !== "BestEffort" || pod.spec.tolerations?.some((t) => tolerates(t, taint))) return undefined;
  }
  return { reason: "Evicted", message: `The node had condition: [${pressure.join(" ")}]. ` };
}

function wrongSysctl(pod: Pod, machine: MachineRules): Problem | undefined {
  const message = forbiddenSysctl(pod, machine);
  return message === undefined ? undefined : { reason: "SysctlForbidden", message };
}

/** What no room could help with. */
function unsupported(pod: Pod, node: Node): Problem | undefined {
  const os = node.metadata.labels?.["kubernetes.io/os"];
  const labelled = pod.metadata.labels?.["kubernetes.io/os"];
  if (labelled !== undefined && os !== undefined && labelled !== os)
    return {
      reason: "PodOSSelectorNodeLabelDoesNotMatch",
      message: "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
    };
  if (pod.spec.os && os !== undefined && pod.spec.os.name !== os)
    return { reason: "PodOSNotSupported", message: "Failed to admit pod as the OS field doesn't match node OS" };
  const { supplementalGroupsPolicy } = pod.spec.securityContext ?? {};
  if (supplementalGroupsPolicy === "Strict" && !node.status?.features?.supplementalGroupsPolicy)
    return {
      reason: "SupplementalGroupsPolicyNotSupported",
      message: "SupplementalGroupsPolicy=Strict is not supported in this node",
    };
  return undefined;
}

function fitting(pod: Pod, others: readonly Pod[], { node, mayPreempt = true }: NodeState): Admission {
  const lacking = lackingResources(pod, others, node);
  const rest = [wrongNode(pod, node), portTaken(pod, others), repelled(pod, node)].filter((p) => p !== undefined);
  if (lacking.length === 0 || (rest.length > 0 && isCriticalPod(pod))) {
    const [first] = rest;
    return first ? refused(first, rest.length === 1 && first.reason === "NodeAffinity") : { kind: "admitted" };
  }
  if (!mayPreempt || !isCriticalPod(pod)) return refused(lackingProblem(lacking[0] as Lacking));
  const amounts = Object.fromEntries(lacking.map((l) => [l.resource, l.requested - (l.total - l.used)]));
  const pods = podsToPreempt(pod, others, amounts);
  if (pods) return { kind: "preempts", pods, lacking: (lacking[0] as Lacking).resource };
  const list = Object.entries(amounts).map(([resource, amount]) => `(res: ${resource}, q: ${amount}), `);
  const why = `preemption: error finding a set of pods to preempt: no set of running pods found to reclaim resources: [${list.join("")}]`;
  const message = `Unexpected error while attempting to recover from admission failure: ${why}`;
  return refused({ reason: "UnexpectedAdmissionError", message });
}

interface Lacking {
  readonly resource: string;
  readonly requested: number;
  readonly used: number;
  readonly total: number;
}

function lackingProblem({ resource, requested, used, total }: Lacking): Problem {
  const message = `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${total}`;
  return { reason: `OutOf${resource}`, message };
}

function lackingResources(pod: Pod, others: readonly Pod[], node: Node): readonly Lacking[] {
  const capacity = amountsOf(node.status?.allocatable);
  const lacking: Lacking[] = [];
  if (capacity.pods !== undefined && others.length + 1 > capacity.pods)
    lacking.push({ resource: "pods", requested: 1, used: others.length, total: capacity.pods });
  const held = others.map((other) => podAmounts(other.spec));
  const wanted = podAmounts(pod.spec);
  // Devices of a claim stand for these, whatever a plugin has of them.
  const ofClaim = new Set(pod.status?.extendedResourceClaimStatus?.requestMappings.map(({ resourceName }) => resourceName));
  for (const resource of [...new Set(["cpu", "memory", "ephemeral-storage", ...Object.keys(wanted)])]) {
    const [requested, total] = [wanted[resource] ?? 0, capacity[resource]];
    // Extended resources this node knows nothing of are someone else's to check.
    if (requested === 0 || total === undefined || ofClaim.has(resource)) continue;
    const used = held.reduce((sum, amounts) => sum + (amounts[resource] ?? 0), 0);
    if (used + requested > total) lacking.push({ resource, requested, used, total });
  }
  return lacking;
}

function wrongNode(pod: Pod, node: Node): Problem | undefined {
  const matches = requiredNodeMatcher(pod.spec);
  if (!matches || matches(node)) return undefined;
  return { reason: "NodeAffinity", message: "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector" };
}

/** Static pods are to run whatever the node's taints. */
function repelled(pod: Pod, node: Node): Problem | undefined {
  if (isStaticPod(pod)) return undefined;
  const taint = untoleratedTaint(node.spec?.taints, pod.spec.tolerations, ({ effect }) => effect === "NoExecute");
  if (!taint) return undefined;
  return { reason: "TaintToleration", message: "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate" };
}

function portTaken(pod: Pod, others: readonly Pod[]): Problem | undefined {
  const wanted = hostPorts(pod);
  if (wanted.length === 0) return undefined;
  const taken = others.flatMap(hostPorts);
  if (!wanted.some((port) => taken.some((other) => overlaps(port, other)))) return undefined;
  return { reason: "NodePorts", message: "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports" };
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

function unconfined(pod: Pod, { appArmor }: MachineRules): Problem | undefined {
  if (appArmor || (pod.status?.phase ?? "Pending") !== "Pending") return undefined;
  const profiles = [pod.spec, ...allContainers(pod.spec)].map((of) => of.securityContext?.appArmorProfile?.type);
  if (!profiles.some((type) => type !== undefined && type !== "Unconfined")) return undefined;
  return { reason: "AppArmor", message: "Cannot enforce AppArmor: AppArmor is not enabled on the host" };
}
