// The quality-of-service class of a pod, from the CPU and memory requests and limits of its containers (or of the pod
// itself, where pod-level resources are set): Guaranteed when every container has both limits and the sums of requests and
// limits are equal, BestEffort when nothing is set, Burstable otherwise. The API server writes it to the status, the
// kubelet ranks memory by it.
import { parseQuantity, type Quantity } from "../meta/quantity.ts";
import { oncePerPart } from "../meta/shared-parts.ts";
import type { Pod, PodSpec, ResourceRequirements } from "../types/core-v1.ts";

export type PodQosClass = "Guaranteed" | "Burstable" | "BestEffort";

const ranked = ["cpu", "memory"] as const;

/** From the specification alone. */
export const computePodQos = oncePerPart((spec: PodSpec): PodQosClass => {
  if (spec.resources) return classOf([spec.resources]);
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  return classOf(containers.map((c) => c.resources ?? {}));
});

/** As the status says it, else computed. */
export function podQos(pod: Pod): PodQosClass {
  return pod.status?.qosClass ?? computePodQos(pod.spec);
}

function classOf(all: readonly ResourceRequirements[]): PodQosClass {
  const requests = new Map<string, Quantity>();
  const limits = new Map<string, Quantity>();
  let everyLimitSet = true;
  for (const resources of all)
    for (const name of ranked) {
      addPositive(requests, name, resources.requests?.[name]);
      if (!addPositive(limits, name, resources.limits?.[name])) everyLimitSet = false;
    }
  if (requests.size === 0 && limits.size === 0) return "BestEffort";
  const equal = ranked.every((name) => {
    const [request, limit] = [requests.get(name), limits.get(name)];
    return request !== undefined && limit !== undefined && request.equals(limit);
  });
  return everyLimitSet && equal ? "Guaranteed" : "Burstable";
}

function addPositive(sums: Map<string, Quantity>, name: string, value: string | number | undefined): boolean {
  if (value === undefined) return false;
  const quantity = parseQuantity(value);
  if (quantity.sign <= 0) return false;
  sums.set(name, sums.get(name)?.add(quantity) ?? quantity);
  return true;
}
