// Whether a node still gives signs of life: its lease, or a new heartbeat in its status. Times are taken by our own clock
// when a sign is seen, so that clocks of different machines are never compared. Pure: what is known of a node goes in, and
// comes out.
import { findCondition } from "../../api/semantics/conditions.ts";
import type { Lease } from "../../api/types/coordination-v1.ts";
import type { Node, NodeCondition } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";

/** What is remembered of a node between two looks. */
export interface NodeHealth {
  /** When a sign of life was last seen. */
  readonly seenMs: number;
  /** The heartbeat and lease renewal seen then. */
  readonly heartbeat: string | undefined;
  readonly renewal: string | undefined;
}

export interface HealthLimits {
  readonly gracePeriodMs: number;
  /** For a node that has never reported. */
  readonly startupGracePeriodMs: number;
}

export interface HealthVerdict {
  readonly health: NodeHealth;
  /** All conditions, changed: the node has been silent for too long. Absent where there is nothing to change. */
  readonly conditions?: readonly NodeCondition[];
}

const watchedConditions = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

export function assessNode(
  node: Node,
  lease: Lease | undefined,
  { known, limits, nowMs }: { readonly known: NodeHealth | undefined; readonly limits: HealthLimits; readonly nowMs: number },
): HealthVerdict {
  const ready = findCondition(node.status?.conditions, "Ready");
  const heartbeat = ready?.lastHeartbeatTime;
  const renewal = lease?.spec.renewTime;
  const health = seen(node, { heartbeat, renewal, hasReported: ready !== undefined, known, nowMs });
  const limitMs = ready ? limits.gracePeriodMs : limits.startupGracePeriodMs;
  if (nowMs <= health.seenMs + limitMs) return { health };
  const conditions = silentConditions(node, nowMs);
  return conditions ? { health, conditions } : { health };
}

function seen(
  node: Node,
  now: {
    readonly heartbeat: string | undefined;
    readonly renewal: string | undefined;
    readonly hasReported: boolean;
    readonly known: NodeHealth | undefined;
    readonly nowMs: number;
  },
): NodeHealth {
  const { heartbeat, renewal, hasReported, known, nowMs } = now;
  if (!known) {
    // A node that has never reported is as old as its object; one that has gets the whole grace period from now.
    const createdMs = Date.parse(node.metadata.creationTimestamp);
    const seenMs = hasReported || renewal !== undefined ? nowMs : Number.isNaN(createdMs) ? nowMs : createdMs;
    return { seenMs, heartbeat, renewal };
  }
  const isRenewed = renewal !== undefined && (known.renewal === undefined || renewal > known.renewal);
  const isAlive = isRenewed || heartbeat !== known.heartbeat;
  return isAlive ? { seenMs: nowMs, heartbeat, renewal: renewal ?? known.renewal } : known;
}

/** Every condition the kubelet looks after becomes Unknown; undefined where they all are. */
function silentConditions(node: Node, nowMs: number): readonly NodeCondition[] | undefined {
  const now = formatTime(nowMs);
  const conditions = [...(node.status?.conditions ?? [])];
  let isChanged = false;
  for (const type of watchedConditions) {
    const index = conditions.findIndex((condition) => condition.type === type);
    const current = conditions[index];
    if (current?.status === "Unknown") continue;
    isChanged = true;
    if (!current) {
      conditions.push({
        type,
        status: "Unknown",
        reason: "NodeStatusNeverUpdated",
        message: "Kubelet never posted node status.",
        lastHeartbeatTime: node.metadata.creationTimestamp,
        lastTransitionTime: now,
      });
    } else {
      const message = "Kubelet stopped posting node status.";
      conditions[index] = { ...current, status: "Unknown", reason: "NodeStatusUnknown", message, lastTransitionTime: now };
    }
  }
  return isChanged ? conditions : undefined;
}
