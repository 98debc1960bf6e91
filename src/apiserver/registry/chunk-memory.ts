// The memory of an answer that is made in chunks, one after the other: each chunk is written over the one before. Memory of
// their own, for the chunks of a long list, is what V8 collects its whole heap for after every few lists.

export class ChunkMemory {
  #kept: Buffer = Buffer.alloc(0);

  /** Room for a chunk; what was taken before is no longer needed. */
  take(bytes: number): Buffer {
    if (this.#kept.length < bytes) this.#kept = Buffer.allocUnsafeSlow(bytes + (bytes >> 3));
    return this.#kept.subarray(0, bytes);
  }
}
