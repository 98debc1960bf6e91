// `coracle down`: ends the cluster of a data directory: the process that runs it, then its pods and its containerd, and what
// they leave on the machine (mounts, network). Objects and images stay; the next `coracle up` starts the pods again.
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { realClock } from "../../base/clock.ts";
import { boolean, flag, integer, optionalText } from "../../base/flags.ts";
import { createLogger, type Logger } from "../../base/log.ts";
import { identifyProcess, terminateProcess } from "../../linux/processes.ts";
import { removeNodeNetwork } from "../../node-network/teardown.ts";
import { removeRoutedNetwork } from "../../routed-network/teardown.ts";
import { DirectoryLockedError, directoryHolder } from "../../storage/directory-lock.ts";
import { CommandError } from "../command-error.ts";
import { parseCommand } from "../command-flags.ts";
import { clusterLock, defaultDataDir } from "../data-dir.ts";
import { removeMachineNetwork } from "../node/machine-network.ts";
import { nodeDirectory, readNodeRecords } from "../node/node-records.ts";
import { nodeLock } from "../node/node-settings.ts";
import { takeDownNode } from "../node/take-down-node.ts";
import { proxyTableName, removePacketTables } from "../proxy/remove-proxy-tables.ts";
import { controlSocket } from "./control-channel.ts";

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
    await takeDownNodes(dataDir, createLogger("down", { verbosity: input.values.v }));
    await removePacketTables(proxyTableName(dataDir));
  }
  process.stdout.write(`the cluster in ${dataDir} is down\n`);
  return 0;
}

/** What the first node leaves, and every further one, also after a crash. */
async function takeDownNodes(dataDir: string, logger: Logger): Promise<void> {
  const directories = (await readNodeRecords(dataDir)).map(({ name }) => nodeDirectory(dataDir, name));
  // They end by themselves when the cluster's process has; those that hang do not.
  await Promise.all(directories.map((directory) => endNodeProcess(directory)));
  await removeNodeNetwork(dataDir);
  await removeRoutedNetwork(dataDir);
  for (const directory of [dataDir, ...directories]) await takeDownNode(directory, logger);
  await removeMachineNetwork(dataDir);
  await rm(controlSocket(dataDir), { force: true });
}

/** Undefined where no process that lives holds the directory. */
function holderHere(directory: string, lock: string): number | undefined {
  try {
    return directoryHolder(directory, lock);
  } catch (error) {
    if (error instanceof DirectoryLockedError) throw new CommandError(`--data-dir: ${error.message}`);
    throw error;
  }
}

async function endNodeProcess(directory: string): Promise<void> {
  const pid = holderHere(directory, nodeLock);
  const identity = pid === undefined ? undefined : await identifyProcess(pid);
  if (identity) await terminateProcess(identity, { clock: realClock, graceMs: politeMs / 6 });
}

async function endProcess(dataDir: string, force: boolean): Promise<void> {
  const pid = holderHere(dataDir, clusterLock);
  if (pid === undefined) return;
  process.kill(pid, "SIGTERM");
  if (await hasEnded(dataDir, force ? politeMs / 6 : politeMs)) return;
  if (!force) throw new CommandError(`process ${pid} has not ended in ${politeMs / 1000} s; --force kills it`);
  process.kill(pid, "SIGKILL");
  if (!(await hasEnded(dataDir, politeMs))) throw new CommandError(`process ${pid} does not end, not even by SIGKILL`);
}

async function hasEnded(dataDir: string, withinMs: number): Promise<boolean> {
  const deadline = realClock.monotonic() + withinMs;
  while (holderHere(dataDir, clusterLock) !== undefined) {
    if (realClock.monotonic() > deadline) return false;
    await realClock.sleep(50);
  }
  return true;
}
