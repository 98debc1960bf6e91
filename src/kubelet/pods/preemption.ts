// Which pods make room for a critical one that does not fit, pure, by upstream's rules: best-effort pods before burstable
// ones before guaranteed ones, as few as possible, those that come closest to what is lacking. Only pods that are not
// critical, or less important than the newcomer, are touched.
import { podQos } from "../../api/semantics/pod-qos.ts";
import { podAmounts, type ResourceAmounts } from "../../api/semantics/pod-resources.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { PodVerdict } from "../status/pod-status.ts";
import { isCriticalPod } from "./pod-spec.ts";

export const preemptedVerdict: PodVerdict = {
  phase: "Failed",
  reason: "Preempting",
  message: "Preempted in order to admit critical pod",
  disruption: "Pod was preempted by Kubelet to accommodate a critical pod.",
};

interface Candidate {
  readonly pod: Pod;
  readonly amounts: ResourceAmounts;
}

/** Undefined when no pods could make enough room. `lacking`: by resource, all above 0. */
export function podsToPreempt(newcomer: Pod, pods: readonly Pod[], lacking: ResourceAmounts): readonly Pod[] | undefined {
  const candidates = pods.filter((pod) => isPreemptable(newcomer, pod)).map(candidate);
  const [bestEffort, burstable, guaranteed] = (["BestEffort", "Burstable", "Guaranteed"] as const).map((qos) =>
    candidates.filter(({ pod }) => podQos(pod) === qos),
  ) as [Candidate[], Candidate[], Candidate[]];
  const fromGuaranteed = closest(guaranteed, without(lacking, [...bestEffort, ...burstable]));
  const fromBurstable = fromGuaranteed && closest(burstable, without(lacking, [...bestEffort, ...fromGuaranteed]));
  const fromBestEffort = fromBurstable && closest(bestEffort, without(lacking, [...fromBurstable, ...fromGuaranteed]));
  return fromBestEffort && [...fromBestEffort, ...fromBurstable, ...fromGuaranteed].map(({ pod }) => pod);
}

/** Every pod takes one place among the node's pods. */
function candidate(pod: Pod): Candidate {
  return { pod, amounts: { ...podAmounts(pod.spec), pods: 1 } };
}

function isPreemptable(newcomer: Pod, pod: Pod): boolean {
  if (isCriticalPod(newcomer) && !isCriticalPod(pod)) return true;
  return newcomer.spec.priority !== undefined && pod.spec.priority !== undefined && newcomer.spec.priority > pod.spec.priority;
}

/** What is still lacking when these pods are gone. */
function without(lacking: ResourceAmounts, gone: readonly Candidate[]): ResourceAmounts {
  return Object.fromEntries(
    Object.entries(lacking)
      .map(([resource, amount]) => [resource, gone.reduce((rest, { amounts }) => rest - (amounts[resource] ?? 0), amount)] as const)
      .filter(([, amount]) => amount > 0),
  );
}

/** Takes the pod that comes closest until nothing is lacking. */
function closest(candidates: readonly Candidate[], lacking: ResourceAmounts): readonly Candidate[] | undefined {
  const chosen: Candidate[] = [];
  let [left, rest] = [candidates, lacking];
  while (Object.keys(rest).length > 0) {
    const best = [...left].sort((a, b) => distance(a, rest) - distance(b, rest) || bySize(a, b))[0];
    if (!best) return undefined;
    chosen.push(best);
    left = left.filter((c) => c !== best);
    rest = without(rest, [best]);
  }
  return chosen;
}

/** Each resource counts by the part of it that would still be lacking. */
function distance({ amounts }: Candidate, lacking: ResourceAmounts): number {
  return Object.entries(lacking).reduce((sum, [resource, amount]) => {
    const part = (amount - (amounts[resource] ?? 0)) / amount;
    return part > 0 ? sum + part ** 2 : sum;
  }, 0);
}

/** Of two equally close ones the smaller. */
function bySize(a: Candidate, b: Candidate): number {
  return (a.amounts.memory ?? 0) - (b.amounts.memory ?? 0) || (a.amounts.cpu ?? 0) - (b.amounts.cpu ?? 0);
}
