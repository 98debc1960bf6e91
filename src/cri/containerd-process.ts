// One containerd process of one data directory: started apart from this process (its own session, so that Ctrl-C in a terminal
// does not reach it), recognised again after this program was restarted, told to end. Containers live in shims of their own
// and outlive it.
import { spawn } from "node:child_process";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "../base/clock.ts";
import { unmountBelow } from "../linux/mounts.ts";
import { bootId, commandLine, identifyProcess, isRunning, type ProcessIdentity, terminateProcess } from "../linux/processes.ts";
import type { ContainerdPaths } from "./containerd-paths.ts";

/** A larger log is set aside at the next start, and the one set aside before is dropped. */
const maxLogBytes = 8 * 1024 * 1024;
const pollExitMs = 1000;

export interface ContainerdProcess {
  readonly identity: ProcessIdentity;
  /** Resolves when the process has ended, for whatever reason, or when the signal aborts. */
  exited(signal: AbortSignal): Promise<void>;
  /** From now on this program may end although the process runs. */
  release(): void;
}

interface PidFile extends ProcessIdentity {
  /** What it was started with: another configuration needs another process. */
  readonly configText: string;
}

/** Starts containerd with the configuration given, which is written to its file. */
export async function spawnContainerd(binary: string, configText: string, paths: ContainerdPaths): Promise<ContainerdProcess> {
  await forgetStateOfEarlierBoot(paths);
  for (const directory of [paths.root, paths.state, paths.cniConfig, dirname(paths.socket)])
    await mkdir(directory, { recursive: true, mode: 0o711 });
  await writeFile(paths.config, configText, { mode: 0o600 });
  await rotateLog(paths.log);
  const log = await open(paths.log, "a", 0o640);
  try {
    const child = spawn(binary, ["--config", paths.config], {
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
      env: daemonEnvironment(),
    });
    const exited = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", () => resolve());
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", () => resolve());
      child.once("error", (cause) => reject(new Error(`starting ${binary}`, { cause })));
    });
    const identity = child.pid === undefined ? undefined : await identifyProcess(child.pid);
    if (!identity) throw new Error(`${binary} ended at once: ${await logTail(paths)}`);
    await writeFile(paths.pidFile, JSON.stringify({ ...identity, configText } satisfies PidFile), { mode: 0o600 });
    return { identity, exited: (signal) => orAborted(exited, signal), release: () => child.unref() };
  } finally {
    await log.close();
  }
}

/** The containerd that an earlier run left behind for this data directory, and the configuration it was started with. */
export async function findContainerd(
  paths: ContainerdPaths,
  clock: Clock,
): Promise<(ContainerdProcess & { readonly configText: string }) | undefined> {
  const file = await readPidFile(paths);
  if (!file || !(await isRunning(file)) || !(await commandLine(file.pid)).includes(paths.config)) return undefined;
  const { configText, ...identity } = file;
  return { identity, configText, exited: (signal) => waitForExit(identity, clock, signal), release: () => undefined };
}

/** Ends the process; containers stay. */
export async function endContainerd({ identity }: ContainerdProcess, paths: ContainerdPaths, clock: Clock): Promise<void> {
  await terminateProcess(identity, { clock, graceMs: 10_000 });
  await rm(paths.pidFile, { force: true });
}

/** The last lines of the log, for messages. */
export async function logTail(paths: ContainerdPaths, lines = 5): Promise<string> {
  const text = await readFile(paths.log, "utf8").catch(() => "");
  return text.trim().split("\n").slice(-lines).join("\n") || "its log is empty";
}

/** Is not this process's child, so the system tells nobody when it ends: looked at once a second. */
async function waitForExit(identity: ProcessIdentity, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && (await isRunning(identity))) await clock.sleep(pollExitMs, signal).catch(() => undefined); // rejects only on abort
}

function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
    promise.then(resolve, () => resolve());
  });
}

/**
 * After a reboot nothing that the state directory describes exists any more; elsewhere it lies on a memory file system for
 * this reason.
 */
async function forgetStateOfEarlierBoot(paths: ContainerdPaths): Promise<void> {
  const now = await bootId();
  const before = await readFile(paths.bootFile, "utf8").catch(() => "");
  if (before === now) return;
  await unmountBelow(paths.state);
  await rm(paths.state, { recursive: true, force: true });
  await mkdir(paths.directory, { recursive: true });
  await writeFile(paths.bootFile, now);
}

async function readPidFile(paths: ContainerdPaths): Promise<PidFile | undefined> {
  try {
    // Written by spawnContainerd and by nobody else; a torn write does not parse.
    return JSON.parse(await readFile(paths.pidFile, "utf8")) as PidFile;
  } catch {
    return undefined; // never started, or the machine went down while the file was being written
  }
}

async function rotateLog(path: string): Promise<void> {
  const size = await stat(path).then(
    (s) => s.size,
    () => 0,
  );
  if (size > maxLogBytes) await rename(path, `${path}.1`);
}

/** containerd finds its shim and tools along the path; NOTIFY_SOCKET would make it report to our own supervisor. */
function daemonEnvironment(): Record<string, string | undefined> {
  const { NOTIFY_SOCKET: _, ...rest } = process.env;
  return { ...rest, PATH: `${process.env.PATH ?? "/usr/bin:/bin"}:/usr/local/sbin:/usr/sbin:/sbin` };
}
