// Where an embedded store (mvcc-store.ts) keeps what must outlive a process, or does not: the seam between the semantics
// of the store, which memory and lmdb share, and the writing of records.
import type { Version } from "./version-index.ts";

export interface Journal {
  /**
   * Makes the versions of whole transactions durable, in order: all, or none when it rejects. Called again only after
   * it has settled. Until then the values are those of `version.value`.
   */
  append(versions: readonly Version[]): Promise<void>;
  /** The value of a version that was appended and not discarded, the instance it was written with where that is alive. */
  read(version: Version): Uint8Array;
  /** Remembers durably that revisions below this one are gone. */
  setCompacted(revision: number): Promise<void>;
  /** Forgets versions. What could not be removed is tried again with the next call, or start. */
  discard(versions: readonly Version[]): Promise<void>;
  /** Throws StoreFullError when there is room for deletes only. */
  checkRoom(): void;
  /** Throws while a write takes far too long: further ones would only pile up behind it. */
  refuseWhileLate(): void;
  /** Resolves when writes that arrive together have had the time to gather for one commit. */
  gather(): Promise<void>;
  close(): Promise<void>;
}
