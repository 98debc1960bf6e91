import { expect, test } from "vitest";
import type { CgroupLimits } from "../../linux/cgroups.ts";
import { kernelProblem } from "../../linux/kernel-defaults.ts";
import { enforceReservations, type ReservedCgroupsOptions } from "./reserved-cgroups.ts";

async function enforce(options: Partial<ReservedCgroupsOptions>): Promise<ReadonlyMap<string, CgroupLimits>> {
  const set = new Map<string, CgroupLimits>();
  const cgroups = {
    exists: async (path: string) => path !== "/gone",
    update: async (path: string, limits: CgroupLimits) => void set.set(path, limits),
  };
  const none = { enforced: ["pods"], systemReserved: {}, kubeReserved: {}, systemReservedCgroup: "", kubeReservedCgroup: "" };
  await enforceReservations(cgroups, { ...none, ...options });
  return set;
}

test("daemons keep to what is reserved for them, or to their CPU alone, where that is asked for", async () => {
  expect(await enforce({})).toEqual(new Map());
  const reserved = { cpu: "500m", memory: "1Gi", pid: "1000" };
  expect(
    await enforce({
      ...{ enforced: ["pods", "system-reserved", "kube-reserved-compressible"], systemReserved: reserved, kubeReserved: reserved },
      ...{ systemReservedCgroup: "/system.slice", kubeReservedCgroup: "kube" },
    }),
  ).toEqual(
    new Map<string, CgroupLimits>([
      ["/system.slice", { cpuShares: 512, memoryBytes: 2 ** 30, pids: 1000 }],
      ["/kube", { cpuShares: 512 }],
    ]),
  );
  await expect(enforce({ enforced: ["kube-reserved"], kubeReservedCgroup: "/gone" })).rejects.toThrow(
    'Failed to enforce Kube Reserved Cgroup Limits on "/gone": cgroup does not exist',
  );
});

test("protectKernelDefaults tells the first of the kernel's settings that is another", async () => {
  const values: Record<string, string> = { "vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1" };
  const read = async (name: string): Promise<string> => values[name] ?? "";
  expect(await kernelProblem(read)).toBe("invalid kernel flag: vm/panic_on_oom, expected value: 0, actual value: ");
  Object.assign(values, { "vm/panic_on_oom": "0\n", "kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000" });
  expect(await kernelProblem(read)).toBeUndefined();
});
