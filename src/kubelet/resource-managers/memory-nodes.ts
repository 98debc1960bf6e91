// What each NUMA node has of memory and huge pages, and what of it belongs to containers: giving, taking back, and on which
// sets of nodes a request could be met. A node is used either for containers that fit on it alone or, together with the same
// other nodes, for those that need several: never for both. Pure; the shapes are those of upstream's file memory_manager_state.
import { hugePagesResource } from "../../linux/huge-pages.ts";
import { countOf, maskOf, masksOf, type NodeMask, nodesIn } from "./node-mask.ts";
import type { NumaNode } from "./numa-nodes.ts";
import type { TopologyHint } from "./topology-hints.ts";

/** Bytes. */
export interface MemoryTable {
  readonly total: number;
  readonly systemReserved: number;
  readonly allocatable: number;
  readonly reserved: number;
  readonly free: number;
}

export interface NodeMemory {
  readonly numberOfAssignments: number;
  /** "memory", "hugepages-2Mi" … */
  readonly memoryMap: Readonly<Record<string, MemoryTable>>;
  /** The nodes it is used together with, and itself. */
  readonly cells: readonly number[];
}

/** By the node's id. */
export type MemoryNodes = Readonly<Record<string, NodeMemory>>;

/** A container's part of one kind of memory. */
export interface MemoryBlock {
  readonly numaAffinity: readonly number[];
  readonly type: string;
  readonly size: number;
}

/** Kind of memory → bytes. */
export type MemoryAmounts = Readonly<Record<string, number>>;

/** `reserved`: of each node, what nobody gets. */
export function freshNodes(nodes: readonly NumaNode[], reserved: ReadonlyMap<number, MemoryAmounts>): MemoryNodes {
  return Object.fromEntries(nodes.map((node) => [node.id, freshNode(node, reserved.get(node.id) ?? {})]));
}

function freshNode({ id, memoryBytes, hugePages }: NumaNode, reserved: MemoryAmounts): NodeMemory {
  const table = (name: string, total: number, elsewhere = 0): readonly [string, MemoryTable] => {
    const systemReserved = reserved[name] ?? 0;
    const allocatable = total - systemReserved - elsewhere;
    return [name, { total, systemReserved, allocatable, reserved: 0, free: allocatable }];
  };
  const huge = hugePages.map(({ pageBytes, pages }) => table(hugePagesResource(pageBytes), pageBytes * pages));
  const hugeBytes = huge.reduce((sum, [, of]) => sum + of.total, 0);
  return { numberOfAssignments: 0, memoryMap: Object.fromEntries([...huge, table("memory", memoryBytes, hugeBytes)]), cells: [id] };
}

/** `reused`: so much of it belongs to the pod already. Nodes are filled one after the other. */
export function giveBlock(nodes: MemoryNodes, { numaAffinity, type, size }: MemoryBlock, reused = 0): MemoryNodes {
  const changed: Record<string, NodeMemory> = { ...nodes };
  let missing = Math.max(0, size - reused);
  for (const id of numaAffinity) {
    const node = nodes[id];
    const table = node?.memoryMap[type];
    if (!node || !table) throw new Error(`NUMA node ${id} has no ${type}`);
    const part = Math.min(missing, Math.max(0, table.free));
    missing -= part;
    const memoryMap = { ...node.memoryMap, [type]: { ...table, reserved: table.reserved + part, free: table.free - part } };
    changed[id] = { numberOfAssignments: node.numberOfAssignments + 1, memoryMap, cells: numaAffinity };
  }
  return changed;
}

export function takeBlock(nodes: MemoryNodes, { numaAffinity, type, size }: MemoryBlock): MemoryNodes {
  const changed: Record<string, NodeMemory> = { ...nodes };
  let left = size;
  for (const id of numaAffinity) {
    const node = nodes[id];
    const table = node?.memoryMap[type];
    if (!node || !table) continue;
    const part = Math.min(left, table.reserved);
    left -= part;
    const numberOfAssignments = node.numberOfAssignments - 1;
    const memoryMap = { ...node.memoryMap, [type]: { ...table, reserved: table.reserved - part, free: table.free + part } };
    changed[id] = { numberOfAssignments, memoryMap, cells: numberOfAssignments === 0 ? [id] : node.cells };
  }
  return changed;
}

const sumOf = (nodes: MemoryNodes, mask: NodeMask, read: (node: NodeMemory) => number): number =>
  nodesIn(mask).reduce((sum, id) => {
    const node = nodes[id];
    return sum + (node ? read(node) : 0);
  }, 0);

const freeOf = (nodes: MemoryNodes, mask: NodeMask, type: string): number => sumOf(nodes, mask, (node) => node.memoryMap[type]?.free ?? 0);

/** Whether the nodes together have so much left. */
export function satisfies(nodes: MemoryNodes, mask: NodeMask, asked: MemoryAmounts): boolean {
  return Object.entries(asked).every(([type, bytes]) => freeOf(nodes, mask, type) >= bytes);
}

/** Whether one of the nodes is in use with others than these. */
export function violates(nodes: MemoryNodes, mask: NodeMask): boolean {
  if (countOf(mask) === 1) return false;
  return nodesIn(mask).some((id) => {
    const node = nodes[id];
    return node !== undefined && node.numberOfAssignments > 0 && (node.cells.length === 1 || maskOf(node.cells) !== mask);
  });
}

/** The same for each kind of memory that is asked for. `reusable`: what the pod has there already, by kind. */
export function memoryHints(
  nodes: MemoryNodes,
  asked: MemoryAmounts,
  reusable: (mask: NodeMask, type: string) => number,
): readonly TopologyHint[] {
  const ids = Object.keys(nodes).map(Number);
  const possible: NodeMask[] = [];
  let narrowest = ids.length;
  for (const mask of masksOf(ids)) {
    const allocatable = (type: string): number => sumOf(nodes, mask, (node) => node.memoryMap[type]?.allocatable ?? 0);
    if (Object.entries(asked).some(([type, bytes]) => allocatable(type) < bytes)) continue;
    narrowest = Math.min(narrowest, countOf(mask));
    if (countOf(mask) === 1 && nodesIn(mask).some((id) => (nodes[id]?.cells.length ?? 0) > 1)) continue;
    if (violates(nodes, mask)) continue;
    if (Object.entries(asked).every(([type, bytes]) => freeOf(nodes, mask, type) + reusable(mask, type) >= bytes)) possible.push(mask);
  }
  return possible.map((mask) => ({ nodes: mask, preferred: countOf(mask) === narrowest }));
}

/** The narrowest of those that are preferred, or of all where none is. */
export function bestHint(hints: readonly TopologyHint[]): TopologyHint | undefined {
  // They come with the narrowest first.
  return hints.find((hint) => hint.preferred) ?? hints[0];
}
