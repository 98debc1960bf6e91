// Which control group a process is in, and how it gets into another one: for daemons, which no runtime places. In version 1 a
// process has a place in each tree; it is moved in all of those that pods use, so that what it uses is counted in one group.
import { readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CgroupSystem } from "./cgroup-system.ts";
import { hostFile } from "./host-file.ts";

const treesOf = (system: CgroupSystem): readonly string[] => [...new Set(system.controllers.values())];

/** Moves a process, all of its threads with it, into a group that exists. */
export async function moveProcess(system: CgroupSystem, path: string, pid: number): Promise<void> {
  for (const tree of treesOf(system)) await writeFile(join(tree, path, "cgroup.procs"), String(pid));
}

/** Those of the group itself, not of the ones below it. */
export async function processesIn(system: CgroupSystem, path: string): Promise<readonly number[]> {
  const tree = system.controllers.get("cpu") ?? treesOf(system)[0] ?? "";
  const written = await readFile(join(tree, path, "cgroup.procs"), "utf8");
  return written
    .split("\n")
    .filter((line) => line !== "" && line !== "0")
    .map(Number);
}

/** Where the process is; undefined where it is in different places. */
export async function groupOf(system: CgroupSystem, pid: number): Promise<string | undefined> {
  const places = parseProcessGroups(await hostFile(`/proc/${pid}/cgroup`));
  if (system.version === 2) return places.get("");
  const found = new Set([...system.controllers.keys()].map((controller) => places.get(controller)));
  const [only] = found;
  return found.size === 1 ? only : undefined;
}

/** /proc/PID/cgroup: controller → path; version 2's tree has the name "". */
export function parseProcessGroups(text: string): ReadonlyMap<string, string> {
  const places = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers !== undefined && path !== undefined) for (const controller of controllers.split(",")) places.set(controller, path);
  }
  return places;
}

/** The kernel's own threads have no program, and stay where they are. */
export async function isKernelThread(pid: number): Promise<boolean> {
  return readlink(`/proc/${pid}/exe`).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === "ENOENT",
  );
}

/** Whether a process is in the machine's own name space of processes, not in a container's; so, too, where that cannot be told. */
export async function runsOnHost(pid: number): Promise<boolean> {
  const [own, machine] = await Promise.all([pid, 1].map((of) => readlink(`/proc/${of}/ns/pid`).catch(() => undefined)));
  return own === undefined || machine === undefined || own === machine;
}
