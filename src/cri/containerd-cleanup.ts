// Takes down what our containerd ran: first in the proper way, through CRI; then whatever that left, because containerd was
// dead or hung: containers by their runtimes' own records, shims by their command line, mounts below the state directory, sockets.
import { readdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { unmountBelow } from "../linux/mounts.ts";
import { findProcesses, terminateProcess } from "../linux/processes.ts";
import { CommandError, runCommand } from "../linux/run-command.ts";
import { configuredRuntimes } from "./containerd-config.ts";
import type { ContainerdPaths } from "./containerd-paths.ts";
import type { CriRuntime } from "./cri.ts";

const parallelRemovals = 8;

/** Stops and removes every sandbox, with its containers. */
export async function removeContainers(runtime: CriRuntime): Promise<void> {
  const { items } = await runtime.listPodSandbox({}, { timeoutMs: 10_000 });
  const waiting = [...items];
  const worker = async (): Promise<void> => {
    for (let sandbox = waiting.pop(); sandbox; sandbox = waiting.pop()) {
      await runtime.stopPodSandbox({ podSandboxId: sandbox.id }, { timeoutMs: 60_000 });
      await runtime.removePodSandbox({ podSandboxId: sandbox.id }, { timeoutMs: 60_000 });
    }
  };
  await Promise.all(Array.from({ length: parallelRemovals }, worker));
}

/** Kills containers and shims that are left although containerd is gone, and removes the state directory. */
export async function removeTraces(paths: ContainerdPaths, clock: Clock): Promise<void> {
  for (const { binary, root } of configuredRuntimes(await readFile(paths.config, "utf8").catch(() => "")))
    for (const namespace of await list(root))
      for (const id of await list(join(root, namespace)))
        await runCommand(binary, ["--root", join(root, namespace), "delete", "--force", id]).catch(ignoreCommandError);
  const shims = await findProcesses((args) => /containerd-shim-runc-v2$/.test(args[0] ?? "") && args.includes(paths.socket));
  const shimSockets = await readShimSockets(paths);
  await Promise.all(shims.map((shim) => terminateProcess(shim, { clock, graceMs: 2000 })));
  for (const socket of shimSockets) await rm(socket, { force: true });
  await unmountBelow(paths.state);
  await unmountBelow(paths.root); // of a start that was ended while it looked what the file system can do
  await rm(paths.state, { recursive: true, force: true });
  await rm(paths.socket, { force: true });
  await rm(`${paths.socket}.ttrpc`, { force: true });
  const ownDirectory = dirname(paths.state);
  if (ownDirectory !== paths.directory) await rm(ownDirectory, { recursive: true, force: true });
}

/** Shims listen in a directory that all containerds of the machine share; each notes its own socket in its bundle. */
async function readShimSockets(paths: ContainerdPaths): Promise<readonly string[]> {
  const tasks = join(paths.state, "io.containerd.runtime.v2.task");
  const sockets: string[] = [];
  for (const namespace of await list(tasks))
    for (const id of await list(join(tasks, namespace))) {
      const address = await readFile(join(tasks, namespace, id, "address"), "utf8").catch(() => "");
      const path = address.trim().replace(/^unix:\/\//, "");
      if (path.startsWith("/run/containerd/s/")) sockets.push(path);
    }
  return sockets;
}

async function list(directory: string): Promise<readonly string[]> {
  return readdir(directory).catch(() => []);
}

/** A record that its runtime cannot delete belongs to a container that is gone; what it left mounted is unmounted below. */
function ignoreCommandError(error: unknown): void {
  if (!(error instanceof CommandError)) throw error;
}
