// A binary heap whose items are found and removed by key: the order of the scheduling queue.

export class KeyedHeap<T> {
  readonly #items: T[] = [];
  readonly #positions = new Map<string, number>();
  readonly #key: (item: T) => string;
  readonly #compare: (a: T, b: T) => number;

  /** `compare` is negative when `a` comes out before `b`. */
  constructor(key: (item: T) => string, compare: (a: T, b: T) => number) {
    this.#key = key;
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  get(key: string): T | undefined {
    const at = this.#positions.get(key);
    return at === undefined ? undefined : this.#items[at];
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  /** Adds an item, or replaces the one with the same key. */
  set(item: T): void {
    const key = this.#key(item);
    const at = this.#positions.get(key) ?? this.#items.length;
    this.#put(item, at);
    this.#down(this.#up(at));
  }

  pop(): T | undefined {
    const [first] = this.#items;
    if (first !== undefined) this.delete(this.#key(first));
    return first;
  }

  delete(key: string): T | undefined {
    const at = this.#positions.get(key);
    if (at === undefined) return undefined;
    const removed = this.#items[at];
    const last = this.#items.pop();
    this.#positions.delete(key);
    if (last !== undefined && at < this.#items.length) {
      this.#put(last, at);
      this.#down(this.#up(at));
    }
    return removed;
  }

  values(): readonly T[] {
    return this.#items;
  }

  #put(item: T, at: number): void {
    this.#items[at] = item;
    this.#positions.set(this.#key(item), at);
  }

  #up(start: number): number {
    let at = start;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#swapIfBefore(at, parent)) break;
      at = parent;
    }
    return at;
  }

  #down(start: number): void {
    let at = start;
    for (;;) {
      const left = 2 * at + 1;
      const a = this.#items[left];
      if (a === undefined) return;
      const b = this.#items[left + 1];
      const child = b !== undefined && this.#compare(b, a) < 0 ? left + 1 : left;
      if (!this.#swapIfBefore(child, at)) return;
      at = child;
    }
  }

  /** Exchanges two items when the one at `at` comes before the one at `other`. */
  #swapIfBefore(at: number, other: number): boolean {
    const a = this.#items[at];
    const b = this.#items[other];
    if (a === undefined || b === undefined || this.#compare(a, b) >= 0) return false;
    this.#put(a, other);
    this.#put(b, at);
    return true;
  }
}
