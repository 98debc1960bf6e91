// Keeps daemons in the control groups that the configuration names: the kubelet itself in kubeletCgroups, and every process
// that is in the root of the trees in systemCgroups, but for the first one and the kernel's threads. Looked at once a minute,
// as upstream does: what cannot be moved is logged.
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { groupOf, isKernelThread, moveProcess, processesIn, runsOnHost } from "../../linux/cgroup-processes.ts";
import type { CgroupSystem, Cgroups } from "../../linux/cgroups.ts";
import { CommandError } from "../command-error.ts";

export interface DaemonCgroupsDependencies {
  readonly system: CgroupSystem;
  readonly cgroups: Pick<Cgroups, "ensure">;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface DaemonCgroupsOptions {
  /** Absolute names; empty for none. */
  readonly kubeletCgroups: string;
  readonly systemCgroups: string;
  /** The process of the kubelet. Default this one. */
  readonly pid?: number;
  /** Whose processes are the system's. Default "/", the root of the trees. */
  readonly from?: string;
}

const periodMs = 60_000;
/** New processes may come while those that were there are moved. */
const rounds = 11;

/** Undefined where there is nothing to keep. Throws CommandError where the system would be moved to where it is. */
export async function keepDaemonsInCgroups(deps: DaemonCgroupsDependencies, options: DaemonCgroupsOptions): Promise<Running | undefined> {
  const { kubeletCgroups, systemCgroups } = options;
  if (systemCgroups === "/") throw new CommandError('system container cannot be root ("/")');
  if (kubeletCgroups === "" && systemCgroups === "") return undefined;
  const { clock, logger } = deps;
  const keep = async (): Promise<void> => {
    for (const [name, place] of [
      [kubeletCgroups, placeKubelet],
      [systemCgroups, placeSystem],
    ] as const) {
      if (name === "") continue;
      await place(deps, options).catch((error: unknown) => {
        logger.error("Failed to ensure state", { containerName: name, error: errorText(error) });
      });
    }
  };
  let working: Promise<void> | undefined;
  const again = (): void => {
    working ??= keep().finally(() => {
      working = undefined;
    });
  };
  await keep();
  const timer = clock.every(periodMs, again);
  return {
    async stop() {
      timer.cancel();
      await working;
    },
  };
}

async function placeKubelet({ system, cgroups, logger }: DaemonCgroupsDependencies, options: DaemonCgroupsOptions): Promise<void> {
  const { kubeletCgroups: group, pid = process.pid } = options;
  if (!(await runsOnHost(pid))) return logger.info("PID is not running in the host namespace", { pid }, 2);
  if ((await groupOf(system, pid)) === group) return;
  await cgroups.ensure(group);
  await moveProcess(system, group, pid);
}

async function placeSystem({ system, cgroups, logger }: DaemonCgroupsDependencies, options: DaemonCgroupsOptions): Promise<void> {
  const { systemCgroups: group, from = "/" } = options;
  await cgroups.ensure(group);
  let failure: unknown;
  for (let round = 0; round < rounds; round++) {
    const found = (await processesIn(system, from)).filter((pid) => pid !== 1);
    const kernels = await Promise.all(found.map(isKernelThread));
    const pids = found.filter((_, i) => !kernels[i]);
    if (pids.length === 0) return;
    logger.info("Moving non-kernel processes", { pids: pids.join(" ") }, 3);
    for (const pid of pids) {
      await moveProcess(system, group, pid).catch((cause: unknown) => {
        failure = new Error(`failed to move PID ${pid} into the system container ${JSON.stringify(group)}`, { cause });
      });
    }
  }
  if (failure !== undefined) throw failure;
}
