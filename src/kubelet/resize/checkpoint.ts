// A small state of the kubelet that survives its restart: a JSON file in its root directory, in the envelope of upstream's
// checkpoints ({data, checksum}). Changes are gathered for a moment and written whole, by rename; a file that is damaged is
// reported and left out of account, so that the node starts.
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { goChecksum } from "../resource-managers/go-checksum.ts";

export interface CheckpointDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
}

const gatherMs = 1_000;

/** How a state is written into its file. */
export interface CheckpointFormat<T> {
  encode(content: T): string;
  /** Throws when the text is damaged. */
  decode(text: string): T;
}

/** Of a text, as Go's dump of a structure has it. */
const checksumOf = (data: string): number => goChecksum(`(string)${data}`);

const envelope: CheckpointFormat<unknown> = {
  encode(content) {
    const data = JSON.stringify(content);
    return JSON.stringify({ data, checksum: checksumOf(data) });
  },
  decode(text) {
    const { data, checksum } = JSON.parse(text) as { readonly data: string; readonly checksum: number };
    if (checksumOf(data) !== checksum) throw new Error("checkpoint is corrupted");
    return JSON.parse(data);
  },
};

export class Checkpoint<T> implements Running {
  readonly #deps: CheckpointDependencies;
  readonly #path: string | undefined;
  /** What is to be written, taken when it is. */
  readonly #content: () => T;
  readonly #format: CheckpointFormat<T>;
  #timer: Timer | undefined;
  #dirty = false;
  #writing: Promise<void> = Promise.resolve();

  /** Without a path nothing is written. `format`: default upstream's envelope for states of one text. */
  constructor(path: string | undefined, content: () => T, deps: CheckpointDependencies, format?: CheckpointFormat<T>) {
    this.#path = path;
    this.#content = content;
    this.#deps = deps;
    this.#format = format ?? (envelope as CheckpointFormat<T>); // what it decodes is what it encoded
  }

  /** Undefined when there is none that can be used; `strict`: throws when there is one that cannot. */
  async load({ strict = false }: { readonly strict?: boolean } = {}): Promise<T | undefined> {
    if (this.#path === undefined) return undefined;
    let text: string;
    try {
      text = await readFile(this.#path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    try {
      return this.#format.decode(text);
    } catch (error) {
      if (strict) throw error;
      this.#deps.logger.error("Reading a checkpoint failed; the node goes on without it", { path: this.#path, error: errorText(error) });
      return undefined;
    }
  }

  /** Something has changed: to be written within a second, or now. */
  touch({ now = false }: { readonly now?: boolean } = {}): void {
    if (this.#path === undefined || (this.#dirty && !now)) return;
    this.#dirty = true;
    this.#timer?.cancel();
    if (now) this.#writeNow();
    else this.#timer = this.#deps.clock.after(gatherMs, () => this.#writeNow());
  }

  /** Resolves when everything is written. */
  async flush(): Promise<void> {
    this.#timer?.cancel();
    if (this.#dirty) this.#writeNow();
    await this.#writing;
  }

  stop(): Promise<void> {
    return this.flush();
  }

  #writeNow(): void {
    this.#writing = this.#writing.then(() => this.#write());
  }

  async #write(): Promise<void> {
    if (!this.#dirty || this.#path === undefined) return;
    this.#dirty = false;
    const text = this.#format.encode(this.#content());
    const temporary = `${this.#path}.new`;
    try {
      await mkdir(dirname(this.#path), { recursive: true });
      // Not forced to the disk: what it is about does not outlive the machine either.
      await writeFile(temporary, text, { mode: 0o600 });
      await rename(temporary, this.#path);
    } catch (error) {
      // Tried again with the next change.
      this.#deps.logger.error("Writing a checkpoint failed", { path: this.#path, error: errorText(error) });
    }
  }
}
