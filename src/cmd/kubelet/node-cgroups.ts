// Which control groups a node's pods get: of which version, by which driver, below which root. The driver is the runtime's where
// it tells (CRI's RuntimeConfig), else the configuration's: two drivers in one tree would fight over it.
import { access } from "node:fs/promises";
import { parseQuantity } from "../../api/meta/quantity.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { createPodCgroups, noPodCgroups, type PodCgroups, type ReservedMemory } from "../../kubelet/cgroups/pod-cgroups.ts";
import { podsLimits } from "../../kubelet/cgroups/pods-limits.ts";
import { reservedMemoryPercent } from "../../kubelet/configuration/qos-reserved.ts";
import { quotaOf } from "../../kubelet/containers/linux-resources.ts";
import { memoryQosOf } from "../../kubelet/containers/memory-qos-options.ts";
import { allocatableOf } from "../../kubelet/node/node-allocatable.ts";
import { type KubeletOptions, type ResolvedOptions, resolveOptions } from "../../kubelet/options.ts";
import { type CgroupNames, cgroupfsNames, systemdNames } from "../../linux/cgroup-names.ts";
import { type CgroupSystem, type Cgroups, createCgroups, detectCgroups } from "../../linux/cgroups.ts";
import { findExecutable } from "../../linux/find-executable.ts";
import { machinePids, readSystemInfo } from "../../linux/system-info.ts";
import { isRpcError } from "../../rpc/rpc-error.ts";
import { CommandError } from "../command-error.ts";
import { keepDaemonsInCgroups } from "./daemon-cgroups.ts";
import { enforceReservations } from "./reserved-cgroups.ts";

export interface NodeCgroups {
  readonly pods: PodCgroups;
  readonly names: CgroupNames;
  /** Undefined where the machine has none that can be used. */
  readonly groups: { readonly system: CgroupSystem; readonly cgroups: Cgroups } | undefined;
  /** Keeps daemons in the groups that are configured; absent where none are. */
  readonly daemons?: Running;
}

export interface NodeCgroupsDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
}

export type CgroupDriver = "cgroupfs" | "systemd";

const callTimeoutMs = 10_000;

/** A machine without control groups still is a node: its pods get none. Throws CommandError for a driver that is not there. */
export async function openNodeCgroups(
  deps: NodeCgroupsDependencies,
  { root, driver, kubelet }: { readonly root: string; readonly driver: CgroupDriver; readonly kubelet: KubeletOptions },
): Promise<NodeCgroups> {
  const { cri, clock, logger } = deps;
  let system: CgroupSystem;
  try {
    system = await detectCgroups();
  } catch (error) {
    logger.warn("Pods get no control groups of their own", { error: errorText(error) });
    return { pods: noPodCgroups, names: cgroupfsNames, groups: undefined };
  }
  const files = createCgroups(system, { clock });
  const chosen = await driverOf(cri, driver);
  const names = chosen === "systemd" ? systemdNames((await cri.version({}, { timeoutMs: callTimeoutMs })).runtimeName) : cgroupfsNames;
  const cgroups = chosen === "systemd" ? await systemdCgroups(files, clock) : files;
  const [machine, pids] = await Promise.all([readSystemInfo(), machinePids()]);
  const resolved = resolveOptions(kubelet);
  const memoryQos = memoryQosOf({ ...resolved, reservations: resolved.protection }, machine.memoryBytes);
  const { podPidsLimit: pidsLimit } = kubelet;
  const reservedMemory = reservedMemoryOf(resolved, machine.memoryBytes);
  const own = createPodCgroups(cgroups, root, {
    ...{ allocatable: podsLimits({ ...machine, ...(pids === undefined ? {} : { pids }) }, kubelet), quota: quotaOf(kubelet), names },
    ...(pidsLimit === undefined ? {} : { pidsLimit }),
    ...(memoryQos ? { memoryQos } : {}),
    ...(reservedMemory ? { reservedMemory } : {}),
  });
  const pods = resolved.cgroupsPerQOS ? own : noPodCgroups;
  const { enforceNodeAllocatable: enforced = ["pods"], systemReserved = {}, kubeReserved = {} } = kubelet;
  await enforceReservations(cgroups, { ...resolved, enforced, systemReserved, kubeReserved });
  if (system.version === 1 && kubelet.singleProcessOOMKill === false)
    throw new CommandError("invalid configuration: singleProcessOOMKill must not be explicitly set to false when using cgroup v1");
  const { kubeletCgroups, systemCgroups } = resolved;
  const daemons = await keepDaemonsInCgroups({ system, cgroups: files, clock, logger }, { kubeletCgroups, systemCgroups });
  return { pods, names, groups: { system, cgroups }, ...(daemons ? { daemons } : {}) };
}

/** qosReserved, with its gate. What is kept for eviction is not subtracted, as with the limit of all pods. */
function reservedMemoryOf({ gates, qosReserved, protection }: ResolvedOptions, memoryBytes: number): ReservedMemory | undefined {
  const percent = reservedMemoryPercent(qosReserved);
  if (percent === undefined || !gates.enabled("QOSReserved")) return undefined;
  const { memory = "0" } = allocatableOf({ memory: String(memoryBytes) }, { ...protection, thresholds: [] });
  return { percent, allocatableBytes: parseQuantity(memory).value() };
}

/** Runtimes before 1.28 do not know the call. */
async function driverOf(cri: CriRuntime, configured: CgroupDriver): Promise<CgroupDriver> {
  try {
    const { linux } = await cri.runtimeConfig({}, { timeoutMs: callTimeoutMs });
    return linux ? (linux.cgroupDriver === "SYSTEMD" ? "systemd" : "cgroupfs") : configured;
  } catch (error) {
    if (isRpcError(error, "UNIMPLEMENTED") || isRpcError(error, "UNKNOWN")) return configured;
    throw error;
  }
}

/** systemd's own tools are loaded only where it is the driver. */
async function systemdCgroups(files: Cgroups, clock: Clock): Promise<Cgroups> {
  const busctl = await findExecutable("busctl");
  const isRunning = await access("/run/systemd/system").then(
    () => true,
    () => false,
  );
  if (busctl === undefined || !isRunning)
    throw new CommandError("the cgroup driver systemd needs a machine that systemd runs, and its tool busctl");
  const [{ createSystemdCgroups }, { createSystemdUnits }] = await Promise.all([
    import("../../linux/systemd-cgroups.ts"),
    import("../../linux/systemd-units.ts"),
  ]);
  return createSystemdCgroups(files, createSystemdUnits(busctl, { clock }));
}
