// Which CPUs belong to whom: those of single containers, and those all others share. Kept in upstream's file cpu_manager_state:
// {policyName, defaultCpuSet, entries: {pod: {container: cpus}}, checksum}.
import type { CheckpointFormat } from "../resize/checkpoint.ts";
import { type CpuSet, formatCpuSet, intersection, parseCpuSet, sameCpus, union } from "./cpu-set.ts";
import { goChecksum, goMap } from "./go-checksum.ts";

export interface CpuCheckpoint {
  readonly policyName: string;
  readonly defaultCpuSet: string;
  /** Pod → container → CPUs. Absent: there are none. */
  readonly entries?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface CpuState {
  readonly shared: CpuSet;
  /** Pod → container. */
  readonly exclusive: ReadonlyMap<string, ReadonlyMap<string, CpuSet>>;
}

export const cpuCheckpointFormat: CheckpointFormat<CpuCheckpoint> = {
  encode: (state) => JSON.stringify({ ...state, checksum: checksumOf(state) }),
  decode(text) {
    const { checksum, ...state } = JSON.parse(text) as CpuCheckpoint & { readonly checksum: number };
    if (checksumOf(state) !== checksum) throw new Error("checkpoint is corrupted");
    return state;
  },
};

/** Without entries Go has an empty map, which it leaves out of the file. */
function checksumOf({ policyName, defaultCpuSet, entries = {} }: CpuCheckpoint): number {
  const printed = goMap(entries, (containers) => goMap(containers, String));
  return goChecksum(
    `(*state.CPUManagerCheckpoint){PolicyName:(string)${policyName} DefaultCPUSet:(string)${defaultCpuSet} Entries:(map[string]map[string]string)${printed} Checksum:(checksum.Checksum)0}`,
  );
}

/** Throws an Error with upstream's message for what cannot be taken over. */
export function restoreCpuState({ policyName, defaultCpuSet, entries = {} }: CpuCheckpoint, policy: string): CpuState {
  if (policyName !== policy)
    throw new Error(`configured policy ${JSON.stringify(policy)} differs from state checkpoint policy ${JSON.stringify(policyName)}`);
  const shared = parseCpuSet(defaultCpuSet);
  if (!shared) throw new Error(`could not parse default cpu set ${JSON.stringify(defaultCpuSet)}`);
  const exclusive = new Map<string, Map<string, CpuSet>>();
  for (const [pod, containers] of Object.entries(entries)) {
    const of = new Map<string, CpuSet>();
    for (const [container, written] of Object.entries(containers)) {
      const cpus = parseCpuSet(written);
      if (!cpus)
        throw new Error(
          `could not parse cpuset ${JSON.stringify(written)} for container ${JSON.stringify(container)} in pod ${JSON.stringify(pod)}`,
        );
      of.set(container, cpus);
    }
    exclusive.set(pod, of);
  }
  return { shared, exclusive };
}

export function toCheckpoint(policyName: string, { shared, exclusive }: CpuState): CpuCheckpoint {
  const entries = Object.fromEntries(
    [...exclusive].map(([pod, of]) => [pod, Object.fromEntries([...of].map(([name, cpus]) => [name, formatCpuSet(cpus)]))]),
  );
  return { policyName, defaultCpuSet: formatCpuSet(shared), ...(exclusive.size > 0 ? { entries } : {}) };
}

/** Why the state cannot be that of this machine; undefined when it can. An empty one is none yet. */
export function problemOfState(
  { shared, exclusive }: CpuState,
  { all, reserved, strict }: { readonly all: CpuSet; readonly reserved: CpuSet; readonly strict: boolean },
): string | undefined {
  if (shared.length === 0) return exclusive.size > 0 ? "default cpuset cannot be empty" : undefined;
  const both = intersection(reserved, shared);
  if (strict && both.length > 0)
    return `some of strictly reserved cpus: "${formatCpuSet(both)}" are present in defaultCpuSet: "${formatCpuSet(shared)}"`;
  if (!strict && both.length < reserved.length)
    return `not all reserved cpus: "${formatCpuSet(reserved)}" are present in defaultCpuSet: "${formatCpuSet(shared)}"`;
  for (const [pod, containers] of exclusive)
    for (const [container, cpus] of containers)
      if (intersection(shared, cpus).length > 0)
        return `pod: ${pod}, container: ${container} cpuset: "${formatCpuSet(cpus)}" overlaps with default cpuset "${formatCpuSet(shared)}"`;
  const known = union(shared, ...[...exclusive.values()].flatMap((of) => [...of.values()]), ...(strict ? [reserved] : []));
  if (sameCpus(known, all)) return undefined;
  return `current set of available CPUs "${formatCpuSet(all)}" doesn't match with CPUs in state "${formatCpuSet(known)}"`;
}
