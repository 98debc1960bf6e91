// Quality of memory (the gate MemoryQoS, version 2 of control groups alone): a container that comes near its limit is slowed
// down before it is killed (memory.high), and with the policy TieredReservation what pods request is not taken from them by
// the kernel: never of guaranteed ones (memory.min), rather late of burstable ones (memory.low).
import { podQos } from "../../api/semantics/pod-qos.ts";
import { amountOf, podAmounts } from "../../api/semantics/pod-resources.ts";
import type { Container, Pod } from "../../api/types/core-v1.ts";

export type MemoryReservationPolicy = "None" | "TieredReservation";

export interface MemoryQos {
  /** From which part between request and limit a container is slowed down. */
  readonly throttlingFactor: number;
  readonly reservation: MemoryReservationPolicy;
  /** Memory of the node that pods may have, in bytes: for containers without a limit. */
  readonly allocatableBytes: number;
}

/** Memory that is kept for a group. */
export interface KeptMemory {
  readonly memoryMinBytes?: number;
  readonly memoryLowBytes?: number;
}

const pageBytes = 4096;

/** File → value, as the runtime takes them. */
export function containerMemoryQos(pod: Pod, { resources }: Container, qos: MemoryQos): Readonly<Record<string, string>> {
  const of = (list: "requests" | "limits"): number => {
    const value = resources?.[list]?.memory;
    return value === undefined ? 0 : amountOf("memory", value);
  };
  const [request, limit] = [of("requests"), of("limits")];
  const kept = keptFor(pod, request, qos);
  const files: Record<string, string> =
    request > 0 && qos.reservation === "TieredReservation"
      ? {
          ...(kept.memoryMinBytes === undefined ? {} : { "memory.min": String(kept.memoryMinBytes) }),
          ...(kept.memoryLowBytes === undefined ? {} : { "memory.low": String(kept.memoryLowBytes) }),
        }
      : { "memory.min": "0", "memory.low": "0" };
  const most = limit > 0 ? limit : qos.allocatableBytes;
  const high = Math.floor(Math.floor(request + (most - request) * qos.throttlingFactor) / pageBytes) * pageBytes;
  return request !== limit && most > 0 && high > request ? { ...files, "memory.high": String(high) } : files;
}

/** Of the pod's own group. */
export const podMemoryQos = (pod: Pod, qos: MemoryQos): KeptMemory => keptFor(pod, podAmounts(pod.spec).memory ?? 0, qos);

function keptFor(pod: Pod, requestBytes: number, { reservation }: MemoryQos): KeptMemory {
  if (reservation !== "TieredReservation" || requestBytes === 0) return {};
  return podQos(pod) === "Guaranteed" ? { memoryMinBytes: requestBytes } : { memoryLowBytes: requestBytes };
}

/** Of the groups of the classes of service; that of guaranteed pods holds the burstable ones too. */
export function classMemoryQos(
  pods: Iterable<Pod>,
  { reservation }: MemoryQos,
): { readonly guaranteed: KeptMemory; readonly burstable: KeptMemory } {
  let [guaranteed, burstable] = [0, 0];
  for (const pod of reservation === "TieredReservation" ? pods : []) {
    const bytes = podAmounts(pod.spec).memory ?? 0;
    const qos = podQos(pod);
    if (qos === "Guaranteed") guaranteed += bytes;
    else if (qos === "Burstable") burstable += bytes;
  }
  return { guaranteed: { memoryMinBytes: guaranteed + burstable }, burstable: { memoryLowBytes: burstable } };
}
