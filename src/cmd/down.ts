// `coracle down`: ends the cluster of a data directory: the process that runs it, then its pods and its containerd, and what
// they leave on the machine (mounts, network). Objects and images stay; the next `coracle up` starts the pods again.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { realClock } from "../base/clock.ts";
import { boolean, flag, integer, optionalText } from "../base/flags.ts";
import { createLogger } from "../base/log.ts";
import { podNetworkName } from "../cni/network-config.ts";
import { removePodNetwork } from "../cni/teardown.ts";
import { destroyContainerd } from "../cri/containerd.ts";
import type { CgroupSystem } from "../linux/cgroup-system.ts";
import { createCgroups, detectCgroups } from "../linux/cgroups.ts";
import { unmountBelow } from "../linux/mounts.ts";
import { removeAnnouncedAddresses } from "../load-balancer/announced-addresses.ts";
import { directoryHolder } from "../storage/directory-lock.ts";
import { CommandError } from "./command-error.ts";
import { parseCommand } from "./command-flags.ts";
import { clusterLock, defaultDataDir } from "./data-dir.ts";
import { proxyTableName, removePacketTables } from "./remove-proxy-tables.ts";
import { policyTableName } from "./start-network-policy.ts";

const flags = {
  "data-dir": flag(optionalText, undefined, `directory of the cluster; default ${defaultDataDir()}`),
  force: flag(boolean, false, "kill the cluster's process where it does not end by itself"),
  v: flag(integer({ min: 0, max: 10 }), 0, "verbosity of the log", "v"),
};

const politeMs = 60_000;

export async function run(args: readonly string[]): Promise<number> {
  const input = parseCommand({ name: "down", summary: "Ends a cluster and its pods. Its objects and images stay." }, flags, args);
  if (!input) return 0;
  const dataDir = input.values["data-dir"] ?? defaultDataDir();
  if (!existsSync(dataDir)) throw new CommandError(`--data-dir ${dataDir}: there is no cluster in this directory`);
  await endProcess(dataDir, input.values.force);
  if (process.platform === "linux" && process.getuid?.() === 0) {
    await destroyContainerd(dataDir, { clock: realClock, log: createLogger("down", { verbosity: input.values.v }) });
    await removePodCgroups(dataDir);
    await unmountBelow(join(dataDir, "kubelet"));
    await removePodNetwork(dataDir);
    await removeAnnouncedAddresses(dataDir);
    await removePacketTables(proxyTableName(dataDir));
    await removePacketTables(policyTableName(dataDir), ["inet"]);
  }
  process.stdout.write(`the cluster in ${dataDir} is down\n`);
  return 0;
}

async function removePodCgroups(dataDir: string): Promise<void> {
  let system: CgroupSystem;
  try {
    system = await detectCgroups();
  } catch {
    return; // a machine without control groups has none of ours
  }
  await createCgroups(system, { clock: realClock }).remove(`/${podNetworkName(dataDir)}`);
}

async function endProcess(dataDir: string, force: boolean): Promise<void> {
  const pid = directoryHolder(dataDir, clusterLock);
  if (pid === undefined) return;
  process.kill(pid, "SIGTERM");
  if (await hasEnded(dataDir, force ? politeMs / 6 : politeMs)) return;
  if (!force) throw new CommandError(`process ${pid} has not ended in ${politeMs / 1000} s; --force kills it`);
  process.kill(pid, "SIGKILL");
  if (!(await hasEnded(dataDir, politeMs))) throw new CommandError(`process ${pid} does not end, not even by SIGKILL`);
}

async function hasEnded(dataDir: string, withinMs: number): Promise<boolean> {
  const deadline = realClock.monotonic() + withinMs;
  while (directoryHolder(dataDir, clusterLock) !== undefined) {
    if (realClock.monotonic() > deadline) return false;
    await realClock.sleep(50);
  }
  return true;
}
