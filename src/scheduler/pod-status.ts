// Tells the API server why a pod has no node: the PodScheduled condition and, where room is being made, the node it waits
// for, in one patch; none when that is what the pod says already.
import { keyOf } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { pods } from "../api/resources.generated.ts";
import type { Pod } from "../api/types/core-v1.ts";
import { type Clock, formatTime } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";

export interface ReportDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

export interface Unscheduled {
  readonly reason: "Unschedulable" | "SchedulerError";
  readonly message: string;
  /** "" takes an earlier nomination back; undefined leaves it as it is. */
  readonly nomination: string | undefined;
}

/** Never rejects. */
export async function reportUnscheduled(deps: ReportDependencies, pod: Pod, what: Unscheduled): Promise<void> {
  const status = { ...conditionPatch(pod, what, deps.clock.now()), ...nominationPatch(pod, what.nomination) };
  if (Object.keys(status).length === 0) return;
  const { namespace = "", name, uid } = pod.metadata;
  try {
    await deps.client.patch(
      pods,
      { namespace, name },
      { metadata: { uid }, status },
      { type: "strategic", subresource: "status", signal: deps.signal },
    );
  } catch (error) {
    // Gone, or made anew under the same name.
    if (isStatus(error, "NotFound") || isStatus(error, "Conflict") || deps.signal.aborted) return;
    deps.logger.error("Reporting why a pod is not scheduled failed", { pod: keyOf(pod), error });
  }
}

function conditionPatch(pod: Pod, { reason, message }: Unscheduled, nowMs: number): object {
  const type = "PodScheduled";
  const status = "False";
  const current = pod.status?.conditions?.find((c) => c.type === type);
  const observed = pod.metadata.generation ? { observedGeneration: pod.metadata.generation } : {};
  if (
    current?.status === status &&
    current.reason === reason &&
    current.message === message &&
    current.observedGeneration === observed.observedGeneration
  )
    return {};
  const lastTransitionTime = current?.status === status && current.lastTransitionTime ? current.lastTransitionTime : formatTime(nowMs);
  return { conditions: [{ type, status, reason, message, lastProbeTime: null, lastTransitionTime, ...observed }] };
}

function nominationPatch({ status }: Pod, nomination: string | undefined): object {
  if (nomination === undefined || nomination === (status?.nominatedNodeName ?? "")) return {};
  return { nominatedNodeName: nomination === "" ? null : nomination };
}
