// Sets of CPUs, and the kernel's notation for them: "0-2,7". Sets are sorted lists without duplicates.
import { parseCpuList } from "../configuration/cpu-list.ts";

export type CpuSet = readonly number[];

/** Undefined for what is no list of CPUs; an empty text is an empty set. */
export function parseCpuSet(written: string): CpuSet | undefined {
  if (written.trim() === "") return [];
  const cpus = parseCpuList(written);
  return cpus && cpuSet(cpus);
}

export function formatCpuSet(cpus: CpuSet): string {
  const ranges: [number, number][] = [];
  for (const cpu of cpus) {
    const last = ranges.at(-1);
    if (last && last[1] === cpu - 1) last[1] = cpu;
    else ranges.push([cpu, cpu]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}

export const cpuSet = (cpus: Iterable<number>): CpuSet => [...new Set(cpus)].sort((a, b) => a - b);

export const union = (...sets: readonly CpuSet[]): CpuSet => cpuSet(sets.flat());

export const without = (cpus: CpuSet, others: CpuSet): CpuSet => cpus.filter((cpu) => !others.includes(cpu));

export const intersection = (cpus: CpuSet, others: CpuSet): CpuSet => cpus.filter((cpu) => others.includes(cpu));

export const sameCpus = (a: CpuSet, b: CpuSet): boolean => formatCpuSet(a) === formatCpuSet(b);
