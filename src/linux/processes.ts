// Processes that this process did not start, or no longer owns: a process id alone may name a different process by now, so a
// process is known by its id together with its start time and the machine's boot.
import { readdir, readFile } from "node:fs/promises";
import type { Clock } from "../base/clock.ts";

/** Enough to recognise a process later, even after this program was restarted. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to its start (field 22 of /proc/<pid>/stat). */
  readonly startTicks: number;
  readonly bootId: string;
}

/** Undefined when there is no such process, or only its zombie. */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readProc(`${pid}/stat`);
  if (stat === undefined) return undefined;
  // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z" || fields[0] === "X") return undefined;
  return { pid, startTicks: Number(fields[19]), bootId: await bootId() };
}

export async function isRunning(process: ProcessIdentity): Promise<boolean> {
  const now = await identifyProcess(process.pid);
  return now !== undefined && now.startTicks === process.startTicks && now.bootId === process.bootId;
}

/** The arguments a process was started with; empty for kernel threads and processes that are gone. */
export async function commandLine(pid: number): Promise<readonly string[]> {
  const text = (await readProc(`${pid}/cmdline`)) ?? "";
  return text.split("\0").slice(0, -1);
}

/** The processes whose arguments satisfy `matches`. */
export async function findProcesses(matches: (args: readonly string[]) => boolean): Promise<readonly ProcessIdentity[]> {
  const found: ProcessIdentity[] = [];
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry) || !matches(await commandLine(Number(entry)))) continue;
    const identity = await identifyProcess(Number(entry));
    if (identity) found.push(identity);
  }
  return found;
}

/** Sends SIGTERM, and SIGKILL if the process is still there after `graceMs`. Resolves when it is gone. */
export async function terminateProcess(
  process: ProcessIdentity,
  options: { readonly clock: Clock; readonly graceMs: number },
): Promise<void> {
  const { clock, graceMs } = options;
  if (!(await signalProcess(process, "SIGTERM"))) return;
  if (await waitForExit(process, clock, graceMs)) return;
  await signalProcess(process, "SIGKILL");
  if (!(await waitForExit(process, clock, 10_000))) throw new Error(`process ${process.pid} is still there after SIGKILL`);
}

/** Whether the process was there to be signalled. */
export async function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<boolean> {
  if (!(await isRunning(identity))) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
}

async function waitForExit(process: ProcessIdentity, clock: Clock, timeoutMs: number): Promise<boolean> {
  const deadline = clock.monotonic() + timeoutMs;
  while (await isRunning(process)) {
    if (clock.monotonic() >= deadline) return false;
    await clock.sleep(20);
  }
  return true;
}

/** A new one with every boot; "" where there is none. */
export async function bootId(): Promise<string> {
  return ((await readProc("sys/kernel/random/boot_id")) ?? "").trim();
}

async function readProc(path: string): Promise<string | undefined> {
  try {
    return await readFile(`/proc/${path}`, "utf8");
  } catch {
    return undefined; // the process ended, or there is no /proc
  }
}
