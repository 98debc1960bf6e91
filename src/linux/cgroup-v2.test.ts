// Version 2 on the kernel itself. Machines in the hybrid have one controller of it, or none, in the tree "unified": enough to
// hand it down, to set its limits, and to end what runs in a group, whoever is in it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { realClock } from "../base/clock.ts";
import { createCgroups } from "./cgroups.ts";
import { parseMountInfo } from "./mounts.ts";

interface Tree {
  readonly root: string;
  readonly controllers: readonly string[];
}

async function unifiedTree(): Promise<Tree | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return undefined;
  const mounts = parseMountInfo(await readFile("/proc/self/mountinfo", "utf8"));
  const root = mounts.find((mount) => mount.fileSystem === "cgroup2")?.mountPoint;
  if (root === undefined) return undefined;
  const controllers = (await readFile(join(root, "cgroup.controllers"), "utf8")).split(/\s+/).filter((name) => name !== "");
  return { root, controllers };
}

const tree = await unifiedTree();
if (!tree) console.log("version 2 of control groups is not tried: it needs root, and a mounted tree");

describe.runIf(tree !== undefined)("createCgroups() on a tree of version 2", () => {
  test("hands controllers down, sets limits, and ends everything in a group that is removed", async () => {
    const { root, controllers } = tree as Tree;
    const used = controllers.filter((name) => ["hugetlb", "pids", "memory", "cpu"].includes(name));
    const system = { version: 2 as const, controllers: new Map([...used, "unified"].map((name) => [name, root])), trees: [root] };
    const cgroups = createCgroups(system, { clock: realClock });
    const group = `/coracle-test-${process.pid}`;
    const child = spawn("sh", ["-c", "sh -c 'sleep 600; true' & sleep 600; true"], { stdio: "ignore" });
    const ended = once(child, "exit");
    try {
      const hugepages = used.includes("hugetlb") ? { hugepages: { "2MB": 4 * 2 ** 20 } } : {};
      await cgroups.ensure(`${group}/pod1`, hugepages);
      if (used.includes("hugetlb")) expect(await readFile(join(root, group, "pod1/hugetlb.2MB.max"), "utf8")).toBe("4194304\n");
      await writeFile(join(root, group, "pod1/cgroup.procs"), String(child.pid));
      expect(await cgroups.processes(group)).toContain(child.pid);
      await cgroups.remove(group);
      expect(await cgroups.exists(group)).toBe(false);
      expect((await ended)[1]).toBe("SIGKILL");
    } finally {
      child.kill("SIGKILL");
      await cgroups.remove(group);
    }
  });
});
