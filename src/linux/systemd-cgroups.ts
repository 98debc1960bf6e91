// Control groups as systemd's slices (the kubelet's "systemd" driver), in either version: each is a transient unit, whose
// limits systemd knows; what it has no property for, and the exact figures, are written to the group's files besides.
import { basename, dirname } from "node:path";
import { type CgroupLimits, cpuWeight } from "./cgroup-limits.ts";
import type { Cgroups } from "./cgroups.ts";
import type { SystemdUnits, UnitProperty } from "./systemd-units.ts";

const unlimited = "18446744073709551615";

/** `files` writes and reads the groups themselves. */
export function createSystemdCgroups(files: Cgroups, units: SystemdUnits): Cgroups {
  const ensureSlice = async (path: string): Promise<void> => {
    if (await files.exists(path)) return;
    const above = dirname(path);
    if (above !== "/") await ensureSlice(above);
    await units.startSlice(basename(path), slice(path, files.version));
  };
  const setLimits = (path: string, limits: CgroupLimits): Promise<void> =>
    units.setProperties(basename(path), limitProperties(files.version, limits));
  return {
    ...files,
    async ensure(path, limits) {
      await ensureSlice(path);
      if (limits) await setLimits(path, limits);
      // In version 1 systemd makes groups in some of the trees only.
      await files.ensure(path, limits);
    },
    async update(path, limits) {
      await setLimits(path, limits);
      await files.update(path, limits);
    },
    async remove(path) {
      await units.stop(basename(path));
      await files.remove(path);
    },
  };
}

function slice(path: string, version: 1 | 2): readonly UnitProperty[] {
  const above = basename(dirname(path));
  const accounting = [
    "MemoryAccounting",
    "CPUAccounting",
    "TasksAccounting",
    ...(version === 2 ? ["IOAccounting"] : ["BlockIOAccounting"]),
  ];
  return [
    ["Description", "s", `coracle kubelet ${basename(path)}`],
    ...(above === "" ? [] : [["Wants", "as", [above]] as const]),
    ["DefaultDependencies", "b", false],
    ...accounting.map((name) => [name, "b", true] as const),
  ];
}

function limitProperties(version: 1 | 2, limits: CgroupLimits): readonly UnitProperty[] {
  const { cpuShares, cpuQuotaUs, cpuPeriodUs = 100_000, memoryBytes, memoryMinBytes, memoryLowBytes, pids } = limits;
  const properties: UnitProperty[] = [];
  const number = (name: string, value: number | undefined): void => {
    if (value !== undefined) properties.push([name, "t", value === -1 ? unlimited : value]);
  };
  if (version === 1) number("CPUShares", cpuShares);
  else number("CPUWeight", cpuShares === undefined ? undefined : cpuWeight(cpuShares));
  // Of a second, rounded up to the ten milliseconds that systemd counts in.
  number("CPUQuotaPerSecUSec", cpuQuotaUs === undefined || cpuQuotaUs === -1 ? cpuQuotaUs : perSecond(cpuQuotaUs, cpuPeriodUs));
  number(version === 1 ? "MemoryLimit" : "MemoryMax", memoryBytes);
  if (version === 2) {
    number("MemoryMin", memoryMinBytes);
    number("MemoryLow", memoryLowBytes);
  }
  number("TasksMax", pids);
  return properties;
}

const perSecond = (quotaUs: number, periodUs: number): number => Math.ceil((quotaUs * 1_000_000) / periodUs / 10_000) * 10_000;
