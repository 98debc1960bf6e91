// How much swap a container may use, as upstream: none (NoSwap, and for every container that is not burstable, is critical, asks
// for no memory or for all it may have), or, with LimitedSwap, the part of the node's swap that its request is of the node's
// memory. Only where there is swap, and only in version 2 of control groups.
import { parseQuantity } from "../../api/meta/quantity.ts";
import { podQos } from "../../api/semantics/pod-qos.ts";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import type { LinuxContainerResources } from "../../cri/generated/runtime-v1.ts";
import type { Input } from "../../rpc/protocol.ts";

export interface SwapOptions {
  readonly behavior: "NoSwap" | "LimitedSwap";
  /** Of the node. */
  readonly memoryBytes: number;
  readonly swapBytes: number;
}

const criticalPriority = 2_000_000_000;

/** For the container's configuration; nothing where the node has no swap. */
export function swapResources(
  pod: Pod,
  container: Container,
  swap: SwapOptions | undefined,
): Input<Pick<LinuxContainerResources, "unified">> {
  if (!swap || swap.swapBytes === 0) return {};
  return { unified: { "memory.swap.max": String(swapBytes(pod, container, swap)) } };
}

/** Whether the container may have swap at all. */
export function maySwap(pod: Pod, { resources }: Container, behavior: SwapOptions["behavior"]): boolean {
  const of = (list: Readonly<Record<string, string | number>> | undefined): number => parseQuantity(list?.memory ?? 0).value();
  const [request, limit] = [of(resources?.requests), of(resources?.limits)];
  if (behavior === "NoSwap" || podQos(pod) !== "Burstable" || (pod.spec.priority ?? 0) >= criticalPriority) return false;
  return request > 0 && request !== limit;
}

export function swapBytes(pod: Pod, container: Container, { behavior, memoryBytes, swapBytes: total }: SwapOptions): number {
  const request = parseQuantity(container.resources?.requests?.memory ?? 0).value();
  if (!maySwap(pod, container, behavior) || memoryBytes <= 0 || request > memoryBytes) return 0;
  return Math.floor((request / memoryBytes) * total);
}
