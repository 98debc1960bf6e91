// Sets of NUMA nodes as bits of a number, one for each node's id.

export type NodeMask = number;

/** Ids beyond it do not fit into the bits of a number, and are left out. */
export const maxNumaNode = 30;

export function maskOf(nodes: Iterable<number>): NodeMask {
  let mask = 0;
  for (const node of nodes) if (node >= 0 && node <= maxNumaNode) mask |= 1 << node;
  return mask;
}

export function countOf(mask: NodeMask): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}

export const hasNode = (mask: NodeMask, node: number): boolean => (mask & (1 << node)) !== 0;

/** Their ids, ascending. */
export function nodesIn(mask: NodeMask): readonly number[] {
  const nodes: number[] = [];
  for (let node = 0; node <= maxNumaNode; node++) if (hasNode(mask, node)) nodes.push(node);
  return nodes;
}

/** Every set of one or more of the nodes: the smaller ones first, and of one size the one with the lower nodes first. */
export function* masksOf(nodes: readonly number[]): Iterable<NodeMask> {
  const sorted = [...nodes].sort((a, b) => a - b);
  for (let size = 1; size <= sorted.length; size++) yield* choose(sorted, size, 0);
}

function* choose(nodes: readonly number[], size: number, mask: NodeMask): Iterable<NodeMask> {
  if (size === 0) {
    yield mask;
    return;
  }
  for (let i = 0; i + size <= nodes.length; i++) yield* choose(nodes.slice(i + 1), size - 1, mask | (1 << (nodes[i] ?? 0)));
}
