// Control groups of pods, made and removed directly in the cgroup file system (the kubelet's "cgroupfs" driver). A group is
// named by its path from the root of the trees, the same in all of them, which is also what CRI takes as cgroup_parent:
//   /coracle-1a2b3c4d/kubepods/burstable/pod<uid>
import { mkdir, open, readdir, readFile, rmdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { type CgroupLimits, cgroupWrites } from "./cgroup-limits.ts";
import type { CgroupSystem } from "./cgroup-system.ts";
import { type CgroupUsage, readUsage } from "./cgroup-usage.ts";

export type { CgroupLimits } from "./cgroup-limits.ts";
export { type CgroupSystem, detectCgroups } from "./cgroup-system.ts";
export type { CgroupUsage } from "./cgroup-usage.ts";

export interface Cgroups {
  readonly version: 1 | 2;
  /** Makes the group where it is missing, its parents too, and sets the limits given. */
  ensure(path: string, limits?: CgroupLimits): Promise<void>;
  /** Sets the limits given and leaves the others. Controllers this machine lacks are passed over. */
  update(path: string, limits: CgroupLimits): Promise<void>;
  exists(path: string): Promise<boolean>;
  /** Kills what still runs in the group and in those below, and removes them all. Nothing happens when there is none. */
  remove(path: string): Promise<void>;
  /** The names of the groups directly below. */
  children(path: string): Promise<readonly string[]>;
  /** The processes of the group and of those below. */
  processes(path: string): Promise<readonly number[]>;
  /** Undefined when there is no such group. */
  usage(path: string): Promise<CgroupUsage | undefined>;
}

const removalTimeoutMs = 10_000;

export function createCgroups(system: CgroupSystem, { clock }: { readonly clock: Clock }): Cgroups {
  const trees = [...new Set(system.controllers.values())];
  const directories = (path: string): readonly string[] => trees.map((tree) => join(tree, path));

  const ensureIn = async (tree: string, path: string): Promise<void> => {
    let directory = tree;
    for (const part of path.split("/").filter((p) => p !== "")) {
      if (system.version === 2) await delegateControllers(directory, [...system.controllers.keys()]);
      const parent = directory;
      directory = join(directory, part);
      await mkdir(directory, { recursive: true });
      if (system.version === 1 && tree === system.controllers.get("cpuset")) await inheritCpuset(parent, directory);
    }
  };
  const update = async (path: string, limits: CgroupLimits): Promise<void> => {
    for (const { controller, file, value } of cgroupWrites(system.version, limits)) {
      const tree = system.controllers.get(controller);
      if (tree === undefined) continue;
      const target = join(tree, path, file);
      await writeFile(target, value).catch((cause: unknown) => {
        throw new Error(`setting ${target} to ${value}`, { cause });
      });
    }
  };
  const processes = async (path: string): Promise<readonly number[]> => {
    const found = new Set<number>();
    for (const directory of directories(path)) for (const pid of await processesBelow(directory)) found.add(pid);
    return [...found];
  };
  return {
    version: system.version,
    update,
    processes,
    async ensure(path, limits) {
      for (const tree of trees) await ensureIn(tree, path);
      if (limits) await update(path, limits);
    },
    async exists(path) {
      const present = await Promise.all(directories(path).map(isDirectory));
      return present.every(Boolean);
    },
    async remove(path) {
      if (path.split("/").every((part) => part === "")) throw new Error("the root control group cannot be removed");
      const deadline = clock.monotonic() + removalTimeoutMs;
      for (;;) {
        // All at once, also those that are being made; kernels before 5.14 have them killed one by one.
        if (system.version === 2) await killGroup(system.trees.map((tree) => join(tree, path)));
        for (const pid of await processes(path)) kill(pid);
        const busy = await Promise.all(system.trees.map((tree) => removeTree(join(tree, path))));
        if (!busy.some(Boolean)) return;
        if (clock.monotonic() > deadline) throw new Error(`control group ${path} is still in use after ${removalTimeoutMs} ms`);
        await clock.sleep(10);
      }
    },
    async children(path) {
      const [directory = "/"] = directories(path);
      return subdirectories(directory);
    },
    usage: (path) => readUsage(system, path),
  };
}

/** In version 2 a group gets only the controllers its parent hands down. */
async function delegateControllers(directory: string, controllers: readonly string[]): Promise<void> {
  const file = join(directory, "cgroup.subtree_control");
  const active = (await readFile(file, "utf8")).split(/\s+/);
  const available = (await readFile(join(directory, "cgroup.controllers"), "utf8")).split(/\s+/);
  const missing = controllers.filter((name) => available.includes(name) && !active.includes(name));
  if (missing.length === 0) return;
  await writeFile(file, missing.map((name) => `+${name}`).join(" ")).catch((cause: unknown) => {
    throw new Error(`handing ${missing.join(", ")} down from control group ${directory}`, { cause });
  });
}

/** In version 1 a new cpuset is empty, and takes no process until it has CPUs and memory nodes. */
async function inheritCpuset(parent: string, child: string): Promise<void> {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    const own = (await readFile(join(child, file), "utf8")).trim();
    if (own === "") await writeFile(join(child, file), (await readFile(join(parent, file), "utf8")).trim());
  }
}

async function processesBelow(directory: string): Promise<readonly number[]> {
  const own = await readFile(join(directory, "cgroup.procs"), "utf8").catch(() => "");
  const pids = own
    .split("\n")
    .filter((line) => line !== "")
    .map(Number);
  for (const name of await subdirectories(directory)) pids.push(...(await processesBelow(join(directory, name))));
  return pids;
}

/** Deepest first. Whether something is left, because processes have not ended yet. */
async function removeTree(directory: string): Promise<boolean> {
  let busy = false;
  for (const name of await subdirectories(directory)) busy = (await removeTree(join(directory, name))) || busy;
  try {
    await rmdir(directory);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EBUSY" || code === "ENOTEMPTY") return true;
    if (code !== "ENOENT") throw error;
  }
  return busy;
}

async function subdirectories(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function killGroup(directories: readonly string[]): Promise<void> {
  for (const directory of directories) {
    const file = await open(join(directory, "cgroup.kill"), "r+").catch(() => undefined);
    if (!file) continue;
    await file.write("1").finally(() => file.close());
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
