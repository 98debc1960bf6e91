import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readDetails } from "./cgroup-details.ts";
import { readUsage } from "./cgroup-usage.ts";

let tree: string;
beforeEach(async () => {
  tree = await mkdtemp(join(tmpdir(), "coracle-cgroup-"));
  await mkdir(join(tree, "pod"));
});
afterEach(() => rm(tree, { recursive: true, force: true }));

const write = async (files: Readonly<Record<string, string>>): Promise<void> => {
  for (const [name, text] of Object.entries(files)) await writeFile(join(tree, "pod", name), text);
};
const system = (version: 1 | 2) => ({
  version,
  controllers: new Map(["cpu", "cpuacct", "memory", "pids"].map((name) => [name, tree])),
  trees: [tree],
});

test("version 1: times in ticks, a quota of -1 is none", async () => {
  await write({
    "cpuacct.stat": "user 150\nsystem 50\n",
    "cpu.stat": "nr_periods 9\nnr_throttled 4\nthrottled_time 12345\n",
    "cpu.cfs_quota_us": "-1\n",
    "cpu.cfs_period_us": "100000\n",
    "cpu.shares": "102\n",
    "memory.stat": "cache 1\ntotal_cache 4096\ntotal_mapped_file 512\n",
    "memory.max_usage_in_bytes": "9000\n",
    "memory.failcnt": "3\n",
    "memory.soft_limit_in_bytes": "9223372036854771712\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "pids.current": "5\n",
    "pids.max": "max\n",
  });
  expect(await readDetails(system(1), "/pod")).toEqual({
    ...{ userNanoseconds: 1_500_000_000, systemNanoseconds: 500_000_000, periods: 9, throttledPeriods: 4, throttledNanoseconds: 12345 },
    ...{ cpuPeriodUs: 100_000, cpuShares: 102, cacheBytes: 4096, mappedFileBytes: 512, peakBytes: 9000, limitHits: 3 },
    ...{ reservedBytes: 0, oomKills: 2, threads: 5, threadsMax: 0 },
  });
});

test("version 2: times in microseconds, the weight as shares", async () => {
  await write({
    "cpu.stat": "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 9\nnr_throttled 4\nthrottled_usec 7\n",
    "cpu.max": "50000 100000\n",
    "cpu.weight": "100\n",
    "memory.stat": "anon 1\nfile 4096\nkernel 64\nfile_mapped 512\ninactive_file 8\nactive_file 16\n",
    "memory.min": "1024\n",
    "memory.swap.max": "max\n",
    "pids.current": "2\n",
    "pids.max": "100\n",
    "memory.peak": "9000\n",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n",
  });
  expect(await readDetails(system(2), "/pod")).toEqual({
    ...{ userNanoseconds: 20_000, systemNanoseconds: 10_000, periods: 9, throttledPeriods: 4, throttledNanoseconds: 7000 },
    ...{ cpuQuotaUs: 50_000, cpuPeriodUs: 100_000, cpuShares: 2597, cacheBytes: 4096, mappedFileBytes: 512, peakBytes: 9000, limitHits: 3 },
    ...{ kernelBytes: 64, activeFileBytes: 16, inactiveFileBytes: 8, reservedBytes: 1024, swapLimitBytes: 0 },
    ...{ oomKills: 1, threads: 2, threadsMax: 100 },
  });
});

test("a group that is not there has no details", async () => {
  expect(await readDetails(system(1), "/other")).toEqual({});
  expect(await readDetails(system(2), "/other")).toEqual({});
});

test("readUsage() tells of swap where it is accounted for", async () => {
  await write({ "memory.current": "100\n", "memory.stat": "", "memory.swap.current": "40\n", "cpu.stat": "", "memory.max": "max" });
  expect((await readUsage(system(2), "/pod"))?.swapBytes).toBe(40);
  await write({ "memory.usage_in_bytes": "100\n", "memory.memsw.usage_in_bytes": "130\n", "cpuacct.usage": "0" });
  expect((await readUsage(system(1), "/pod"))?.swapBytes).toBe(30);
});
