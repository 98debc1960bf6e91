// reservedMemory: what of each NUMA node is not for pods, checked as upstream does and in its words.
import { parseQuantity, QuantityError } from "../../api/meta/quantity.ts";
import type { MemoryReservation } from "../resource-managers/manager-options.ts";

const q = (text: string): string => JSON.stringify(text);

/** Texts without "invalid configuration: ". */
export function reservedMemoryProblems(reservations: readonly MemoryReservation[]): readonly string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const { numaNode, limits } of reservations)
    for (const [name, amount] of Object.entries(limits)) {
      if (name !== "memory" && !name.startsWith("hugepages-"))
        problems.push(
          `the limit type ${q(name)} for NUMA node ${numaNode} is not supported, only [memory hugepages-<HugePageSize>] is accepted`,
        );
      problems.push(...amountProblems(amount, numaNode, name));
      if (seen.has(`${numaNode}/${name}`))
        problems.push(`the reserved memory has a duplicate value for NUMA node ${numaNode} and resource ${q(name)}`);
      seen.add(`${numaNode}/${name}`);
    }
  return problems;
}

function amountProblems(amount: string, numaNode: number, name: string): readonly string[] {
  try {
    return parseQuantity(amount).isZero ? [`reserved memory may not be zero for NUMA node ${numaNode} and resource ${q(name)}`] : [];
  } catch (error) {
    if (error instanceof QuantityError) return [`failed to parse quantity ${q(amount)} for ${q(name)} resource: ${error.message}`];
    throw error;
  }
}
