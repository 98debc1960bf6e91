// The bytes of long lists that are asked for again: by clients that start anew, by many at once. A list falls into runs of
// neighbouring objects; a run's JSON that has been needed twice is kept for the next list that holds the same run. Where a run
// ends goes by the revisions of its objects, so that a changed object makes its own run anew, and seldom another one.
import type { ObjectVersion } from "../watch-cache/object-version.ts";

/** Neighbours in a list: from `from` up to, not including, `to`. `bytes`: their JSON with a comma before each. */
export interface Run {
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
}

/** A run is at least so long, unless the list ends. */
const leastBytes = 64 * 1024;
/** It ends after one object in eight then, and at the latest here. */
const mostBytes = 256 * 1024;
const oneInEight = 29;

/** Mixes the bits: revisions of neighbours often differ by the same amount. */
const endsRun = (revision: number): boolean => Math.imul(revision, 0x9e3779b1) >>> oneInEight === 0;

/** `asItems`: without kind and apiVersion. */
export function runsOf(versions: readonly ObjectVersion[], asItems: boolean): Run[] {
  const runs: Run[] = [];
  let from = 0;
  let bytes = 0;
  for (let at = 0; at < versions.length; at++) {
    const version = versions[at] as ObjectVersion;
    bytes += 1 + version.encodedLength(asItems);
    if (bytes < leastBytes || (bytes < mostBytes && !endsRun(version.revision))) continue;
    runs.push({ from, to: at + 1, bytes });
    from = at + 1;
    bytes = 0;
  }
  if (from < versions.length) runs.push({ from, to: versions.length, bytes });
  return runs;
}

interface Kept {
  readonly versions: readonly ObjectVersion[];
  readonly asItems: boolean;
  /** Undefined while it has been needed once. */
  bytes: Uint8Array | undefined;
}

export interface ListBlocksOptions {
  /** Of all runs that are kept. Default 16 MiB. */
  readonly maxBytes?: number;
  /** How many are remembered. Default 1,024. */
  readonly maxRuns?: number;
}

/** For all resources of a server. */
export class ListBlocks {
  readonly #maxBytes: number;
  readonly #maxRuns: number;
  /** By their first object; the one that was used last stands last. */
  readonly #runs = new Map<ObjectVersion, Kept>();
  #bytes = 0;

  constructor({ maxBytes = 16 * 2 ** 20, maxRuns = 1024 }: ListBlocksOptions = {}) {
    this.#maxBytes = maxBytes;
    this.#maxRuns = maxRuns;
  }

  /** Lists longer than half of what is kept would only drive out each other. */
  suits(bytes: number): boolean {
    return bytes * 2 <= this.#maxBytes;
  }

  get keptBytes(): number {
    return this.#bytes;
  }

  /** The run's bytes: those that are kept, or else `make(own)`, whose result is kept where it has `own` memory. */
  bytesOf(
    versions: readonly ObjectVersion[],
    { from, to, asItems }: Pick<Run, "from" | "to"> & { readonly asItems: boolean },
    make: (own: boolean) => Uint8Array,
  ): Uint8Array {
    const first = versions[from] as ObjectVersion;
    const known = this.#runs.get(first);
    if (known) {
      this.#runs.delete(first);
      if (known.asItems === asItems && isSame(known.versions, versions, from, to)) {
        this.#runs.set(first, known);
        if (known.bytes) return known.bytes;
        known.bytes = make(true);
        this.#bytes += known.bytes.length;
        this.#makeRoom();
        return known.bytes;
      }
      this.#bytes -= known.bytes?.length ?? 0;
    }
    this.#runs.set(first, { versions: versions.slice(from, to), asItems, bytes: undefined });
    this.#makeRoom();
    return make(false);
  }

  #makeRoom(): void {
    for (const [first, { bytes }] of this.#runs) {
      if (this.#bytes <= this.#maxBytes && this.#runs.size <= this.#maxRuns) return;
      this.#runs.delete(first);
      this.#bytes -= bytes?.length ?? 0;
    }
  }
}

function isSame(kept: readonly ObjectVersion[], versions: readonly ObjectVersion[], from: number, to: number): boolean {
  if (kept.length !== to - from) return false;
  for (let i = 0; i < kept.length; i++) if (kept[i] !== versions[from + i]) return false;
  return true;
}
