// A pod's requests and limits as exact quantities, for limits and quotas that have to name them: the sum over containers,
// or what an init container needs where that is more; sidecars (init containers that always restart) count with both.
// Values for the whole pod win over the sum, for CPU, memory and huge pages.
import { parseQuantity, type Quantity } from "../meta/quantity.ts";
import type { Container, Pod, PodStatus } from "../types/core-v1.ts";
import { isResizeInfeasible } from "./pod-resources.ts";

export type Quantities = Readonly<Record<string, Quantity>>;
type Listed = Readonly<Record<string, string | number>> | undefined;

export function quantitiesOf(list: Listed): Quantities {
  return Object.fromEntries(Object.entries(list ?? {}).map(([name, text]) => [name, parseQuantity(text)]));
}

/** `status`: of a pod that is being resized (resizingStatus): what it has been allocated or still has counts where it is more. */
export function podQuantities(pod: Pod, which: "requests" | "limits", status?: PodStatus): Quantities {
  const spec = pod.spec;
  const ofContainer = (container: Container): Quantities => effective(container, which, status);
  let sum: Quantities = {};
  for (const container of spec?.containers ?? []) sum = addQuantities(sum, ofContainer(container));
  let sidecars: Quantities = {};
  let init: Quantities = {};
  for (const container of spec?.initContainers ?? []) {
    const own = ofContainer(container);
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

function effective({ name, resources }: Container, which: "requests" | "limits", status: PodStatus | undefined): Quantities {
  const asked = quantitiesOf(resources?.[which]);
  if (!status) return asked;
  const has = [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])].find((s) => s.name === name);
  if (!has?.resources) return asked;
  const actual = quantitiesOf(has.resources[which]);
  const known = which === "requests" ? maxQuantities(actual, quantitiesOf(has.allocatedResources)) : actual;
  return isResizeInfeasible(status) ? known : maxQuantities(asked, known);
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
