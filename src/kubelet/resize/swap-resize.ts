// Memory of containers that may swap is not changed while they run: their part of the node's swap would have to be, too.
import { amountOf } from "../../api/semantics/pod-resources.ts";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import { maySwap, type SwapOptions } from "../containers/swap.ts";
import type { InfeasibleResize } from "./pod-resizes.ts";

/** Why the pod can never be resized so; undefined when it can. */
export function swapRefusal(pod: Pod, allocated: Pod, behavior: SwapOptions["behavior"]): InfeasibleResize | undefined {
  const before = new Map(containersOf(allocated).map((container) => [container.name, container]));
  const stuck = containersOf(pod).some((container) => {
    const has = before.get(container.name);
    if (!has || request(has) === request(container) || restartsForMemory(has)) return false;
    return maySwap(pod, container, behavior) || maySwap(allocated, has, behavior);
  });
  return stuck ? { message: "In-place resize of containers with swap is not supported.", detail: "swap_limitation" } : undefined;
}

const containersOf = ({ spec }: Pod): readonly Container[] => [...(spec.initContainers ?? []), ...spec.containers];

const request = ({ resources }: Container): number => amountOf("memory", resources?.requests?.memory ?? 0);

const restartsForMemory = ({ resizePolicy }: Container): boolean =>
  resizePolicy?.some((policy) => policy.resourceName === "memory" && policy.restartPolicy === "RestartContainer") === true;
