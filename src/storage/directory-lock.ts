// Keeps a second process out of a data directory. Node has no flock, so the lock is a file that names its holder; a holder
// that no longer lives is recognised by its process id together with the time it was started, so that a process id used
// again by another program, or after a reboot, does not keep the directory locked. All steps are synchronous: within one
// process nothing comes between them.
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeDirectory } from "../base/make-directory.ts";

export interface DirectoryLock {
  /** Idempotent. */
  release(): void;
}

/** A process, and which of those that have had its id. */
interface Holder {
  readonly pid: number;
  /** Boot and start time where the system tells (Linux); otherwise empty. */
  readonly started: string;
}

export class DirectoryLockedError extends Error {
  /** Of the process that holds the directory. */
  readonly pid: number;

  constructor(dir: string, pid: number) {
    super(`the directory ${dir} is in use by process ${pid}; stop it, or choose another directory`);
    this.name = "DirectoryLockedError";
    this.pid = pid;
  }
}

/** Locks a directory, creating it (mode 0700) where it is missing. Throws DirectoryLockedError while another holder lives. */
export function lockDirectory(dir: string, fileName = "lock"): DirectoryLock {
  makeDirectory(dir, 0o700);
  const path = join(dir, fileName);
  const own = `${JSON.stringify(holderOf(process.pid))}\n`;
  // Complete before it has the name that counts: nobody ever reads half a lock.
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, own, { mode: 0o600 });
  try {
    if (!tryLink(draft, path)) takeOver(dir, path, draft);
  } finally {
    rmSync(draft, { force: true });
  }
  let held = true;
  return {
    release() {
      if (held) rmSync(path, { force: true });
      held = false;
    },
  };
}

/** The process that holds a directory; undefined where none that lives does. */
export function directoryHolder(dir: string, fileName = "lock"): number | undefined {
  const holder = readHolder(join(dir, fileName));
  return holder && isAlive(holder) ? holder.pid : undefined;
}

/** Replaces the lock of a dead holder. Two that try this at once are kept apart by a lock on the take-over. */
function takeOver(dir: string, path: string, draft: string): void {
  const guard = `${path}.takeover`;
  if (!tryLink(draft, guard)) {
    const rival = readHolder(guard);
    if (rival && isAlive(rival)) throw new DirectoryLockedError(dir, rival.pid);
    // Died between the next lines, once.
    rmSync(guard, { force: true });
    if (!tryLink(draft, guard)) throw new DirectoryLockedError(dir, readHolder(guard)?.pid ?? 0);
  }
  try {
    const holder = readHolder(path);
    if (holder && isAlive(holder)) throw new DirectoryLockedError(dir, holder.pid);
    renameSync(draft, path);
  } finally {
    rmSync(guard, { force: true });
  }
}

/** Gives the file a further name, unless that is taken. */
function tryLink(existing: string, path: string): boolean {
  try {
    linkSync(existing, path);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/** Undefined where the file is gone, or is no lock of ours. */
function readHolder(path: string): Holder | undefined {
  const text = readOptional(path);
  if (text === undefined) return undefined;
  try {
    const { pid, started } = JSON.parse(text) as Partial<Holder>;
    return typeof pid === "number" ? { pid, started: String(started ?? "") } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isAlive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to someone else.
    if (errorCode(error) === "ESRCH") return false;
  }
  // A process that has ended and waits for its parent to notice holds nothing any more.
  return !/^[ZX]$/.test(statFields(holder.pid)[0] ?? "") && holder.started === holderOf(holder.pid).started;
}

function holderOf(pid: number): Holder {
  const boot = readOptional("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
  const start = statFields(pid)[19] ?? "";
  return { pid, started: start && `${boot} ${start}` };
}

/** The fields after the program's name, which is in parentheses and may hold anything: first the state, as the 20th the start time. */
function statFields(pid: number): readonly string[] {
  const stat = readOptional(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
}

function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (["ENOENT", "EACCES", "ESRCH", "ENOTDIR"].includes(errorCode(error))) return undefined;
    throw error;
  }
}

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
