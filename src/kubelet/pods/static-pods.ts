// Static pods: manifests in a directory, run without an API server. The directory is read again when it changes and every
// 20 seconds. A pod's uid is made from the file, its contents and the node, so that a change gives another pod; its name
// gets the node's name appended. What the API server shows of it is its mirror (mirror-pods.ts).
import { type FSWatcher, watch } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Pod } from "../../api/types/core-v1.ts";
import { type Clock, formatTime, type Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { configAnnotation } from "../runtime/labels.ts";
import { type ManifestRules, readManifest } from "./static-manifest.ts";

export interface StaticPodDependencies extends Omit<ManifestRules, "nodeName"> {
  readonly clock: Clock;
  readonly logger: Logger;
  /** All pods of the directory, after each reading that changed something. */
  readonly onChange: (pods: readonly Pod[]) => void;
}

export interface StaticPodOptions {
  readonly directory: string;
  readonly nodeName: string;
  /** Default 20 s. */
  readonly periodMs?: number;
}

const settleMs = 50;

export class StaticPodSource implements Running {
  readonly #deps: StaticPodDependencies;
  readonly #options: StaticPodOptions;
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  #reading: Promise<void> = Promise.resolve();
  #stopped = false;
  #last: string | undefined;
  /** When each pod was first seen, by uid. */
  #seen = new Map<string, string>();

  constructor(deps: StaticPodDependencies, options: StaticPodOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Resolves when the directory has been read once. */
  async start(): Promise<void> {
    await this.#read();
  }

  #watchDirectory(): void {
    if (this.#watcher || this.#stopped) return;
    try {
      const watcher = watch(this.#options.directory, () => this.#readSoon(settleMs));
      watcher.on("error", () => {
        watcher.close();
        if (this.#watcher === watcher) this.#watcher = undefined;
      });
      this.#watcher = watcher;
    } catch {
      // Not there yet, or no watches left: tried again with the next reading.
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watcher?.close();
    this.#timer?.cancel();
    await this.#reading;
  }

  #readSoon(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.after(delayMs, () => {
      this.#reading = this.#reading.then(() => this.#read());
    });
  }

  async #read(): Promise<void> {
    const { directory, periodMs = 20_000 } = this.#options;
    this.#watchDirectory(); // before reading, so that no change falls between
    const pods: Pod[] = [];
    for (const path of await manifestsIn(directory)) {
      try {
        pods.push(...this.#parse(path, await readFile(path, "utf8")));
      } catch (error) {
        this.#deps.logger.error("Can't process manifest file", { path, error: (error as Error).message });
      }
    }
    this.#readSoon(periodMs);
    const state = pods.map((p) => p.metadata.uid).join();
    if (state === this.#last) return;
    this.#last = state;
    this.#seen = new Map(pods.map((p) => [p.metadata.uid, p.metadata.annotations?.[configAnnotation.seen] ?? ""]));
    this.#deps.onChange(pods);
  }

  #parse(path: string, text: string): readonly Pod[] {
    const now = formatTime(this.#deps.clock.now());
    const seenAt = (uid: string): string => this.#seen.get(uid) ?? now;
    return readManifest({ kind: "file", source: path, text, seenAt }, { ...this.#deps, nodeName: this.#options.nodeName });
  }
}

/** The files of a directory, or the one file that the path is. */
async function manifestsIn(path: string): Promise<readonly string[]> {
  try {
    const names = (await readdir(path)).filter((name) => !name.startsWith(".")).sort();
    return names.map((name) => join(path, name));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    if (code === "ENOTDIR") return [path];
    throw error;
  }
}
