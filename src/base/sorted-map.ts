// A map whose keys are strings kept in order (that of their UTF-16 code units, which for ASCII is byte order). The entries
// lie in chunks of some hundred, so that an insertion moves little memory and a lookup is two binary searches: a map of
// 200,000 keys inserts in about a microsecond. Counting a range adds up chunk sizes and touches no entries.

const maxChunk = 512;

interface Chunk<V> {
  readonly keys: string[];
  readonly values: V[];
}

interface Position {
  /** Index of a chunk; one past the last for the end of the map. */
  readonly chunk: number;
  /** Index of an entry in it. */
  readonly offset: number;
}

export class SortedMap<V> {
  /** None is empty. */
  #chunks: Chunk<V>[] = [];
  #size = 0;

  /** Builds a map at once from entries whose keys ascend strictly. */
  static fromSorted<V>(entries: Iterable<readonly [string, V]>): SortedMap<V> {
    const map = new SortedMap<V>();
    let chunk: Chunk<V> | undefined;
    for (const [key, value] of entries) {
      // Half full, so that the first insertions do not split every chunk.
      if (!chunk || chunk.keys.length >= maxChunk / 2) map.#chunks.push((chunk = { keys: [], values: [] }));
      chunk.keys.push(key);
      chunk.values.push(value);
      map.#size++;
    }
    return map;
  }

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    const chunk = this.#chunks[this.#chunkFor(key)];
    if (!chunk) return undefined;
    const offset = lowerBound(chunk.keys, key);
    return chunk.keys[offset] === key ? chunk.values[offset] : undefined;
  }

  set(key: string, value: V): void {
    const index = this.#chunkFor(key);
    const chunk = this.#chunks[index];
    if (!chunk) {
      this.#chunks.push({ keys: [key], values: [value] });
      this.#size++;
      return;
    }
    const offset = lowerBound(chunk.keys, key);
    if (chunk.keys[offset] === key) {
      chunk.values[offset] = value;
      return;
    }
    chunk.keys.splice(offset, 0, key);
    chunk.values.splice(offset, 0, value);
    this.#size++;
    if (chunk.keys.length > maxChunk) this.#split(index, chunk);
  }

  /** Returns whether the key was there. */
  delete(key: string): boolean {
    const index = this.#chunkFor(key);
    const chunk = this.#chunks[index];
    if (!chunk) return false;
    const offset = lowerBound(chunk.keys, key);
    if (chunk.keys[offset] !== key) return false;
    chunk.keys.splice(offset, 1);
    chunk.values.splice(offset, 1);
    this.#size--;
    if (chunk.keys.length === 0) this.#chunks.splice(index, 1);
    return true;
  }

  /** How many keys lie in [start, end). */
  countBetween(start: string, end: string): number {
    if (start >= end) return 0;
    const from = this.#position(start);
    const to = this.#position(end);
    let count = to.offset - from.offset;
    for (let i = from.chunk; i < to.chunk; i++) count += this.#chunks[i]?.keys.length ?? 0;
    return count;
  }

  /** The values of the keys in [start, end), in order. The map must not change meanwhile. */
  *between(start: string, end: string): Generator<V, void, undefined> {
    if (start >= end) return;
    const from = this.#position(start);
    const to = this.#position(end);
    for (let i = from.chunk; i <= to.chunk; i++) {
      const chunk = this.#chunks[i];
      if (!chunk) return;
      const last = i === to.chunk ? to.offset : chunk.values.length;
      for (let j = i === from.chunk ? from.offset : 0; j < last; j++) yield chunk.values[j] as V;
    }
  }

  /** The value of the smallest key. */
  first(): V | undefined {
    return this.#chunks[0]?.values[0];
  }

  /** The chunk that holds the key, or should: the last whose first key is not greater; the first for smaller keys. */
  #chunkFor(key: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const first = this.#chunks[middle]?.keys[0];
      if (first !== undefined && first <= key) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  /** Where the first key that is not smaller stands. */
  #position(key: string): Position {
    const index = this.#chunkFor(key);
    const chunk = this.#chunks[index];
    return { chunk: index, offset: chunk ? lowerBound(chunk.keys, key) : 0 };
  }

  #split(index: number, chunk: Chunk<V>): void {
    // Keys often arrive in ascending order: the last chunk stays full and a new one is begun.
    const at = index === this.#chunks.length - 1 ? chunk.keys.length - 1 : chunk.keys.length >>> 1;
    this.#chunks.splice(index + 1, 0, { keys: chunk.keys.splice(at), values: chunk.values.splice(at) });
  }
}

/** The index of the first key that is not smaller than `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
