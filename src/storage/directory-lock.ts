// Keeps a second process out of a data directory. Node has no flock, so the lock is a file that names its holder; a holder
// that no longer lives is recognised by its process id together with the time it was started, so that a process id used
// again by another program, or after a reboot, does not keep the directory locked. All steps are synchronous: within one
// process nothing comes between them. Directories may be shared by containers, whose processes do not see each other: so the
// holder touches its lock again and again (lock-holder.ts).
import { randomUUID } from "node:crypto";
import { linkSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { realClock } from "../base/clock.ts";
import { makeDirectory } from "../base/make-directory.ts";
import { errorCode, type Holder, holderOf, isAlive, isElsewhere, readHolder, touchEveryMs } from "./lock-holder.ts";

export interface DirectoryLock {
  /** Idempotent. */
  release(): void;
}

export class DirectoryLockedError extends Error {
  /** The process that holds the directory, in words. */
  readonly holder: string;

  constructor(dir: string, holder: Holder | undefined) {
    const words = !holder ? "another process" : `process ${holder.pid}${isElsewhere(holder) ? " of another container or machine" : ""}`;
    super(`the directory ${dir} is in use by ${words}; stop it, or choose another directory`);
    this.name = "DirectoryLockedError";
    this.holder = words;
  }
}

/** Locks a directory, creating it (mode 0700) where it is missing. Throws DirectoryLockedError while another holder lives. */
export function lockDirectory(dir: string, fileName = "lock"): DirectoryLock {
  makeDirectory(dir, 0o700);
  const path = join(dir, fileName);
  const own = `${JSON.stringify(holderOf(process.pid))}\n`;
  // Complete before it has the name that counts: nobody ever reads half a lock.
  const draft = `${path}.${randomUUID()}`;
  writeFileSync(draft, own, { mode: 0o600 });
  try {
    if (!tryLink(draft, path)) takeOver(dir, path, draft);
  } finally {
    rmSync(draft, { force: true });
  }
  const { ino } = statSync(path);
  const touching = realClock.every(touchEveryMs, () => touch(path, ino));
  let held = true;
  return {
    release() {
      touching.cancel();
      if (held) rmSync(path, { force: true });
      held = false;
    },
  };
}

/**
 * The process that holds a directory; undefined where none that lives does. Throws DirectoryLockedError where it lives in another
 * container or on another machine, so that its number says nothing here.
 */
export function directoryHolder(dir: string, fileName = "lock"): number | undefined {
  const path = join(dir, fileName);
  const holder = readHolder(path);
  if (!holder || !isAlive(holder, path)) return undefined;
  if (isElsewhere(holder)) throw new DirectoryLockedError(dir, holder);
  return holder.pid;
}

/** Not a lock that is another's by now. */
function touch(path: string, inode: number): void {
  if (statSync(path, { throwIfNoEntry: false })?.ino !== inode) return;
  const now = new Date(realClock.now());
  utimesSync(path, now, now);
}

/** Replaces the lock of a dead holder. Two that try this at once are kept apart by a lock on the take-over. */
function takeOver(dir: string, path: string, draft: string): void {
  const guard = `${path}.takeover`;
  if (!tryLink(draft, guard)) {
    const rival = readHolder(guard);
    if (rival && isAlive(rival, guard)) throw new DirectoryLockedError(dir, rival);
    // Died between the next lines, once.
    rmSync(guard, { force: true });
    if (!tryLink(draft, guard)) throw new DirectoryLockedError(dir, readHolder(guard));
  }
  try {
    const holder = readHolder(path);
    if (holder && isAlive(holder, path)) throw new DirectoryLockedError(dir, holder);
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
