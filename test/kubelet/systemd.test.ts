// The driver systemd on a systemd that runs: a pod's groups are slices that systemd knows, with the limits it is told, and they
// outlive its reload. Machines in the hybrid have huge pages alone in version 2: the other limits systemd keeps as properties.
import { access, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Pod } from "../../src/api/types/core-v1.ts";
import { realClock } from "../../src/base/clock.ts";
import { createPodCgroups } from "../../src/kubelet/cgroups/pod-cgroups.ts";
import { systemdNames } from "../../src/linux/cgroup-names.ts";
import { createSystemdCgroups } from "../../src/linux/systemd-cgroups.ts";
import { createSystemdUnits } from "../../src/linux/systemd-units.ts";
import { startSystemdMachine, whyNoSystemd } from "../support/systemd-machine.ts";

const reason = await whyNoSystemd();
if (reason) console.log(`the driver systemd is not tried: ${reason}`);

const resources = { requests: { cpu: "500m", "hugepages-2Mi": "4Mi" }, limits: { cpu: "1", memory: "64Mi", "hugepages-2Mi": "4Mi" } };
const pod = {
  metadata: { name: "web", namespace: "shop", uid: "1a2b-3c" },
  spec: { containers: [{ name: "main", resources }] },
} as unknown as Pod; // what is read of it

describe.runIf(reason === undefined)("the driver systemd", { timeout: 120_000 }, () => {
  test("makes slices that systemd knows, keeps their limits over its reload, and removes them", async () => {
    await using machine = await startSystemdMachine();
    const { busctl, cgroups: files, tree, controllers } = machine;
    const names = systemdNames("containerd");
    const cgroups = createSystemdCgroups(files, createSystemdUnits(busctl, { clock: realClock }));
    const pods = createPodCgroups(cgroups, "coracle-x", { names, pidsLimit: 99 });
    const parent = await pods.ensure(pod);
    expect(parent).toBe("coracle_x-kubepods-burstable-pod1a2b_3c.slice");
    const path = names.pod("coracle-x", "Burstable", "1a2b-3c");
    expect(basename(path)).toBe(parent);

    const show = async (): Promise<readonly string[]> =>
      (await machine.inside("systemctl", "show", parent, "-p", "ActiveState,TasksMax,MemoryMax,CPUQuotaPerSecUSec,ControlGroup"))
        .trim()
        .split("\n")
        .sort();
    const wanted = ["ActiveState=active", "CPUQuotaPerSecUSec=1s", `ControlGroup=${path}`, `MemoryMax=${64 * 2 ** 20}`, "TasksMax=99"];
    expect(await show()).toEqual(wanted);
    const hugePages = (): Promise<string> => readFile(join(tree, path, "hugetlb.2MB.max"), "utf8");
    if (controllers.includes("hugetlb")) expect(await hugePages()).toBe(`${4 * 2 ** 20}\n`);

    await machine.inside("systemctl", "daemon-reload");
    expect(await show()).toEqual(wanted);
    if (controllers.includes("hugetlb")) expect(await hugePages()).toBe(`${4 * 2 ** 20}\n`);
    await pods.update(pod, { memoryBytes: 128 * 2 ** 20 });
    expect(await show()).toContain(`MemoryMax=${128 * 2 ** 20}`);

    await pods.remove(pod);
    expect(await show()).toContain("ActiveState=inactive");
    await expect(access(join(tree, path))).rejects.toThrow("ENOENT");
    await access(join(tree, names.qos("coracle-x", "Burstable")));
  });
});
