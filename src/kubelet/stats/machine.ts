// Where a kubelet reads what its machine and its pods' control groups use. A kubelet whose runtime is simulated has none: its
// node then uses what its pods' containers say they use.
import { podQos } from "../../api/semantics/pod-qos.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { type CgroupDetails, readDetails } from "../../linux/cgroup-details.ts";
import { type CgroupNames, cgroupfsNames } from "../../linux/cgroup-names.ts";
import type { CgroupSystem, Cgroups, CgroupUsage } from "../../linux/cgroups.ts";
import { hostFile } from "../../linux/host-file.ts";
import { type MachineDisk, machineDisks } from "../../linux/machine-disks.ts";
import { type MachineUsage, machineUsage } from "../../linux/machine-usage.ts";
import { type InterfaceUsage, networkUsage } from "../../linux/network-usage.ts";
import { type OpenFiles, openFilesOf } from "../../linux/open-files.ts";
import { cgroupPressure, machinePressure, type Pressure } from "../../linux/pressure.ts";
import { type ProcessUsage, processUsage } from "../../linux/process-usage.ts";
import { uplink } from "../../linux/system-info.ts";

export interface MachineReader {
  usage(): Promise<MachineUsage | undefined>;
  /** Below the root of the trees: "/coracle-1a2b3c4d/kubepods/burstable/pod<uid>". */
  podCgroup(pod: Pod): string;
  /** Below its pod's group. */
  containerCgroup(podGroup: string, containerId: string): string;
  /** Undefined when there is no such group. */
  cgroupUsage(path: string): Promise<CgroupUsage | undefined>;
  /** Throttling, page cache and limits; empty when there is no such group. */
  cgroupDetails(path: string): Promise<CgroupDetails>;
  /** Of its own processes, not of those of groups below. */
  openFiles(path: string): Promise<OpenFiles>;
  /** Paths of the groups of all pods, and of those that are burstable and of best effort. */
  qosGroups(): readonly string[];
  /** Of a group, or of the whole machine; empty where it is not measured. */
  pressure(path?: string): Promise<Pressure>;
  /** All pods together. */
  podsUsage(): Promise<CgroupUsage | undefined>;
  /** This process. */
  kubeletUsage(): Promise<ProcessUsage | undefined>;
  /** The container runtime's process, where it is known. */
  runtimeUsage(): Promise<ProcessUsage | undefined>;
  network(): Promise<{ readonly defaultInterface?: string; readonly interfaces: readonly InterfaceUsage[] }>;
  /** Of the network namespace that the processes of a control group are in. */
  networkOf(cgroup: string): Promise<readonly InterfaceUsage[]>;
  bootTimeMs(): Promise<number | undefined>;
  disks(): Promise<readonly MachineDisk[]>;
}

export interface MachineOptions {
  /** Undefined where there are no control groups. */
  readonly groups: { readonly system: CgroupSystem; readonly cgroups: Cgroups } | undefined;
  /** Below which the control groups of pods lie. */
  readonly cgroupRoot: string;
  /** Default: the directories of cgroupfs. */
  readonly names?: CgroupNames;
  readonly runtimePid?: () => Promise<number | undefined>;
}

export function createMachineReader({ groups, cgroupRoot, runtimePid, names = cgroupfsNames }: MachineOptions): MachineReader {
  const cgroupUsage = async (path: string): Promise<CgroupUsage | undefined> => groups?.cgroups.usage(path);
  return {
    cgroupUsage,
    async pressure(path) {
      if (path === undefined) return machinePressure();
      return groups ? cgroupPressure(groups.system, path) : {};
    },
    openFiles: async (path) => openFilesOf((await groups?.cgroups.processes(path)) ?? []),
    qosGroups: () => (groups ? (["Guaranteed", "BestEffort", "Burstable"] as const).map((qos) => names.qos(cgroupRoot, qos)) : []),
    cgroupDetails: async (path) => (groups ? readDetails(groups.system, path) : {}),
    usage: () => machineUsage(groups?.system),
    podCgroup: (pod) => names.pod(cgroupRoot, podQos(pod), pod.metadata.uid),
    containerCgroup: (podGroup, containerId) => names.container(podGroup, containerId),
    podsUsage: () => cgroupUsage(names.qos(cgroupRoot, "Guaranteed")),
    kubeletUsage: () => processUsage("self"),
    async runtimeUsage() {
      const pid = await runtimePid?.();
      return pid === undefined ? undefined : processUsage(pid);
    },
    async network() {
      const [interfaces, defaultInterface] = await Promise.all([networkUsage("self"), uplink()]);
      return { interfaces, ...(defaultInterface === undefined ? {} : { defaultInterface }) };
    },
    async networkOf(cgroup) {
      const pid = await groups?.cgroups.anyProcess(cgroup);
      return pid === undefined ? [] : networkUsage(pid);
    },
    disks: machineDisks,
    async bootTimeMs() {
      const seconds = /^btime (\d+)$/m.exec(await hostFile("/proc/stat"))?.[1];
      return seconds === undefined ? undefined : Number(seconds) * 1000;
    },
  };
}
