// What a control group has had of its limits, beside what it uses: throttling, page cache, the limits themselves. Only those who
// ask for it in full (the kubelet's /metrics/cadvisor) read it.
import { join } from "node:path";
import type { CgroupSystem } from "./cgroup-system.ts";
import { hostFile } from "./host-file.ts";

export interface CgroupDetails {
  readonly userNanoseconds?: number;
  readonly systemNanoseconds?: number;
  /** Of the CPU quota. */
  readonly periods?: number;
  readonly throttledPeriods?: number;
  readonly throttledNanoseconds?: number;
  /** Periods in which more than the quota was taken from what was saved up. */
  readonly bursts?: number;
  readonly burstNanoseconds?: number;
  /** Undefined without a quota. */
  readonly cpuQuotaUs?: number;
  readonly cpuPeriodUs?: number;
  /** In version 1's terms, 2 to 262144. */
  readonly cpuShares?: number;
  readonly cacheBytes?: number;
  readonly mappedFileBytes?: number;
  readonly peakBytes?: number;
  /** How often the memory limit was met. */
  readonly limitHits?: number;
  readonly activeFileBytes?: number;
  readonly inactiveFileBytes?: number;
  /** Of the kernel itself. */
  readonly kernelBytes?: number;
  /** Memory that is kept for the group, and its limit of memory and swap; 0 for none. */
  readonly reservedBytes?: number;
  readonly swapLimitBytes?: number;
  /** Processes that the kernel has killed for want of memory. */
  readonly oomKills?: number;
  readonly threads?: number;
  /** 0 for no limit. */
  readonly threadsMax?: number;
}

type Read = (controller: string, file: string) => Promise<string>;

const nanosecondsPerTick = 10_000_000;

/** Empty when there is no such group. */
export function readDetails(system: CgroupSystem, path: string): Promise<CgroupDetails> {
  const read: Read = (controller, file) => {
    const tree = system.controllers.get(controller);
    return tree === undefined ? Promise.resolve("") : hostFile(join(tree, path, file));
  };
  return system.version === 1 ? readVersion1(read) : readVersion2(read);
}

async function readVersion1(read: Read): Promise<CgroupDetails> {
  const [threads, threadsMax] = await threadsOf(read);
  const [kernel, reserved, swap, oom] = await Promise.all([
    read("memory", "memory.kmem.usage_in_bytes"),
    read("memory", "memory.soft_limit_in_bytes"),
    read("memory", "memory.memsw.limit_in_bytes"),
    read("memory", "memory.oom_control"),
  ]);
  const [times, throttling, quota, period, shares, memory, peak, hits] = await Promise.all([
    read("cpuacct", "cpuacct.stat"),
    read("cpu", "cpu.stat"),
    read("cpu", "cpu.cfs_quota_us"),
    read("cpu", "cpu.cfs_period_us"),
    read("cpu", "cpu.shares"),
    read("memory", "memory.stat"),
    read("memory", "memory.max_usage_in_bytes"),
    read("memory", "memory.failcnt"),
  ]);
  return known({
    userNanoseconds: scaled(lineOf(times, "user"), nanosecondsPerTick),
    systemNanoseconds: scaled(lineOf(times, "system"), nanosecondsPerTick),
    periods: lineOf(throttling, "nr_periods"),
    throttledPeriods: lineOf(throttling, "nr_throttled"),
    throttledNanoseconds: lineOf(throttling, "throttled_time"),
    bursts: lineOf(throttling, "nr_bursts"),
    burstNanoseconds: lineOf(throttling, "burst_time"),
    cpuQuotaUs: Number(quota) > 0 ? Number(quota) : undefined,
    cpuPeriodUs: numberOf(period),
    cpuShares: numberOf(shares),
    cacheBytes: lineOf(memory, "total_cache"),
    mappedFileBytes: lineOf(memory, "total_mapped_file"),
    peakBytes: numberOf(peak),
    limitHits: numberOf(hits),
    ...{ threads, threadsMax, oomKills: lineOf(oom, "oom_kill"), kernelBytes: numberOf(kernel) },
    ...{ activeFileBytes: lineOf(memory, "total_active_file"), inactiveFileBytes: lineOf(memory, "total_inactive_file") },
    ...{ reservedBytes: limitOf(reserved), swapLimitBytes: limitOf(swap) },
  });
}

async function readVersion2(read: Read): Promise<CgroupDetails> {
  const [threads, threadsMax] = await threadsOf(read);
  const [reserved, swap] = await Promise.all([read("memory", "memory.min"), read("memory", "memory.swap.max")]);
  const [cpu, max, weight, memory, peak, events] = await Promise.all([
    read("cpu", "cpu.stat"),
    read("cpu", "cpu.max"),
    read("cpu", "cpu.weight"),
    read("memory", "memory.stat"),
    read("memory", "memory.peak"),
    read("memory", "memory.events"),
  ]);
  const [quota = "", period = ""] = max.split(" ");
  const weighed = numberOf(weight);
  return known({
    userNanoseconds: scaled(lineOf(cpu, "user_usec"), 1000),
    systemNanoseconds: scaled(lineOf(cpu, "system_usec"), 1000),
    periods: lineOf(cpu, "nr_periods"),
    throttledPeriods: lineOf(cpu, "nr_throttled"),
    throttledNanoseconds: scaled(lineOf(cpu, "throttled_usec"), 1000),
    bursts: lineOf(cpu, "nr_bursts"),
    burstNanoseconds: scaled(lineOf(cpu, "burst_usec"), 1000),
    cpuQuotaUs: numberOf(quota),
    cpuPeriodUs: numberOf(period),
    // The inverse of what runtimes make of shares.
    cpuShares: weighed === undefined ? undefined : 2 + Math.floor(((weighed - 1) * 262_142) / 9999),
    cacheBytes: lineOf(memory, "file"),
    mappedFileBytes: lineOf(memory, "file_mapped"),
    peakBytes: numberOf(peak),
    limitHits: lineOf(events, "max"),
    ...{ threads, threadsMax, oomKills: lineOf(events, "oom_kill"), kernelBytes: lineOf(memory, "kernel") },
    ...{ activeFileBytes: lineOf(memory, "active_file"), inactiveFileBytes: lineOf(memory, "inactive_file") },
    ...{ reservedBytes: limitOf(reserved), swapLimitBytes: limitOf(swap) },
  });
}

/** How many there are, and may be. */
async function threadsOf(read: Read): Promise<readonly [number | undefined, number | undefined]> {
  const [current, most] = await Promise.all([read("pids", "pids.current"), read("pids", "pids.max")]);
  return [numberOf(current), limitOf(most)];
}

/** The kernel writes none as "max", or as a number that no machine has. */
function limitOf(text: string): number | undefined {
  if (text === "max") return 0;
  const limit = numberOf(text);
  return limit !== undefined && limit >= 2 ** 62 ? 0 : limit;
}

function lineOf(text: string, name: string): number | undefined {
  const value = new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1];
  return value === undefined ? undefined : Number(value);
}

const numberOf = (text: string): number | undefined => (/^\d+$/.test(text) ? Number(text) : undefined);
const scaled = (value: number | undefined, by: number): number | undefined => (value === undefined ? undefined : value * by);

function known(values: { readonly [key in keyof CgroupDetails]: number | undefined }): CgroupDetails {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as CgroupDetails;
}
