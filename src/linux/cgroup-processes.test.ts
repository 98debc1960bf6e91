import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { moveProcess, parseProcessGroups, processesIn } from "./cgroup-processes.ts";

test("parseProcessGroups() has a path for each controller, and version 2's under the empty name", () => {
  const groups = parseProcessGroups("4:memory:/a\n3:cpu,cpuacct:/b/c\n1:name=systemd:/d\n0::/e:f\n");
  expect(Object.fromEntries(groups)).toEqual({ memory: "/a", cpu: "/b/c", cpuacct: "/b/c", "name=systemd": "/d", "": "/e:f" });
});

test("a process is moved in every tree that pods use, once in each", async () => {
  const root = await mkdtemp(join(tmpdir(), "coracle-cgroups-"));
  try {
    const [cpu, memory] = [join(root, "cpu"), join(root, "memory")];
    for (const tree of [cpu, memory]) await mkdir(join(tree, "daemons"), { recursive: true });
    const controllers = new Map([
      ["cpu", cpu],
      ["cpuacct", cpu],
      ["memory", memory],
    ]);
    const system = { version: 1, controllers, trees: [cpu, memory, join(root, "systemd")] } as const;
    await moveProcess(system, "/daemons", 42);
    expect(await Promise.all([cpu, memory].map((tree) => readFile(join(tree, "daemons", "cgroup.procs"), "utf8")))).toEqual(["42", "42"]);
    await writeFile(join(cpu, "cgroup.procs"), "1\n0\n17\n");
    expect(await processesIn(system, "/")).toEqual([1, 17]);
  } finally {
    await rm(root, { recursive: true });
  }
});
