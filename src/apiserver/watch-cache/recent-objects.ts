// Which objects are kept decoded: those that were written or asked for lately, up to a number and a size. All others are kept as
// bytes alone, beside what selectors ask of them, and are decoded when somebody asks for one. A decoded pod is some sixty objects
// for the garbage collector, its bytes none: with 100,000 pods that nobody looks at, a collection has little to look at either.
//
// A queue with a second chance: the oldest goes, but who has been used meanwhile comes in once more.

/** What is decoded, and can be decoded again. */
export interface Decoded {
  /** Of its encoded form. */
  readonly storedBytes: number;
  /** Whether it has been used since this was asked last. */
  wasUsed(): boolean;
  /** Keeps only its bytes from now on. */
  letGo(): void;
}

export interface RecentObjectsOptions {
  /** Default 10,000. */
  readonly maxObjects?: number;
  /** Of JSON; decoded, an object takes somewhat more. Default 24 MiB. */
  readonly maxBytes?: number;
}

/** So many that have been used are passed over for one that comes in: constant work. */
const mostPassed = 8;

export class RecentObjects {
  readonly #maxObjects: number;
  readonly #maxBytes: number;
  #queue: (Decoded | undefined)[] = [];
  /** As they were counted. */
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;

  constructor({ maxObjects = 10_000, maxBytes = 24 * 2 ** 20 }: RecentObjectsOptions = {}) {
    this.#maxObjects = maxObjects;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#queue.length - this.#head;
  }

  add(decoded: Decoded): void {
    this.#push(decoded, decoded.storedBytes);
    // The newest stays, however large it is: somebody is about to use it.
    while (this.size > 1 && (this.size > this.#maxObjects || this.#bytes > this.#maxBytes)) this.#dropOne();
  }

  #dropOne(): void {
    for (let passed = 0; ; passed++) {
      const decoded = this.#queue[this.#head] as Decoded;
      const bytes = this.#sizes[this.#head] as number;
      this.#queue[this.#head++] = undefined;
      this.#bytes -= bytes;
      if (passed < mostPassed && decoded.wasUsed()) {
        this.#push(decoded, bytes);
        continue;
      }
      this.#compact();
      decoded.letGo();
      return;
    }
  }

  #push(decoded: Decoded, bytes: number): void {
    this.#queue.push(decoded);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  /** Dropped places are given back in one move when they are half of the array. */
  #compact(): void {
    if (this.#head < 1024 || this.#head * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#head);
    this.#sizes = this.#sizes.slice(this.#head);
    this.#head = 0;
  }
}
