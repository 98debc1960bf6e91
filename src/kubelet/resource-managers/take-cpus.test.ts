import { expect, test } from "vitest";
import { formatCpuSet, parseCpuSet } from "./cpu-set.ts";
import { type Cpu, idsOf, topologyOf } from "./cpu-topology.ts";
import { type CpuRequest, takeCpus } from "./take-cpus.ts";

/** Two sockets of two cores with two threads: threads of core n are n and n + 4. */
const twoSockets = topologyOf(
  Array.from({ length: 8 }, (_, id): Cpu => ({ id, core: id % 4, socket: (id % 4) >> 1, node: (id % 4) >> 1 })),
);
const take = (available: string, count: number): string | undefined => {
  const taken = takeCpus(twoSockets, { available: parseCpuSet(available) ?? [], count });
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

/** One socket: four nodes of four cores with two threads; threads of core n are n and n + 16. Two nodes share a cache each. */
const fourNodes = topologyOf(
  Array.from({ length: 32 }, (_, id): Cpu => ({ id, core: id % 16, socket: 0, node: (id % 16) >> 2, cache: (id % 16) >> 1 })),
);
const takeOf = (available: string, count: number, options: Omit<CpuRequest, "available" | "count"> = {}): string | undefined => {
  const taken = takeCpus(fourNodes, { available: parseCpuSet(available) ?? [], count, ...options });
  return taken && formatCpuSet(taken);
};

test("spread over cores, containers get a thread of each", () => {
  expect(takeOf("0-31", 3)).toBe("0-1,16");
  expect(takeOf("0-31", 3, { spread: true })).toBe("0-2");
  // Too few cores are left: their other threads come last.
  expect(takeOf("0-1,16-17", 3, { spread: true })).toBe("0-1,16");
});

test("by caches, containers stay within as few of them as possible", () => {
  // Caches have two cores: of the first one half is taken.
  expect(takeOf("1-15,17-31", 4)).toBe("1-2,17-18"); // biome-ignore format: one line says it
  expect(takeOf("1-15,17-31", 4, { byCache: true })).toBe("2-3,18-19");
  expect(takeOf("0-31", 2, { byCache: true })).toBe("0,16");
  expect(takeOf("0-31", 6, { byCache: true })).toBe("0-2,16-18");
});

test("distributed, nodes that are too small alone give equal parts", () => {
  expect(takeOf("0-31", 8, { distributedBy: 1 })).toBe("0-3,16-19");
  // Ten do not fit on one node: five of each of two, instead of eight and two.
  expect(takeOf("0-31", 10)).toBe("0-4,16-20");
  expect(takeOf("0-31", 10, { distributedBy: 1 })).toBe("0-2,4-6,16-17,20-21");
  // In whole cores, one node gives one more.
  expect(takeOf("0-31", 10, { distributedBy: 2 })).toBe("0-2,4-5,16-18,20-21");
  // What is half a core cannot be parted by cores.
  expect(takeOf("0-31", 9, { distributedBy: 2 })).toBe("0-4,16-19");
  expect(takeOf("0-1,4", 3, { distributedBy: 1 })).toBe("0-1,4");
});

test("distributed, what does not divide evenly goes where most is left", () => {
  // Of the first two nodes a core is taken, the third is free: six and seven of thirteen.
  const taken = parseCpuSet(takeOf("0-2,16-18,4-6,20-22,8-11,24-27", 13, { distributedBy: 1 }) ?? "") ?? [];
  const on = (node: number): number => taken.filter((id) => fourNodes.cpus[id]?.node === node).length;
  expect([on(0), on(1), on(2)]).toEqual([6, 0, 7]);
});

test("takeCpus() gives nothing where there are too few", () => {
  expect(take("0-1", 3)).toBeUndefined();
  expect(take("0-1", 0)).toBe("");
});
