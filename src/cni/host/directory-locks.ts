// One at a time for what plugins keep in a directory: within this process by waiting in line, and where the plugin may run in
// several processes also by flock on the file "lock" in it, as upstream's host-local does. Node has no flock: util-linux has.
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { CniError, cniErrorCodes } from "../spec/cni-error.ts";

export interface DirectoryLocksOptions {
  /** Whether other processes may want the directory. Default false. */
  readonly acrossProcesses?: boolean;
  readonly clock: Clock;
}

const patienceMs = 30_000;

export class DirectoryLocks {
  readonly #options: DirectoryLocksOptions;
  readonly #last = new Map<string, Promise<unknown>>();

  constructor(options: DirectoryLocksOptions) {
    this.#options = options;
  }

  async run<T>(directory: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const before = this.#last.get(directory) ?? Promise.resolve();
    const mine = before.catch(() => undefined).then(() => this.#guarded(directory, work, signal));
    this.#last.set(directory, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(directory) === mine) this.#last.delete(directory);
    }
  }

  async #guarded<T>(directory: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    if (this.#options.acrossProcesses !== true) return work();
    await mkdir(directory, { recursive: true, mode: 0o755 });
    const release = await flock(join(directory, "lock"), this.#options.clock);
    try {
      return await work();
    } finally {
      release();
    }
  }
}

/** Held by a child until its standard input is closed: also when this process dies. */
async function flock(file: string, clock: Clock): Promise<() => void> {
  const child = spawn("flock", [file, "sh", "-c", "echo locked; exec cat"], { stdio: ["pipe", "pipe", "ignore"] });
  const give = (): void => void child.stdin.end();
  const timer = clock.after(patienceMs, () => child.kill("SIGKILL"));
  try {
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", () => reject(new CniError(cniErrorCodes.tryAgainLater, `${file} has been locked by somebody for long`)));
      child.stdin.on("error", () => undefined);
      child.stdout.once("data", () => resolve());
    });
    return give;
  } finally {
    timer.cancel();
  }
}
