// Who holds a lock, and whether that process still lives. Of processes that this one can see the operating system tells; those of
// another container or machine (process numbers are those of a PID namespace) show that they live by touching the lock.
import { readFileSync, readlinkSync, statSync } from "node:fs";
import { type Clock, realClock } from "../base/clock.ts";

/** A process, and which of those that have had its id. */
export interface Holder {
  readonly pid: number;
  /** Boot and start time where the system tells (Linux); otherwise empty. */
  readonly started: string;
  /** Boot and PID namespace in which `pid` means something; empty where the system tells neither, or the holder did not write it. */
  readonly space: string;
}

/** A holder touches its lock so often. */
export const touchEveryMs = 2_000;
/** One that has not done so for so long does not live, or the clock was set: then it touches its lock again soon. */
const silentMs = 30_000;
/** A holder elsewhere whose lock was touched lately is waited for so long: it may have ended just now. */
const listenMs = 10_000;
/** One that has been silent for long is waited for so long. */
const listenToSilentMs = 5_000;
const listenStepMs = 100;

/** Undefined where the file is gone, or is no lock of ours. */
export function readHolder(path: string): Holder | undefined {
  const text = readOptional(path);
  if (text === undefined) return undefined;
  try {
    const { pid, started, space } = JSON.parse(text) as Partial<Holder>;
    return typeof pid === "number" ? { pid, started: String(started ?? ""), space: String(space ?? "") } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export function holderOf(pid: number): Holder {
  const boot = readOptional("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
  const start = statFields(pid)[19] ?? "";
  const namespace = pidNamespace();
  return { pid, started: start && `${boot} ${start}`, space: namespace && `${boot} ${namespace}` };
}

/** Whether the process is one that this one cannot see. */
export function isElsewhere({ space }: Holder): boolean {
  const own = holderOf(process.pid).space;
  return space !== "" && own !== "" && space !== own;
}

/** `path`: of the file that names the holder. Blocks for ten seconds at most, where only listening can tell. */
export function isAlive(holder: Holder, path: string, clock: Clock = realClock): boolean {
  if (isElsewhere(holder)) return isTouched(path, clock);
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to someone else.
    if (errorCode(error) === "ESRCH") return false;
  }
  // A process that has ended and waits for its parent to notice holds nothing any more.
  return !/^[ZX]$/.test(statFields(holder.pid)[0] ?? "") && holder.started === holderOf(holder.pid).started;
}

/** Whether somebody touches the file. */
function isTouched(path: string, clock: Clock): boolean {
  const before = touchedAt(path);
  if (before === undefined) return false;
  const patienceMs = clock.now() - before > silentMs ? listenToSilentMs : listenMs;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (const end = clock.monotonic() + patienceMs; clock.monotonic() < end; ) {
    Atomics.wait(pause, 0, 0, listenStepMs);
    const now = touchedAt(path);
    if (now !== before) return now !== undefined;
  }
  return false;
}

function touchedAt(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs;
}

function pidNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch (error) {
    if (unreadable.includes(errorCode(error))) return "";
    throw error;
  }
}

/** The fields after the program's name, which is in parentheses and may hold anything: first the state, as the 20th the start time. */
function statFields(pid: number): readonly string[] {
  const stat = readOptional(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
}

const unreadable = ["ENOENT", "EACCES", "ESRCH", "ENOTDIR"];

function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (unreadable.includes(errorCode(error))) return undefined;
    throw error;
  }
}

/** Of the operating system; empty for other errors. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
