// Which control groups this machine has: version 2 (one tree), version 1 (a tree per controller), or the hybrid in which
// version 2 is mounted but all controllers are in version 1, which is treated as version 1.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type MountInfo, parseMountInfo } from "./mounts.ts";

export interface CgroupSystem {
  readonly version: 1 | 2;
  /** Controller → directory of its tree. In version 2 all are the same directory. */
  readonly controllers: ReadonlyMap<string, string>;
  /** Every tree, also those of controllers that pods do not use: runtimes make groups in all of them. */
  readonly trees: readonly string[];
}

/** The controllers that pods use; others, such as perf_event, stay with the runtime. */
const usedControllers = ["cpu", "cpuacct", "cpuset", "memory", "pids", "hugetlb", "blkio", "io"];

/** Throws where there are no control groups, or none can be used. */
export async function detectCgroups(): Promise<CgroupSystem> {
  const mounts = parseMountInfo(await readFile("/proc/self/mountinfo", "utf8"));
  const unified = mounts.find((mount) => mount.fileSystem === "cgroup2");
  const available = unified ? await readFile(join(unified.mountPoint, "cgroup.controllers"), "utf8") : "";
  const system = chooseCgroups(mounts, available);
  if (!system.controllers.has("memory") || !system.controllers.has("cpu"))
    throw new Error(
      `this machine has no usable control groups: found ${[...system.controllers.keys()].join(", ") || "none"}, need at least cpu and memory`,
    );
  return system;
}

/** `available` is what cgroup.controllers of the version 2 tree holds. */
export function chooseCgroups(mounts: readonly MountInfo[], available: string): CgroupSystem {
  const v1 = new Map<string, string>();
  const trees = [...new Set(mounts.filter((mount) => /^cgroup2?$/.test(mount.fileSystem)).map((mount) => mount.mountPoint))];
  for (const mount of mounts)
    if (mount.fileSystem === "cgroup")
      for (const option of mount.superOptions) if (usedControllers.includes(option) && !v1.has(option)) v1.set(option, mount.mountPoint);
  if (v1.has("memory")) return { version: 1, controllers: v1, trees };
  const unified = mounts.find((mount) => mount.fileSystem === "cgroup2");
  const names = available.split(/\s+/).filter((name) => usedControllers.includes(name));
  return { version: 2, controllers: new Map(unified ? names.map((name) => [name, unified.mountPoint]) : []), trees };
}

/** Where version 2 is mounted beside version 1 and has controllers of its own, which some runtimes refuse. */
export async function hybridCgroups(): Promise<string | undefined> {
  const mounts = parseMountInfo(await readFile("/proc/self/mountinfo", "utf8"));
  const unified = mounts.find((mount) => mount.fileSystem === "cgroup2");
  if (!unified || chooseCgroups(mounts, "").version === 2) return undefined;
  const controllers = await readFile(join(unified.mountPoint, "cgroup.controllers"), "utf8");
  return controllers.trim() === "" ? undefined : unified.mountPoint;
}
