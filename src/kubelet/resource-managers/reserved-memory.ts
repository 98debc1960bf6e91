// The field reservedMemory: what of each NUMA node's memory pods do not get. Its sum must be what the node keeps back from pods
// in all: systemReserved, kubeReserved and the hard eviction threshold.
import { parseQuantity, type Quantity, quantityOf } from "../../api/meta/quantity.ts";
import type { MemoryReservation } from "./manager-options.ts";
import type { MemoryAmounts } from "./memory-nodes.ts";

const zero = quantityOf(0);

/** By node. `kept`: kind of memory → what the node keeps back in all. Throws an Error with upstream's message. */
export function reservedByNode(
  reservations: readonly MemoryReservation[],
  { nodes, kept }: { readonly nodes: readonly number[]; readonly kept: ReadonlyMap<string, Quantity> },
): ReadonlyMap<number, MemoryAmounts> {
  const totals = new Map<string, Quantity>();
  const byNode = new Map<number, Record<string, number>>(nodes.map((id) => [id, {}]));
  for (const { numaNode, limits } of reservations) {
    const node = byNode.get(numaNode);
    if (!node) throw new Error(`the reserved memory configuration references a NUMA node ${numaNode} that does not exist on this machine`);
    for (const [type, text] of Object.entries(limits)) {
      const quantity = parseQuantity(text);
      totals.set(type, (totals.get(type) ?? zero).add(quantity));
      node[type] = quantity.value();
    }
  }
  for (const type of new Set([...totals.keys(), ...kept.keys()])) {
    const [reserved, wanted] = [totals.get(type) ?? zero, kept.get(type) ?? zero];
    if (!reserved.equals(wanted))
      throw new Error(
        `the total amount "${reserved.toString()}" of type "${type}" is not equal to the value "${wanted.toString()}" determined by Node Allocatable feature`,
      );
  }
  if ((totals.get("memory") ?? zero).sign <= 0) throw new Error("[memorymanager] you should specify the system reserved memory");
  return byNode;
}
