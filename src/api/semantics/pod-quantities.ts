// A pod's requests and limits as exact quantities, for limits and quotas that have to name them: the sum over containers,
// or what an init container needs where that is more; sidecars (init containers that always restart) count with both.
// Values for the whole pod win over the sum, for CPU, memory and huge pages.
import { parseQuantity, type Quantity } from "../meta/quantity.ts";
import type { Pod } from "../types/core-v1.ts";

export type Quantities = Readonly<Record<string, Quantity>>;
type Listed = Readonly<Record<string, string | number>> | undefined;

export function quantitiesOf(list: Listed): Quantities {
  return Object.fromEntries(Object.entries(list ?? {}).map(([name, text]) => [name, parseQuantity(text)]));
}

export function podQuantities(pod: Pod, which: "requests" | "limits"): Quantities {
  const spec = pod.spec;
  let sum: Quantities = {};
  for (const container of spec?.containers ?? []) sum = addQuantities(sum, quantitiesOf(container.resources?.[which]));
  let sidecars: Quantities = {};
  let init: Quantities = {};
  for (const container of spec?.initContainers ?? []) {
    const own = quantitiesOf(container.resources?.[which]);
    if (container.restartPolicy === "Always") {
      sum = addQuantities(sum, own);
      sidecars = addQuantities(sidecars, own);
      init = maxQuantities(init, sidecars);
    } else {
      init = maxQuantities(init, addQuantities(own, sidecars));
    }
  }
  const needed = maxQuantities(sum, init);
  const ofPod = Object.entries(quantitiesOf(spec?.resources?.[which])).filter(([name]) => isPodLevel(name));
  return { ...needed, ...Object.fromEntries(ofPod) };
}

/** What can be set for a pod as a whole. */
export const isPodLevel = (name: string): boolean => name === "cpu" || name === "memory" || name.startsWith("hugepages-");

export function addQuantities(a: Quantities, b: Quantities): Quantities {
  const sum: Record<string, Quantity> = { ...a };
  for (const [name, quantity] of Object.entries(b)) sum[name] = sum[name]?.add(quantity) ?? quantity;
  return sum;
}

function maxQuantities(a: Quantities, b: Quantities): Quantities {
  const max: Record<string, Quantity> = { ...a };
  for (const [name, quantity] of Object.entries(b)) {
    const known = max[name];
    if (!known || quantity.compare(known) > 0) max[name] = quantity;
  }
  return max;
}
