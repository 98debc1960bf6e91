// A small state of the kubelet that survives its restart: a JSON file in its root directory, in the envelope of upstream's
// checkpoints ({data, checksum}). Changes are gathered for a moment and written whole, by rename; a file that is damaged is
// reported and left out of account, so that the node starts.
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { fnv1a } from "../labels.ts";

export interface CheckpointDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
}

const gatherMs = 1_000;

export class Checkpoint<T> implements Running {
  readonly #deps: CheckpointDependencies;
  readonly #path: string;
  /** What is to be written, taken when it is. */
  readonly #content: () => T;
  #timer: Timer | undefined;
  #dirty = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, content: () => T, deps: CheckpointDependencies) {
    this.#path = path;
    this.#content = content;
    this.#deps = deps;
  }

  /** Undefined when there is none that can be used. */
  async load(): Promise<T | undefined> {
    let text: string;
    try {
      text = await readFile(this.#path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    try {
      const { data, checksum } = JSON.parse(text) as { readonly data: string; readonly checksum: number };
      if (fnv1a(data) !== checksum) throw new Error("checkpoint is corrupted");
      return JSON.parse(data) as T;
    } catch (error) {
      this.#deps.logger.error("Reading a checkpoint failed; the node goes on without it", { path: this.#path, error: errorText(error) });
      return undefined;
    }
  }

  /** Something has changed: to be written within a second, or now. */
  touch({ now = false }: { readonly now?: boolean } = {}): void {
    if (this.#dirty && !now) return;
    this.#dirty = true;
    this.#timer?.cancel();
    if (now) this.#writeNow();
    else this.#timer = this.#deps.clock.after(gatherMs, () => this.#writeNow());
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    if (this.#dirty) this.#writeNow();
    await this.#writing;
  }

  #writeNow(): void {
    this.#writing = this.#writing.then(() => this.#write());
  }

  async #write(): Promise<void> {
    if (!this.#dirty) return;
    this.#dirty = false;
    const data = JSON.stringify(this.#content());
    const temporary = `${this.#path}.new`;
    try {
      await mkdir(dirname(this.#path), { recursive: true });
      // Not forced to the disk: what it is about does not outlive the machine either.
      await writeFile(temporary, JSON.stringify({ data, checksum: fnv1a(data) }), { mode: 0o600 });
      await rename(temporary, this.#path);
    } catch (error) {
      // Tried again with the next change.
      this.#deps.logger.error("Writing a checkpoint failed", { path: this.#path, error: errorText(error) });
    }
  }
}
