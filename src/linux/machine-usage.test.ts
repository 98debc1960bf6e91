import { expect, test } from "vitest";
import { parseMachine } from "./machine-usage.ts";
import { parseProcess } from "./process-usage.ts";

const files = {
  stat: "cpu  100 10 50 9000 300 5 6 7 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n",
  meminfo:
    "MemTotal:        1000 kB\nMemFree:          400 kB\nInactive(file):   100 kB\nAnonPages:        200 kB\nSwapTotal:         50 kB\nSwapFree:          20 kB",
  vmstat: "pgfault 77\npgmajfault 3",
  cpuStat: "",
};

test("parseMachine() without control groups reckons from /proc: busy time, and memory that is not free", () => {
  expect(parseMachine(files, undefined)).toEqual({
    cpuNanoseconds: 171 * 10_000_000,
    memoryTotalBytes: 1000 * 1024,
    memoryBytes: 600 * 1024,
    workingSetBytes: 500 * 1024,
    rssBytes: 200 * 1024,
    pageFaults: 77,
    majorPageFaults: 3,
    swapTotalBytes: 50 * 1024,
    swapFreeBytes: 20 * 1024,
  });
});

test("parseMachine() takes version 2's CPU time from the root group, and everything from version 1's", () => {
  expect(parseMachine({ ...files, cpuStat: "usage_usec 1234\nuser_usec 1000" }, undefined).cpuNanoseconds).toBe(1_234_000);
  const root = { cpuNanoseconds: 5, memoryBytes: 9, workingSetBytes: 8, rssBytes: 7, pageFaults: 6, majorPageFaults: 4 };
  expect(parseMachine(files, root)).toMatchObject({ ...root, memoryTotalBytes: 1000 * 1024 });
});

test("parseProcess() reads times after a name with spaces and parentheses", () => {
  const stat = "42 (a (b) c) S 1 1 1 0 -1 0 11 0 2 0 30 20 0 0 20 0 7 0 100 5000 6 18446744073709551615";
  expect(parseProcess(stat, "Name:\ta\nVmRSS:\t   640 kB\n")).toEqual({
    cpuNanoseconds: 500_000_000,
    rssBytes: 640 * 1024,
    pageFaults: 11,
    majorPageFaults: 2,
  });
  expect(parseProcess(stat, "").rssBytes).toBe(6 * 4096);
});
