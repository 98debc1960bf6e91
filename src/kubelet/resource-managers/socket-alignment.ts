// The option align-by-socket: CPUs count as near to each other when they are of one socket, whatever its NUMA nodes. Pure.
import type { CpuSet } from "./cpu-set.ts";
import type { Cpu, CpuTopology } from "./cpu-topology.ts";
import { hasNode, type NodeMask } from "./node-mask.ts";
import type { TopologyHint } from "./topology-hints.ts";

const on = (cpus: readonly Cpu[], nodes: NodeMask): readonly Cpu[] => cpus.filter((cpu) => hasNode(nodes, cpu.node));
const socketsOf = (cpus: readonly Cpu[]): ReadonlySet<number> => new Set(cpus.map((cpu) => cpu.socket));

/** All CPUs of the sockets that these nodes are of. */
export function socketCpus({ cpus }: CpuTopology, nodes: NodeMask): CpuSet {
  const sockets = socketsOf(on(cpus, nodes));
  return cpus.filter((cpu) => sockets.has(cpu.socket)).map((cpu) => cpu.id);
}

/** Preferred are, besides those of the fewest nodes, all of no more sockets than so many CPUs need. */
export function preferSockets(topology: CpuTopology, hints: readonly TopologyHint[], count: number): readonly TopologyHint[] {
  const { cpus, numaNodes } = topology;
  const nodesPerSocket = Math.floor(numaNodes.length / socketsOf(cpus).size);
  if (nodesPerSocket === 0) return hints;
  const fewest = Math.ceil(fewestNodes(topology, count) / nodesPerSocket);
  return hints.map(({ nodes = 0, preferred }) => ({ nodes, preferred: preferred || socketsOf(on(cpus, nodes)).size === fewest }));
}

/** That have so many CPUs, taken or not. */
function fewestNodes({ cpus, numaNodes }: CpuTopology, count: number): number {
  const sizes = numaNodes.map((node) => cpus.filter((cpu) => cpu.node === node).length).sort((a, b) => b - a);
  let [nodes, sum] = [0, 0];
  for (const size of sizes) {
    if (sum >= count) break;
    sum += size;
    nodes++;
  }
  return nodes;
}
