// What a plugin has from its directory of manifests, kept up to date while the server runs: the directory is looked at every
// second, which costs a stat of each of its files. Manifests that cannot be read or are wrong leave the last good ones in force.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../../base/clock.ts";
import type { Running } from "../../../base/lifecycle.ts";
import { errorText, type Logger } from "../../../base/log.ts";
import type { ReloadMetrics } from "../../configuration/reload-metrics.ts";

/** The objects in force. */
export interface Manifests<T> {
  readonly current: T;
  /** Calls after each change of what is in force. */
  onChange(changed: () => void): void;
}

export interface FollowedManifests<T> extends Manifests<T>, Running {}

export interface ManifestDirectory<T> {
  /** Of the plugin. */
  readonly name: string;
  readonly directory: string;
  read(): Promise<T & { readonly hash: string }>;
  readonly reloads: ReloadMetrics;
}

const periodMs = 1000;

/** Throws what reading them for the first time does. */
export async function followManifests<T>(
  { name, directory, read, reloads }: ManifestDirectory<T>,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<FollowedManifests<T>> {
  let seen = await signature(directory);
  let current = await read();
  // Upstream counts the first reading too.
  reloads.succeeded(current.hash);
  const listeners: (() => void)[] = [];
  const look = async (): Promise<void> => {
    try {
      // Taken before reading: a change during it shows at the next look.
      const now = await signature(directory);
      if (now === seen) return;
      seen = now;
      const next = await read();
      if (next.hash === current.hash) return;
      current = next;
      reloads.succeeded(next.hash);
      for (const changed of listeners) changed();
      logger.info(`${name}: manifests in ${directory} were read again`);
    } catch (error) {
      reloads.failed();
      logger.error(`${name}: manifests in ${directory} cannot be used, the last ones stay in force: ${errorText(error)}`);
    }
  };
  let looking: Promise<void> | undefined;
  const timer = clock.every(periodMs, () => {
    looking ??= look().finally(() => {
      looking = undefined;
    });
  });
  return {
    get current() {
      return current;
    },
    onChange: (changed) => void listeners.push(changed),
    async stop() {
      timer.cancel();
      await looking;
    },
  };
}

/** Changes when a file comes, goes or is written; a directory that cannot be read has one of its own. */
async function signature(directory: string): Promise<string> {
  try {
    const names = (await readdir(directory)).toSorted();
    const files = await Promise.all(
      names.map(async (name) => {
        const { ino, size, mtimeNs } = await stat(join(directory, name), { bigint: true });
        return `${name}:${ino}:${size}:${mtimeNs}`;
      }),
    );
    return files.join("\n");
  } catch (error) {
    return String(error);
  }
}
