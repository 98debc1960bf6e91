// The journal on LMDB: one database of versions numbered as they were written, one of facts about the store. A batch is
// one LMDB transaction: on the disk before it is acknowledged, or not there at all, whenever the process or the machine
// dies. Only headers are read at the start; values stay on the disk, and those that someone still holds in memory are
// handed out again instead of being read.
import { chmodSync, closeSync, existsSync, fsyncSync, openSync, rmSync, writeFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { type Database, open, type RootDatabase } from "lmdb";
import type { DirectoryLock } from "./directory-lock.ts";
import type { Journal } from "./journal.ts";
import { LateCommits } from "./late-commit.ts";
import { checkLmdbFile } from "./lmdb-pages.ts";
import { decodeVersion, RecordEncoder, recordValue } from "./record.ts";
import { StoreFullError } from "./store.ts";
import type { Version } from "./version-index.ts";

const format = 1;
/** Versions removed in one LMDB transaction, so that writes get their turn in between. */
const discardStretch = 1000;

const minPageBytes = 4096;
/** What a record may occupy beside its bytes, in pages: the rest of its last one, a leaf and a branch that are split for it. */
const pagesOfRecord = 3;

/** Codes of lmdbError: the operating system's for a full disk and quota, LMDB's own for a full map. */
const fullCodes: readonly unknown[] = [28, 122, -30792];
/** EIO: also LMDB's answer when only a part of a write found room. */
const shortWriteCode = 5;
const minFreeBytes = 1024 * 1024;

export interface LmdbJournalOptions {
  readonly dir: string;
  /** Held on the directory; released with the journal. */
  readonly lock: DirectoryLock;
  /** What records may occupy before writes are refused. */
  readonly maxBytes: number;
}

export class LmdbJournal implements Journal {
  readonly #dir: string;
  readonly #lock: DirectoryLock;
  readonly #maxBytes: number;
  readonly #root: RootDatabase;
  readonly #versions: Database<Buffer, number>;
  readonly #facts: Database<number, string>;
  /** One commit runs at a time. */
  readonly #records = new RecordEncoder();
  readonly #late = new LateCommits();
  /** A file that is there while the store is opened: who finds it knows that somebody died of that. */
  readonly #opening: string;
  #nextPosition = 1;
  /** What compaction has left to remove. */
  #garbage: number[] = [];
  /** As measured last, with what has been written since counted as generously as pages may demand. */
  #bytesInUse = Number.POSITIVE_INFINITY;
  /** Set for good when a write may have happened or not. */
  #failure: Error | undefined;

  constructor({ dir, lock, maxBytes }: LmdbJournalOptions) {
    this.#dir = dir;
    this.#lock = lock;
    this.#maxBytes = maxBytes;
    const options = {
      path: dir,
      maxDbs: 2,
      overlappingSync: false,
      eventTurnBatching: false,
      permissionsMode: 0o600,
      encoding: "binary",
    } as const;
    this.#opening = join(dir, "opening");
    checkLmdbFile(join(dir, "data.mdb"), existsSync(this.#opening));
    writeFileSync(this.#opening, "", { mode: 0o600 });
    this.#root = open<Buffer, number>(options);
    // LMDB keeps the mode of files that exist.
    for (const file of ["data.mdb", "lock.mdb"]) chmodSync(join(dir, file), 0o600);
    this.#versions = this.#root.openDB<Buffer, number>({ name: "versions", encoding: "binary" });
    this.#facts = this.#root.openDB<number, string>({ name: "facts", encoding: "json" });
    syncDirectory(dir);
  }

  /** Reads the headers of all versions, oldest first, and what has been compacted. */
  async load(): Promise<{ versions: Version[]; compactedRevision: number }> {
    const found = this.#facts.get("format");
    if (found === undefined) await this.#commit(() => this.#facts.put("format", format));
    else if (found !== format) throw new Error(`the store in ${this.#dir} has format ${found}; this program reads ${format}`);
    const versions: Version[] = [];
    // A second view of the database, which decodes headers in place instead of copying records.
    const headers = { name: "versions", encoder: { encode: () => Buffer.alloc(0), decode: (record: Buffer) => decodeVersion(record, 0) } };
    for (const { key, value } of this.#root.openDB<Version, number>(headers).getRange({})) {
      value.position = key;
      versions.push(value);
    }
    const { entryCount } = this.#versions.getStats() as { readonly entryCount: number };
    if (versions.length !== entryCount)
      throw new Error(
        `the store in ${this.#dir} is damaged: of ${entryCount} records ${versions.length} can be read; restore it from a copy`,
      );
    rmSync(this.#opening, { force: true });
    this.#nextPosition = (versions.at(-1)?.position ?? 0) + 1;
    return { versions, compactedRevision: this.#facts.get("compactedRevision") ?? 0 };
  }

  async append(versions: readonly Version[]): Promise<void> {
    // Encoded beforehand: an error between two puts would leave half a transaction to be committed.
    const records = this.#records.encode(versions);
    for (const record of records) this.#bytesInUse += record.length + pagesOfRecord * minPageBytes;
    await this.#commit(() => {
      for (const [i, record] of records.entries()) void this.#versions.put(this.#nextPosition + i, record);
    });
    for (const version of versions) {
      version.position = this.#nextPosition++;
      if (version.value instanceof Uint8Array) version.value = new WeakRef(version.value);
    }
  }

  read(version: Version): Uint8Array {
    const known = version.value instanceof WeakRef ? version.value.deref() : version.value;
    if (known) return known;
    const record = this.#versions.getBinary(version.position);
    if (!record) throw new Error(`the store in ${this.#dir} has lost ${version.key} at revision ${version.modRevision}`);
    const value = recordValue(record);
    version.value = new WeakRef(value);
    return value;
  }

  async setCompacted(revision: number): Promise<void> {
    await this.#commit(() => this.#facts.put("compactedRevision", revision));
  }

  async discard(versions: readonly Version[]): Promise<void> {
    for (const version of versions) this.#garbage.push(version.position);
    while (this.#garbage.length > 0) {
      const positions = this.#garbage.slice(0, discardStretch);
      await this.#commit(() => {
        for (const position of positions) void this.#versions.remove(position);
      });
      this.#garbage.splice(0, positions.length);
    }
  }

  refuseWhileLate(): void {
    this.#late.refuseWhileLate(this.#dir);
  }

  checkRoom(): void {
    if (this.#bytesInUse <= this.#maxBytes) return;
    this.#bytesInUse = this.#measure();
    if (this.#bytesInUse <= this.#maxBytes) return;
    const bytes = this.#bytesInUse;
    throw new StoreFullError(
      `the store in ${this.#dir} holds ${bytes} bytes, more than the ${this.#maxBytes} it may: only deletes are possible until it has been compacted`,
    );
  }

  /** One turn of the event loop: what all requests that came in with the last packets wrote is then here. */
  gather(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  async close(): Promise<void> {
    await this.#root.close();
    this.#lock.release();
  }

  #measure(): number {
    const stats = this.#versions.getStats() as Record<"pageSize" | "treeBranchPageCount" | "treeLeafPageCount" | "overflowPages", number>;
    return stats.pageSize * (stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages);
  }

  /** One LMDB transaction: resolves when it is on the disk, rejects when it has not happened. Takes as long as the disk does. */
  async #commit(write: () => void): Promise<void> {
    if (this.#failure) throw this.#failure;
    const committed = this.#root.batch(write).catch(async (error: unknown) => {
      throw await this.#explain(error);
    });
    await this.#late.watch(committed);
  }

  /** After anything but a full disk it is unknown what the disk holds, and nothing may be built on it. */
  #fail(cause: unknown): Error {
    this.#failure = new Error(`a write to the store in ${this.#dir} failed; it takes no more writes until it is opened again`, { cause });
    return this.#failure;
  }

  async #explain(error: unknown): Promise<Error> {
    const cause = await causeOf(error);
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (fullCodes.includes(code) || (code === shortWriteCode && (await freeBytes(this.#dir)) < minFreeBytes))
      return new StoreFullError(`the disk of ${this.#dir} is full: the write has not happened`, { cause });
    return this.#fail(cause);
  }
}

/** lmdb rejects with an error whose promise `commitError` rejects with the cause. */
async function causeOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error && "commitError" in error && error.commitError instanceof Promise)) return error;
  return error.commitError.then(
    () => error,
    (cause: unknown) => cause,
  );
}

async function freeBytes(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
}

/** A file that was just created is found after a power failure only if its directory is on the disk too. */
function syncDirectory(dir: string): void {
  const handle = openSync(dir, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
