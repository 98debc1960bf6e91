// .spec.podFailurePolicy: what the end of a failed pod means to its job. The first rule that matches decides; a failure that
// no rule matches counts towards the back-off limit.
import type { Job, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule } from "../../api/types/batch-v1.ts";
import type { ContainerStatus, Pod } from "../../api/types/core-v1.ts";

/** The action of the rule that matched; `message` tells of the match where the job fails by it. */
export type PodFailureVerdict =
  | { readonly action: "Count" | "Ignore" | "FailIndex" }
  | { readonly action: "FailJob"; readonly message: string };

const counted: PodFailureVerdict = { action: "Count" };

/** Whether a rule of the policy is about this failure. */
export const isJudgedByRule = (job: Job, pod: Pod): boolean => judgePodFailure(job, pod) !== counted;

export function judgePodFailure(job: Job, pod: Pod): PodFailureVerdict {
  for (const [position, rule] of (job.spec.podFailurePolicy?.rules ?? []).entries()) {
    const cause = causeOf(rule, pod);
    if (cause === undefined) continue;
    if (rule.action !== "FailJob") return { action: rule.action };
    return { action: "FailJob", message: `${cause} matching ${rule.action} rule at index ${position}` };
  }
  return counted;
}

/** What the rule found in the pod, in words; undefined where it does not match. */
function causeOf(rule: PodFailurePolicyRule, pod: Pod): string | undefined {
  const { namespace, name } = pod.metadata;
  if (rule.onExitCodes) {
    const container = failedContainer(pod, rule.onExitCodes);
    if (!container) return undefined;
    return `Container ${container.name} for pod ${namespace}/${name} failed with exit code ${container.state?.terminated?.exitCode}`;
  }
  const patterns = rule.onPodConditions ?? [];
  const condition = pod.status?.conditions?.find(({ type, status }) =>
    patterns.some((pattern) => pattern.type === type && (pattern.status ?? "True") === status),
  );
  return condition && `Pod ${namespace}/${name} has condition ${condition.type}`;
}

function failedContainer(pod: Pod, requirement: PodFailurePolicyOnExitCodesRequirement): ContainerStatus | undefined {
  const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  return statuses.find(({ name, state }) => {
    const exitCode = state?.terminated?.exitCode ?? 0;
    if (exitCode === 0 || (requirement.containerName ?? name) !== name) return false;
    return requirement.values.includes(exitCode) === (requirement.operator === "In");
  });
}
