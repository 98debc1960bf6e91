// Limits of a control group, in the words of the kubelet, and the files they are written to in either version. Kubernetes
// computes in version 1's CPU shares; version 2's weights follow from them by the function runc uses.

export interface CgroupLimits {
  /** 2 to 262144; 1024 for one CPU. */
  readonly cpuShares?: number;
  /** Microseconds of CPU time per period; -1 for no limit. */
  readonly cpuQuotaUs?: number;
  /** Default 100,000. */
  readonly cpuPeriodUs?: number;
  /** -1 for no limit. */
  readonly memoryBytes?: number;
  /** -1 for no limit. */
  readonly pids?: number;
  /** Version 2 only: memory that is never reclaimed, and that is rather not. 0 for none. */
  readonly memoryMinBytes?: number;
  readonly memoryLowBytes?: number;
  /** Page size ("2MB", "1GB") → bytes. */
  readonly hugepages?: Readonly<Record<string, number>>;
}

export interface CgroupWrite {
  readonly controller: string;
  readonly file: string;
  readonly value: string;
}

const defaultPeriodUs = 100_000;

/** The files to write, in order. */
export function cgroupWrites(version: 1 | 2, limits: CgroupLimits): readonly CgroupWrite[] {
  return version === 1 ? version1Writes(limits) : version2Writes(limits);
}

function version1Writes(limits: CgroupLimits): readonly CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  const add = (controller: string, file: string, value: number | string | undefined): void => {
    if (value !== undefined) writes.push({ controller, file, value: String(value) });
  };
  add("cpu", "cpu.shares", limits.cpuShares);
  if (limits.cpuQuotaUs !== undefined) {
    // The period first: a quota is checked against the period there is.
    add("cpu", "cpu.cfs_period_us", limits.cpuPeriodUs ?? defaultPeriodUs);
    add("cpu", "cpu.cfs_quota_us", limits.cpuQuotaUs);
  }
  add("memory", "memory.limit_in_bytes", limits.memoryBytes);
  add("pids", "pids.max", unlimited(limits.pids));
  for (const [size, bytes] of Object.entries(limits.hugepages ?? {})) add("hugetlb", `hugetlb.${size}.limit_in_bytes`, bytes);
  return writes;
}

function version2Writes(limits: CgroupLimits): readonly CgroupWrite[] {
  const writes: CgroupWrite[] = [];
  const add = (controller: string, file: string, value: number | string | undefined): void => {
    if (value !== undefined) writes.push({ controller, file, value: String(value) });
  };
  if (limits.cpuShares !== undefined) add("cpu", "cpu.weight", cpuWeight(limits.cpuShares));
  if (limits.cpuQuotaUs !== undefined) add("cpu", "cpu.max", `${unlimited(limits.cpuQuotaUs)} ${limits.cpuPeriodUs ?? defaultPeriodUs}`);
  add("memory", "memory.max", unlimited(limits.memoryBytes));
  add("memory", "memory.min", limits.memoryMinBytes);
  add("memory", "memory.low", limits.memoryLowBytes);
  add("pids", "pids.max", unlimited(limits.pids));
  for (const [size, bytes] of Object.entries(limits.hugepages ?? {})) add("hugetlb", `hugetlb.${size}.max`, bytes);
  return writes;
}

/**
 * CPU shares (2 to 262144) as a weight (1 to 10000): a curve through least, default (1024 → 100) and greatest, exact at all
 * three.
 */
export function cpuWeight(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262_144) return 10_000;
  const logarithm = Math.log2(shares);
  return Math.ceil(10 ** ((logarithm * logarithm + 125 * logarithm) / 612 - 7 / 34));
}

function unlimited(value: number | undefined): number | "max" | undefined {
  return value === -1 ? "max" : value;
}
