// What the containers of a pod ask for together, as exact quantities: the sum of containers and sidecars, or what an init
// container needs beside the sidecars started before it, where that is more.
import { parseQuantity, type Quantity } from "../meta/quantity.ts";
import type { PodSpec, ResourceRequirements } from "../types/core-v1.ts";

type Amounts = Map<string, Quantity>;

export function containerSums(spec: PodSpec, of: "requests" | "limits"): ReadonlyMap<string, Quantity> {
  const total: Amounts = new Map();
  for (const container of spec.containers ?? []) add(total, container.resources?.[of]);
  const sidecars: Amounts = new Map();
  const peak: Amounts = new Map();
  for (const container of spec.initContainers ?? []) {
    const amounts = container.resources?.[of];
    if (container.restartPolicy === "Always") {
      add(total, amounts);
      add(sidecars, amounts);
      raise(peak, sidecars);
      continue;
    }
    const during = new Map(sidecars);
    add(during, amounts);
    raise(peak, during);
  }
  raise(total, peak);
  return total;
}

function add(total: Amounts, amounts: ResourceRequirements["requests"]): void {
  for (const name in amounts) {
    const amount = parseQuantity(amounts[name] ?? 0);
    total.set(name, total.get(name)?.add(amount) ?? amount);
  }
}

function raise(total: Amounts, amounts: Amounts): void {
  for (const [name, amount] of amounts) if ((total.get(name)?.compare(amount) ?? -1) < 0) total.set(name, amount);
}
