// The embedded, durable store: LMDB under etcd's semantics, for one process. The key index is rebuilt in memory at the
// start (about 0.2 s for 100,000 keys); values stay on the disk.
import { chmodSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import { lockDirectory } from "./directory-lock.ts";
import { LmdbJournal } from "./lmdb-journal.ts";
import { MvccStore } from "./mvcc-store.ts";
import { type Store, StoreFullError } from "./store.ts";
import { VersionIndex } from "./version-index.ts";

export interface LmdbStoreDependencies {
  /** The directory of the store alone; created, mode 0700, where it is missing. */
  readonly dir: string;
  readonly clock: Clock;
}

export interface LmdbStoreOptions {
  /** Puts are refused while keys and their history take more; deletes and compaction go on. Default 8 GiB. */
  readonly maxBytes?: number;
}

/** Opens the store in a directory. Throws DirectoryLockedError while another process has it open. */
export async function createLmdbStore({ dir, clock }: LmdbStoreDependencies, options: LmdbStoreOptions = {}): Promise<Store> {
  const lock = lockDirectory(dir);
  let journal: LmdbJournal | undefined;
  try {
    chmodSync(dir, 0o700);
    journal = new LmdbJournal({ dir, lock, maxBytes: options.maxBytes ?? 8 * 1024 ** 3 });
    const { versions, compactedRevision } = await journal.load();
    const { index, garbage } = VersionIndex.load(versions, compactedRevision);
    // A compaction that the last process did not finish; on a full disk the next one will.
    await journal.discard(garbage).catch((error: unknown) => {
      if (!(error instanceof StoreFullError)) throw error;
    });
    return new MvccStore({ clock, journal, index });
  } catch (error) {
    await journal?.close();
    lock.release();
    throw new Error(`opening the store in ${dir} failed`, { cause: error });
  }
}
