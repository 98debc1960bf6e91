// Which devices of a resource a container gets: those its pod's init containers had before, then those on the NUMA nodes
// the topology manager chose, with the plugin's preference among them, then the others. Upstream's errors. Pure but for the
// question to the plugin.
import { hasNode, type NodeMask } from "../resource-managers/node-mask.ts";
import type { DeviceFact } from "./device-inventory.ts";

export interface DeviceChoice {
  readonly resource: string;
  readonly count: number;
  /** Healthy ones that no container has. */
  readonly available: readonly DeviceFact[];
  /** Of init containers of the pod that will have ended. */
  readonly reusable: readonly string[];
  /** Undefined: anywhere. */
  readonly affinity: NodeMask | undefined;
  /** What the plugin would rather have taken; undefined when it has no opinion. */
  readonly prefer: (request: {
    readonly available: readonly string[];
    readonly mustInclude: readonly string[];
    readonly size: number;
  }) => Promise<readonly string[]>;
}

/** Throws an Error whose message the pod's status shows. */
export async function chooseDevices(choice: DeviceChoice): Promise<readonly string[]> {
  const { resource, count, available } = choice;
  const chosen = new Set<string>(choice.reusable.slice(0, count));
  const missing = (): number => count - chosen.size;
  const takeFrom = (ids: readonly string[]): void => {
    for (const id of ids) if (missing() > 0) chosen.add(id);
  };
  if (missing() === 0) return [...chosen];
  if (available.length < missing())
    throw new Error(`requested number of devices unavailable for ${resource}. Requested: ${missing()}, Available: ${available.length}`);
  const { aligned, others } = byAffinity(choice);
  const ask = async (from: readonly string[]): Promise<void> => {
    const mustInclude = [...chosen];
    const preferred = await choice.prefer({ available: [...new Set([...from, ...mustInclude])], mustInclude, size: count });
    takeFrom(preferred.filter((id) => from.includes(id)));
  };
  if (missing() < aligned.length) await ask(aligned);
  takeFrom(aligned);
  if (missing() > 0) await ask(available.map((d) => d.id));
  takeFrom(others);
  return [...chosen];
}

/** Those on the chosen nodes, and the rest: those on other nodes before those on none. */
function byAffinity({ available, affinity }: DeviceChoice): { readonly aligned: readonly string[]; readonly others: readonly string[] } {
  const ids = (devices: readonly DeviceFact[]): readonly string[] => devices.map((d) => d.id).sort();
  if (affinity === undefined || available.every((d) => d.nodes.length === 0)) return { aligned: [], others: ids(available) };
  const isAligned = (device: DeviceFact): boolean => device.nodes.some((node) => hasNode(affinity, node));
  const rest = available.filter((d) => !isAligned(d));
  return {
    aligned: ids(available.filter(isAligned)),
    others: [...ids(rest.filter((d) => d.nodes.length > 0)), ...ids(rest.filter((d) => d.nodes.length === 0))],
  };
}
