// Which resources a resize changes: some container asks for another amount of them than its pod was allocated.
import { amountOf } from "../../api/semantics/pod-resources.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { containersOf } from "./provider.ts";

export type ResizedResource = "cpu" | "memory";

export function changesOf(pod: Pod, allocated: Pod): ReadonlySet<ResizedResource> {
  const before = new Map(containersOf(allocated).map((container) => [container.name, container.resources?.requests]));
  const differs = (name: ResizedResource): boolean =>
    containersOf(pod).some((container) => {
      const [asked, has] = [container.resources?.requests?.[name], before.get(container.name)?.[name]];
      return (asked === undefined ? 0 : amountOf(name, asked)) !== (has === undefined ? 0 : amountOf(name, has));
    });
  return new Set((["cpu", "memory"] as const).filter(differs));
}
