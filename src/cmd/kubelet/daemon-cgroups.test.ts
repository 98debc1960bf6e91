// Processes that are moved on the kernel itself, between groups of the test's own: none of the machine's is touched.
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { realClock, VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { groupOf, moveProcess, processesIn } from "../../linux/cgroup-processes.ts";
import { type CgroupSystem, createCgroups, detectCgroups } from "../../linux/cgroups.ts";
import { keepDaemonsInCgroups } from "./daemon-cgroups.ts";

/** Undefined where there are none that can be used. */
async function usableCgroups(): Promise<CgroupSystem | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return undefined;
  return await detectCgroups().catch(() => undefined);
}

const found = await usableCgroups();
if (!found) console.log("groups of daemons are not tried: it needs root, and control groups");

function sleeper(): ChildProcess {
  const child = spawn("sleep", ["600"], { stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

describe.runIf(found !== undefined)("keepDaemonsInCgroups()", () => {
  test("moves the kubelet, and what is in the root, at once and again when it is back there", async () => {
    const system = found as CgroupSystem; // the suite runs where there are some
    const cgroups = createCgroups(system, { clock: realClock });
    const root = `/coracle-daemons-${process.pid}`;
    onTestFinished(() => cgroups.remove(root));
    const from = `${root}/root`;
    await cgroups.ensure(from);
    const [kubelet, daemon] = [sleeper(), sleeper()].map((child) => child.pid ?? 0) as [number, number];
    for (const pid of [kubelet, daemon]) await moveProcess(system, from, pid);
    expect(await processesIn(system, from)).toEqual([kubelet, daemon]);

    const clock = new VirtualClock();
    const options = { kubeletCgroups: `${root}/kubelet`, systemCgroups: `${root}/system`, from, pid: kubelet };
    const keeping = await keepDaemonsInCgroups({ system, cgroups, clock, logger: silentLogger }, options);
    expect([await groupOf(system, kubelet), await groupOf(system, daemon)]).toEqual([`${root}/kubelet`, `${root}/system`]);
    expect(await processesIn(system, from)).toEqual([]);

    await moveProcess(system, from, daemon);
    await clock.advance(60_000);
    await keeping?.stop();
    expect(await groupOf(system, daemon)).toBe(`${root}/system`);
    expect(await readFile(`/proc/${daemon}/cgroup`, "utf8")).toContain(`${root}/system`);
  });

  test("leaves all where they are when no group is named, and does not move the system to where it is", async () => {
    const deps = {
      system: found as CgroupSystem,
      cgroups: { ensure: async () => undefined },
      clock: new VirtualClock(),
      logger: silentLogger,
    };
    expect(await keepDaemonsInCgroups(deps, { kubeletCgroups: "", systemCgroups: "" })).toBeUndefined();
    const root = keepDaemonsInCgroups(deps, { kubeletCgroups: "", systemCgroups: "/" });
    await expect(root).rejects.toThrow('system container cannot be root ("/")');
  });
});
