// Pressure stall information: how long work had to wait for CPU, memory and disks, of the machine (/proc/pressure) or of a control
// group of version 2.
import { join } from "node:path";
import type { CgroupSystem } from "./cgroup-system.ts";
import { hostFile } from "./host-file.ts";

export interface PressureShare {
  /** Microseconds since the start. */
  readonly total: number;
  /** Percent of the last 10, 60, 300 seconds. */
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
}

/** `full`: nothing could go on; `some`: something had to wait. */
export interface ResourcePressure {
  readonly full: PressureShare;
  readonly some: PressureShare;
}

export interface Pressure {
  readonly cpu?: ResourcePressure;
  readonly memory?: ResourcePressure;
  readonly io?: ResourcePressure;
}

/** Empty where the kernel does not measure it. */
export function machinePressure(): Promise<Pressure> {
  return readPressures((resource) => `/proc/pressure/${resource}`);
}

/** Empty in version 1, and when there is no such group. */
export async function cgroupPressure(system: CgroupSystem, path: string): Promise<Pressure> {
  const tree = system.version === 2 ? system.controllers.get("memory") : undefined;
  return tree === undefined ? {} : readPressures((resource) => join(tree, path, `${resource}.pressure`));
}

async function readPressures(fileOf: (resource: string) => string): Promise<Pressure> {
  const [cpu, memory, io] = await Promise.all(["cpu", "memory", "io"].map(async (name) => parsePressure(await hostFile(fileOf(name)))));
  return { ...(cpu ? { cpu } : {}), ...(memory ? { memory } : {}), ...(io ? { io } : {}) };
}

/** Lines "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"; older kernels have no full line for the CPU. */
export function parsePressure(text: string): ResourcePressure | undefined {
  const some = shareOf(text, "some");
  return some ? { full: shareOf(text, "full") ?? { total: 0, avg10: 0, avg60: 0, avg300: 0 }, some } : undefined;
}

function shareOf(text: string, kind: string): PressureShare | undefined {
  const match = new RegExp(`^${kind} avg10=(\\S+) avg60=(\\S+) avg300=(\\S+) total=(\\d+)$`, "m").exec(text);
  if (!match) return undefined;
  const [avg10 = 0, avg60 = 0, avg300 = 0, total = 0] = match.slice(1).map(Number);
  return { total, avg10, avg60, avg300 };
}
