// What the memory manager keeps in upstream's file memory_manager_state: {policyName, machineState, entries, checksum}. A state
// of other memory than this machine has, or than is reserved now, is not one to go on with.
import type { CheckpointFormat } from "../resize/checkpoint.ts";
import { goChecksum, goList, goMap } from "./go-checksum.ts";
import { giveBlock, type MemoryBlock, type MemoryNodes, type MemoryTable } from "./memory-nodes.ts";

/** Pod → container → blocks. */
export type MemoryEntries = Readonly<Record<string, Readonly<Record<string, readonly MemoryBlock[]>>>>;

export interface MemoryCheckpoint {
  readonly policyName: string;
  readonly machineState: MemoryNodes;
  /** Absent: there are none. */
  readonly entries?: MemoryEntries;
}

export const memoryCheckpointFormat: CheckpointFormat<MemoryCheckpoint> = {
  encode: (state) => JSON.stringify({ ...state, checksum: checksumOf(state) }),
  decode(text) {
    const { checksum = 0, ...state } = JSON.parse(text) as MemoryCheckpoint & { readonly checksum?: number };
    // Files of old kubelets have none.
    if (checksum !== 0 && checksumOf(state) !== checksum) throw new Error("checkpoint is corrupted");
    return state;
  },
};

function checksumOf({ policyName, machineState, entries = {} }: MemoryCheckpoint): number {
  const table = (of: MemoryTable): string =>
    `<*>{TotalMemSize:(uint64)${of.total} SystemReserved:(uint64)${of.systemReserved} Allocatable:(uint64)${of.allocatable} Reserved:(uint64)${of.reserved} Free:(uint64)${of.free}}`;
  const nodes = goMap(
    machineState,
    (node) =>
      `<*>{NumberOfAssignments:(int)${node.numberOfAssignments} MemoryMap:(map[v1.ResourceName]*state.MemoryTable)${goMap(node.memoryMap, table)} Cells:([]int)${goList(node.cells)}}`,
  );
  const block = (of: MemoryBlock): string =>
    `{NUMAAffinity:([]int)${goList(of.numaAffinity)} Type:(v1.ResourceName)${of.type} Size:(uint64)${of.size}}`;
  const printed = goMap(entries, (containers) => goMap(containers, (blocks) => goList(blocks, block)));
  return goChecksum(
    `(*state.MemoryManagerCheckpoint){PolicyName:(string)${policyName} MachineState:(state.NUMANodeMap)${nodes} Entries:(state.ContainerMemoryAssignments)${printed} Checksum:(checksum.Checksum)0}`,
  );
}

/** Why the state cannot be that of this machine; undefined when it can. `fresh`: the machine with nothing given. */
export function problemOfMemory({ machineState, entries = {} }: MemoryCheckpoint, fresh: MemoryNodes): string | undefined {
  let expected = fresh;
  for (const [pod, containers] of Object.entries(entries))
    for (const [container, blocks] of Object.entries(containers))
      for (const block of blocks) {
        const problem = problemOfBlock(block, fresh);
        if (problem !== undefined) return `[memorymanager] (pod: ${pod}, container: ${container}) the memory assignment uses ${problem}`;
        expected = giveBlock(expected, block);
      }
  return sameNodes(machineState, expected) ? undefined : "[memorymanager] the expected machine state is different from the real one";
}

function problemOfBlock({ numaAffinity, type }: MemoryBlock, fresh: MemoryNodes): string | undefined {
  for (const id of numaAffinity) {
    if (!fresh[id]) return "the NUMA that does not exist";
    if (!fresh[id].memoryMap[type]) return "memory resource that does not exist";
  }
  return undefined;
}

/** Of several nodes that are used together it does not matter which of them gave what. */
function sameNodes(one: MemoryNodes, other: MemoryNodes): boolean {
  const facts = (nodes: MemoryNodes): unknown =>
    sorted(nodes).map(([id, { numberOfAssignments, cells, memoryMap }]) => [
      id,
      numberOfAssignments,
      [...cells].sort((a, b) => a - b),
      sorted(memoryMap).map(([type, { total, systemReserved, allocatable }]) => {
        const sum = (read: (table: MemoryTable) => number): number =>
          cells.reduce((all, cell) => {
            const table = nodes[cell]?.memoryMap[type];
            return all + (table ? read(table) : 0);
          }, 0);
        return [type, total, systemReserved, allocatable, sum((t) => t.free), sum((t) => t.reserved)];
      }),
    ]);
  return JSON.stringify(facts(one)) === JSON.stringify(facts(other));
}

const sorted = <T>(map: Readonly<Record<string, T>>): readonly (readonly [string, T])[] =>
  Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
