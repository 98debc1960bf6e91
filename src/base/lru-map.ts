// A Map that holds at most so many entries and forgets the least recently used: the bound of every cache that is keyed
// by what clients send. Where entries may be of any size, what they weigh together has a bound too.

export interface WeightBound<K, V> {
  /** Of one entry, the same each time it is asked for. */
  readonly weigh: (key: K, value: V) => number;
  /** Of all entries together; the newest one stays whatever it weighs. */
  readonly maxWeight: number;
}

export class LruMap<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #maxEntries: number;
  readonly #bound: WeightBound<K, V> | undefined;
  #weight = 0;

  constructor(maxEntries: number, bound?: WeightBound<K, V>) {
    this.#maxEntries = maxEntries;
    this.#bound = bound;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Counts as a use. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    // While there is much room nothing is forgotten soon, and the order costs more than the look-up.
    if (value === undefined || this.#hasMuchRoom()) return value;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  set(key: K, value: V): void {
    this.delete(key);
    this.#entries.set(key, value);
    if (this.#bound) this.#weight += this.#bound.weigh(key, value);
    while (this.#isOverfull())
      for (const oldest of this.#entries.keys()) {
        this.delete(oldest);
        break;
      }
  }

  delete(key: K): boolean {
    if (this.#bound) {
      const value = this.#entries.get(key);
      if (value !== undefined) this.#weight -= this.#bound.weigh(key, value);
    }
    return this.#entries.delete(key);
  }

  #hasMuchRoom(): boolean {
    return this.#entries.size * 2 < this.#maxEntries && (!this.#bound || this.#weight * 2 < this.#bound.maxWeight);
  }

  #isOverfull(): boolean {
    if (this.#entries.size > this.#maxEntries) return true;
    return this.#bound !== undefined && this.#weight > this.#bound.maxWeight && this.#entries.size > 1;
  }
}
