// Files whose contents may change while the process runs: certificates, keys, configuration. They are looked at every second,
// which costs a stat each and works wherever files come from (renamed into place, written over, swapped with a symbolic link
// as mounted secrets are). Files that belong together (a certificate and its key) are handed over together.
import { readFile, stat } from "node:fs/promises";
import type { Clock } from "./clock.ts";
import type { Running } from "./lifecycle.ts";

/** A file and what it held when it was last taken over. */
export interface FollowedFile {
  readonly path: string;
  readonly contents: string;
}

export interface FileFollower {
  readonly clock: Clock;
  /** Gets all contents when one has changed. When it throws, the old ones stay in use until a file changes again. */
  changed(contents: readonly string[]): Promise<void> | void;
  /** What `changed` threw, or why a file cannot be read; said once until something changes. */
  failed(error: unknown): void;
}

const periodMs = 1000;

export function followFiles(files: readonly FollowedFile[], follower: FileFollower): Running {
  const following = new Following(files, follower);
  let running: Promise<void> | undefined;
  const timer = follower.clock.every(periodMs, () => {
    running ??= following.look().finally(() => {
      running = undefined;
    });
  });
  return {
    async stop() {
      timer.cancel();
      await running;
    },
  };
}

class Following {
  readonly #paths: readonly string[];
  readonly #follower: FileFollower;
  #contents: readonly string[];
  /** What stat said when the contents were read; undefined before the first look. */
  #seen: string | undefined;
  #lastProblem: string | undefined;

  constructor(files: readonly FollowedFile[], follower: FileFollower) {
    this.#paths = files.map((f) => f.path);
    this.#contents = files.map((f) => f.contents);
    this.#follower = follower;
  }

  async look(): Promise<void> {
    try {
      // Taken before reading: a change during it shows at the next look.
      const seen = (await Promise.all(this.#paths.map(identity))).join();
      if (seen === this.#seen) return;
      const contents = await Promise.all(this.#paths.map((path) => readFile(path, "utf8")));
      this.#seen = seen;
      if (contents.every((text, i) => text === this.#contents[i])) return;
      await this.#follower.changed(contents);
      this.#contents = contents;
      this.#lastProblem = undefined;
    } catch (error) {
      const problem = String(error);
      if (problem === this.#lastProblem) return;
      this.#lastProblem = problem;
      this.#follower.failed(error);
    }
  }
}

async function identity(path: string): Promise<string> {
  const { ino, size, mtimeNs } = await stat(path, { bigint: true });
  return `${ino}:${size}:${mtimeNs}`;
}
