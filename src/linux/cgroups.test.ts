import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { realClock } from "../base/clock.ts";
import { cgroupWrites, cpuWeight } from "./cgroup-limits.ts";
import { cgroupfsNames, systemdNames } from "./cgroup-names.ts";
import { chooseCgroups } from "./cgroup-system.ts";
import { createCgroups } from "./cgroups.ts";
import { parseMountInfo } from "./mounts.ts";

const mountLine = (point: string, type: string, options: string): string =>
  `30 1 0:26 / ${point} rw,relatime shared:9 - ${type} cgroup ${options}`;

describe("chooseCgroups()", () => {
  test("takes version 2 where only it is mounted, with the controllers it has", () => {
    const system = chooseCgroups(
      parseMountInfo(mountLine("/sys/fs/cgroup", "cgroup2", "rw,nsdelegate")),
      "cpuset cpu io memory pids rdma\n",
    );
    expect(system.version).toBe(2);
    expect([...system.controllers.keys()]).toEqual(["cpuset", "cpu", "io", "memory", "pids"]);
    expect(new Set(system.controllers.values())).toEqual(new Set(["/sys/fs/cgroup"]));
  });

  test("takes version 1 in the hybrid, where version 2 has no controllers, and knows every tree", () => {
    const mounts = [
      mountLine("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
      mountLine("/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
      mountLine("/sys/fs/cgroup/systemd", "cgroup", "rw,name=systemd"),
      mountLine("/sys/fs/cgroup/unified", "cgroup2", "rw"),
    ];
    const system = chooseCgroups(parseMountInfo(mounts.join("\n")), "");
    expect(system.version).toBe(1);
    expect(Object.fromEntries(system.controllers)).toEqual({
      cpu: "/sys/fs/cgroup/cpu,cpuacct",
      cpuacct: "/sys/fs/cgroup/cpu,cpuacct",
      memory: "/sys/fs/cgroup/memory",
    });
    expect(system.trees).toHaveLength(4);
  });
});

describe("cgroupWrites()", () => {
  const limits = { cpuShares: 1024, cpuQuotaUs: 50_000, memoryBytes: 1 << 20, pids: -1, hugepages: { "2MB": 4096 } };

  test("writes the files of version 1, the period before the quota", () => {
    expect(cgroupWrites(1, limits).map((w) => `${w.controller}:${w.file}=${w.value}`)).toEqual([
      "cpu:cpu.shares=1024",
      "cpu:cpu.cfs_period_us=100000",
      "cpu:cpu.cfs_quota_us=50000",
      "memory:memory.limit_in_bytes=1048576",
      "pids:pids.max=max",
      "hugetlb:hugetlb.2MB.limit_in_bytes=4096",
    ]);
  });

  test("writes the files of version 2", () => {
    expect(cgroupWrites(2, { ...limits, cpuQuotaUs: -1, memoryMinBytes: 0 }).map((w) => `${w.file}=${w.value}`)).toEqual([
      "cpu.weight=100",
      "cpu.max=max 100000",
      "memory.max=1048576",
      "memory.min=0",
      "pids.max=max",
      "hugetlb.2MB.max=4096",
    ]);
  });

  test("leaves alone what is not given", () => {
    expect(cgroupWrites(1, {})).toEqual([]);
    expect(cgroupWrites(2, {})).toEqual([]);
  });
});

test("cpuWeight() maps shares to weights, exactly at both ends and the default", () => {
  expect([0, 2, 1024, 262_144, 500_000].map(cpuWeight)).toEqual([1, 1, 100, 10_000, 10_000]);
  expect(cpuWeight(102)).toBeGreaterThan(1);
  expect(cpuWeight(102)).toBeLessThan(cpuWeight(512));
});

test("groups are named as upstream names them, for either driver", () => {
  expect(cgroupfsNames.pod("/coracle-1", "Burstable", "u")).toBe("/coracle-1/kubepods/burstable/podu");
  expect(cgroupfsNames.pod("/", "BestEffort", "u")).toBe("/kubepods/besteffort/podu");
  expect(cgroupfsNames.pod("coracle-1", "Guaranteed", "u")).toBe("/coracle-1/kubepods/podu");
  expect(cgroupfsNames.qos("/coracle-1", "Guaranteed")).toBe("/coracle-1/kubepods");
  const names = systemdNames("containerd");
  const pod = names.pod("/", "Burstable", "12-ab");
  expect(pod).toBe("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12_ab.slice");
  expect(names.parent(pod)).toBe("kubepods-burstable-pod12_ab.slice");
  expect(names.qos("coracle-1", "Guaranteed")).toBe("/coracle_1.slice/coracle_1-kubepods.slice");
  expect(names.container(pod, "c1")).toBe(`${pod}/cri-containerd-c1.scope`);
  expect(systemdNames("cri-o").container("/a.slice", "c1")).toBe("/a.slice/crio-c1.scope");
});

/** A directory that looks like a control group file system; the kernel's part, files appearing in new groups, is missing. */
describe("createCgroups() on version 2", () => {
  let tree: string;
  beforeEach(async () => {
    tree = await mkdtemp(join(tmpdir(), "cgroup-"));
  });
  afterEach(() => rm(tree, { recursive: true, force: true }));

  const create = () =>
    createCgroups(
      {
        version: 2,
        controllers: new Map([
          ["cpu", tree],
          ["memory", tree],
        ]),
        trees: [tree],
      },
      { clock: realClock },
    );

  test("hands controllers down, makes parents, and sets limits", async () => {
    for (const path of ["", "coracle"]) {
      await mkdir(join(tree, path), { recursive: true });
      await writeFile(join(tree, path, "cgroup.controllers"), "cpu memory io\n");
      await writeFile(join(tree, path, "cgroup.subtree_control"), path === "" ? "cpu\n" : "cpu memory\n");
    }
    const cgroups = create();
    await cgroups.ensure("/coracle/pod1", { cpuShares: 2, memoryBytes: 4096 });
    expect(await readFile(join(tree, "cgroup.subtree_control"), "utf8")).toBe("+memory");
    expect(await readFile(join(tree, "coracle/cgroup.subtree_control"), "utf8")).toBe("cpu memory\n");
    expect(await readFile(join(tree, "coracle/pod1/cpu.weight"), "utf8")).toBe("1");
    expect(await readFile(join(tree, "coracle/pod1/memory.max"), "utf8")).toBe("4096");
    expect(await cgroups.children("/coracle")).toEqual(["pod1"]);
    expect(await cgroups.exists("/coracle/pod1")).toBe(true);
    expect(await cgroups.exists("/coracle/pod2")).toBe(false);
  });

  test("reads use, with the working set without reclaimable file pages", async () => {
    const group = join(tree, "pod1");
    await mkdir(group);
    const files = {
      "cpu.stat": "usage_usec 1500\nuser_usec 1000\n",
      "memory.current": "5000\n",
      "memory.stat": "anon 3000\ninactive_file 1200\npgfault 7\npgmajfault 1\n",
      "memory.max": "max\n",
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(group, name), text);
    expect(await create().usage("/pod1")).toEqual({
      cpuNanoseconds: 1_500_000,
      memoryBytes: 5000,
      workingSetBytes: 3800,
      rssBytes: 3000,
      pageFaults: 7,
      majorPageFaults: 1,
      processes: 0,
    });
    expect(await create().usage("/pod2")).toBeUndefined();
  });

  test("removes nested groups, does nothing when there are none, and never the root", async () => {
    await mkdir(join(tree, "a/b/c"), { recursive: true });
    const cgroups = create();
    await cgroups.remove("/a");
    expect(await cgroups.exists("/a")).toBe(false);
    await cgroups.remove("/a");
    await expect(cgroups.remove("/")).rejects.toThrow("the root control group cannot be removed");
  });
});
