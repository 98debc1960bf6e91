// A file that is set aside when it has grown to its limit: renamed to name-<time>.ext, perhaps compressed, and deleted when
// there are too many or it is too old. Names are those of upstream's log writer, so that its tools find them.
import { closeSync, createReadStream, createWriteStream, fstatSync, openSync, renameSync, writeSync } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import { makeDirectory } from "../../base/make-directory.ts";

export interface RotationOptions {
  /** Infinity: it is never set aside. Default 100 MB. */
  readonly maxBytes?: number;
  /** How many old files are kept; default all. */
  readonly maxBackups?: number;
  /** How old they may be; default any age. */
  readonly maxAgeMs?: number;
  /** Whether they are compressed with gzip. Default false. */
  readonly compress?: boolean;
}

const defaultMaxBytes = 100 * 1024 * 1024;

export class RotatingFile {
  readonly #path: string;
  readonly #options: RotationOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #descriptor: number;
  #bytes: number;
  #cleaning: Promise<void> = Promise.resolve();

  /** Opens the file, and its directory where that is missing; throws the system's error. */
  constructor(path: string, options: RotationOptions, deps: { readonly clock: Clock; readonly logger: Logger }) {
    this.#path = path;
    this.#options = options;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    makeDirectory(dirname(path), 0o700);
    this.#descriptor = openSync(path, "a", 0o600);
    this.#bytes = fstatSync(this.#descriptor).size;
  }

  /** The text is in the file, though not on the disk, when this returns. */
  append(text: string): void {
    const bytes = Buffer.from(text);
    if (this.#bytes > 0 && this.#bytes + bytes.length > (this.#options.maxBytes ?? defaultMaxBytes)) this.#rotate();
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#descriptor, bytes, at);
    this.#bytes += bytes.length;
  }

  async close(): Promise<void> {
    closeSync(this.#descriptor);
    await this.#cleaning;
  }

  #rotate(): void {
    const extension = extname(this.#path);
    const stamp = new Date(this.#clock.now()).toISOString().slice(0, 23).replaceAll(":", "-");
    const stem = this.#path.slice(0, this.#path.length - extension.length);
    renameSync(this.#path, `${stem}-${stamp}${extension}`);
    const fresh = openSync(this.#path, "a", 0o600);
    closeSync(this.#descriptor);
    this.#descriptor = fresh;
    this.#bytes = 0;
    this.#cleaning = this.#cleaning
      .then(() => this.#clean())
      .catch((error: unknown) => this.#logger.error("Old audit logs not cleaned up", { error }));
  }

  async #clean(): Promise<void> {
    const { maxBackups = 0, maxAgeMs = 0, compress = false } = this.#options;
    const directory = dirname(this.#path);
    const extension = extname(this.#path);
    const prefix = `${basename(this.#path, extension)}-`;
    const old = (await readdir(directory)).flatMap((name) => {
      const [, stamp] = name.startsWith(prefix)
        ? (/^(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3})(?:\.|$)/.exec(name.slice(prefix.length)) ?? [])
        : [];
      return stamp === undefined || name.endsWith(".tmp") ? [] : [{ name, stamp }];
    });
    old.sort((a, b) => (a.stamp < b.stamp ? 1 : -1));
    const oldest = maxAgeMs > 0 ? new Date(this.#clock.now() - maxAgeMs).toISOString().slice(0, 23).replaceAll(":", "-") : "";
    for (const [i, { name, stamp }] of old.entries()) {
      const path = join(directory, name);
      if ((maxBackups > 0 && i >= maxBackups) || stamp < oldest) await rm(path, { force: true });
      else if (compress && !name.endsWith(".gz")) await compressFile(path);
    }
  }
}

async function compressFile(path: string): Promise<void> {
  await pipeline(createReadStream(path), createGzip(), createWriteStream(`${path}.gz.tmp`, { mode: 0o600 }));
  await rename(`${path}.gz.tmp`, `${path}.gz`);
  await rm(path);
}
