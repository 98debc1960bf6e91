// What one process has used since it was started, from /proc/<pid>/stat and statm.
import { hostFile } from "./host-file.ts";

export interface ProcessUsage {
  readonly cpuNanoseconds: number;
  readonly rssBytes: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
}

/** The kernel's USER_HZ is 100 on every architecture that Node runs on. */
const nanosecondsPerTick = 10_000_000;
const pageBytes = 4096;

/** Undefined when there is no such process. */
export async function processUsage(pid: number | "self"): Promise<ProcessUsage | undefined> {
  const [stat, status] = await Promise.all([hostFile(`/proc/${pid}/stat`), hostFile(`/proc/${pid}/status`)]);
  return stat === "" ? undefined : parseProcess(stat, status);
}

/** `stat` has the program's name in parentheses, which may itself hold spaces and parentheses; VmRSS of `status` is in kB. */
export function parseProcess(stat: string, status: string): ProcessUsage {
  const fields = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return {
    cpuNanoseconds: ((fields[11] ?? 0) + (fields[12] ?? 0)) * nanosecondsPerTick,
    rssBytes: kibibytes === undefined ? (fields[21] ?? 0) * pageBytes : Number(kibibytes) * 1024,
    pageFaults: fields[7] ?? 0,
    majorPageFaults: fields[9] ?? 0,
  };
}
