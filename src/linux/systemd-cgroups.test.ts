// systemd does not run on every machine that tests run on: what would be asked of it is looked at, with a stand-in for busctl.
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { realClock } from "../base/clock.ts";
import { createCgroups } from "./cgroups.ts";
import { createSystemdCgroups } from "./systemd-cgroups.ts";
import { createSystemdUnits, type SystemdUnits } from "./systemd-units.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "systemd-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const path = "/kubepods.slice/kubepods-burstable.slice";

function remembering(): { readonly units: SystemdUnits; readonly calls: unknown[] } {
  const calls: unknown[] = [];
  const units: SystemdUnits = {
    startSlice: async (name, properties) => void calls.push(["start", name, properties]),
    setProperties: async (name, properties) => void calls.push(["set", name, properties]),
    stop: async (name) => void calls.push(["stop", name]),
  };
  return { units, calls };
}

async function groups(version: 1 | 2) {
  const tree = join(directory, "tree");
  await mkdir(tree, { recursive: true });
  if (version === 2)
    for (const file of ["cgroup.controllers", "cgroup.subtree_control"]) {
      for (const at of ["", "kubepods.slice"]) {
        await mkdir(join(tree, at), { recursive: true });
        await writeFile(join(tree, at, file), "cpu memory pids");
      }
    }
  const controllers = new Map(["cpu", "memory", "pids"].map((name) => [name, tree]));
  return { tree, files: createCgroups({ version, controllers, trees: [tree] }, { clock: realClock }) };
}

describe("createSystemdCgroups()", () => {
  test("starts a slice after those above it, and tells its limits to systemd and to the kernel", async () => {
    const { tree, files } = await groups(1);
    const { units, calls } = remembering();
    const cgroups = createSystemdCgroups(files, units);
    await cgroups.ensure(path, { cpuShares: 512, cpuQuotaUs: 25_000, memoryBytes: 4096, pids: -1 });
    expect(calls).toEqual([
      ["start", "kubepods.slice", expect.arrayContaining([["DefaultDependencies", "b", false]])],
      ["start", "kubepods-burstable.slice", expect.arrayContaining([["Wants", "as", ["kubepods.slice"]]])],
      [
        "set",
        "kubepods-burstable.slice",
        [
          ["CPUShares", "t", 512],
          ["CPUQuotaPerSecUSec", "t", 250_000],
          ["MemoryLimit", "t", 4096],
          ["TasksMax", "t", "18446744073709551615"],
        ],
      ],
    ]);
    expect(await readFile(join(tree, path, "cpu.shares"), "utf8")).toBe("512");
    calls.length = 0;
    await cgroups.ensure(path);
    expect(calls).toEqual([]);
  });

  test("speaks of weights and kept memory in version 2, and stops the unit of a group that is removed", async () => {
    const { files } = await groups(2);
    const { units, calls } = remembering();
    const cgroups = createSystemdCgroups(files, units);
    await cgroups.ensure(path, {});
    calls.length = 0;
    await cgroups.update(path, { cpuShares: 1024, cpuQuotaUs: -1, memoryBytes: 8192, memoryMinBytes: 1, memoryLowBytes: 2 });
    expect(calls).toEqual([
      [
        "set",
        "kubepods-burstable.slice",
        [
          ["CPUWeight", "t", 100],
          ["CPUQuotaPerSecUSec", "t", "18446744073709551615"],
          ["MemoryMax", "t", 8192],
          ["MemoryMin", "t", 1],
          ["MemoryLow", "t", 2],
        ],
      ],
    ]);
    expect(await cgroups.exists(path)).toBe(true);
    for (const file of ["cpu.weight", "cpu.max", "memory.max", "memory.min", "memory.low"]) await rm(join(directory, "tree", path, file));
    await cgroups.remove(path);
    expect(calls.at(-1)).toEqual(["stop", "kubepods-burstable.slice"]);
    expect(await cgroups.exists(path)).toBe(false);
  });
});

describe("createSystemdUnits()", () => {
  async function busctl(script: string): Promise<SystemdUnits> {
    const tool = join(directory, "busctl");
    await writeFile(
      tool,
      `#!/bin/sh\nfor a in "$@"; do printf '%s|' "$a"; done >> ${directory}/calls; echo >> ${directory}/calls\n${script}\n`,
    );
    await chmod(tool, 0o755);
    return createSystemdUnits(tool, { clock: realClock });
  }
  const calls = async (): Promise<readonly string[]> =>
    (await readFile(join(directory, "calls"), "utf8"))
      .trim()
      .split("\n")
      .map((line) => line.replace(/^.*Manager\|/, "").replace(/\|$/, ""));

  test("starts a transient unit, and waits until it is active", async () => {
    const units = await busctl(
      `case "$*" in *LoadUnit*) echo 'o "/org/unit"';; get-property*) if [ -e ${directory}/asked ]; then echo 's "active"'; else touch ${directory}/asked; echo 's "inactive"'; fi;; esac`,
    );
    await units.startSlice("a.slice", [
      ["Wants", "as", ["b.slice", "c.slice"]],
      ["DefaultDependencies", "b", false],
    ]);
    expect((await calls())[0]).toBe(
      "StartTransientUnit|ssa(sv)a(sa(sv))|a.slice|replace|2|Wants|as|2|b.slice|c.slice|DefaultDependencies|b|false|0",
    );
    expect(await calls()).toHaveLength(5);
    await units.setProperties("a.slice", [["MemoryMax", "t", 5]]);
    expect((await calls()).at(-1)).toBe("SetUnitProperties|sba(sv)|a.slice|true|1|MemoryMax|t|5");
  });

  test("goes on with a unit that is there, and without one that is not", async () => {
    const there = await busctl(
      `case "$*" in *StartTransientUnit*) echo 'Call failed: Unit a.slice already exists.' >&2; exit 1;; *StopUnit*) echo 'Call failed: Unit a.slice not loaded.' >&2; exit 1;; *LoadUnit*) echo 'o "/u"';; *) echo 's "active"';; esac`,
    );
    await there.startSlice("a.slice", []);
    await there.stop("a.slice");
    const broken = await busctl("echo 'Access denied' >&2; exit 1");
    await expect(broken.startSlice("a.slice", [])).rejects.toThrow("Access denied");
    await expect(broken.stop("a.slice")).rejects.toThrow("Access denied");
  });
});
