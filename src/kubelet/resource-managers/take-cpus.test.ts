import { expect, test } from "vitest";
import { formatCpuSet, parseCpuSet } from "./cpu-set.ts";
import { type Cpu, idsOf, topologyOf } from "./cpu-topology.ts";
import { takeCpus } from "./take-cpus.ts";

/** Two sockets of two cores with two threads: threads of core n are n and n + 4. */
const twoSockets = topologyOf(
  Array.from({ length: 8 }, (_, id): Cpu => ({ id, core: id % 4, socket: (id % 4) >> 1, node: (id % 4) >> 1 })),
);
const take = (available: string, count: number): string | undefined => {
  const taken = takeCpus(twoSockets, parseCpuSet(available) ?? [], count);
  return taken && formatCpuSet(taken);
};

test("a list of CPUs is read and written as the kernel does", () => {
  expect(parseCpuSet("0-2,7, 5")).toEqual([0, 1, 2, 5, 7]);
  expect(formatCpuSet([0, 1, 2, 5, 7, 8])).toBe("0-2,5,7-8");
  expect(parseCpuSet("")).toEqual([]);
  for (const wrong of ["a", "3-1", "1-", "1;2"]) expect(parseCpuSet(wrong)).toBeUndefined();
});

test("the topology knows cores and nodes", () => {
  expect(twoSockets).toMatchObject({ cpusPerCore: 2, numaNodes: [0, 1] });
  expect(idsOf(twoSockets)).toHaveLength(8);
});

test("takeCpus() takes both threads of a core, whole sockets, and more than one", () => {
  expect(take("0-7", 2)).toBe("0,4");
  expect(take("0-7", 4)).toBe("0-1,4-5");
  expect(take("0-7", 6)).toBe("0-2,4-6");
  expect(take("0-7", 8)).toBe("0-7");
});

test("takeCpus() fills what is in part use before it breaks into something whole", () => {
  expect(take("1-7", 1)).toBe("4");
  expect(take("1-7", 2)).toBe("1,5");
  // One core is whole; the third thread comes from a core that is broken into already.
  expect(take("2-7", 3)).toBe("2,4,6");
});

test("takeCpus() gives nothing where there are too few", () => {
  expect(take("0-1", 3)).toBeUndefined();
  expect(take("0-1", 0)).toBe("");
});
