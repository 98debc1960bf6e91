// Numbers handed out from a range, each to one holder: what cluster IPs and node ports are allocated from. Numbers asked
// for by name come from anywhere; others are drawn at random from the upper part while it lasts, so that the lower part
// stays free for those who choose (upstream's static band).

/** A number of a range; beyond 2^53 - 1, where not every number is a double, a bigint. */
export type PoolNumber = number | bigint;

export interface NumberPoolOptions {
  readonly size: number;
  /** Numbers from here on are given to those who choose alone. Default: size. */
  readonly drawnBelow?: number;
  /** Numbers below this are drawn only when no other is free. */
  readonly staticBand: number;
  /** A number in [0, 1). */
  readonly random: () => number;
}

/** Of a range of this size, how many are kept for those who choose: between `min` and `max`, a part in `step`. */
export function staticBandOf(
  size: number,
  { min, max, step }: { readonly min: number; readonly max: number; readonly step: number },
): number {
  return size <= min ? 0 : Math.min(max, Math.max(min, Math.floor(size / step)));
}

export class NumberPool {
  readonly #size: number;
  readonly #drawnBelow: number;
  readonly #staticBand: number;
  readonly #random: () => number;
  /** How many holders each taken number is known to have: more than one only where stores disagree. */
  readonly #held = new Map<PoolNumber, number>();
  /** Taken for writes that are not seen in the store yet. */
  readonly #reserved = new Set<PoolNumber>();

  constructor({ size, drawnBelow = size, staticBand, random }: NumberPoolOptions) {
    this.#size = size;
    this.#drawnBelow = drawnBelow;
    this.#staticBand = staticBand;
    this.#random = random;
  }

  /** Numbers that were given out, by how they were asked for, and those that could not be. */
  readonly given = { static: 0, dynamic: 0 };
  readonly refused = { static: 0, dynamic: 0 };

  get allocated(): number {
    return this.#held.size + this.#reserved.size;
  }

  get available(): number {
    return this.#size - this.allocated;
  }

  isFree(number: PoolNumber): boolean {
    return !this.#held.has(number) && !this.#reserved.has(number);
  }

  /** Takes a number by name; false where it is taken. */
  reserve(number: PoolNumber): boolean {
    if (!this.isFree(number)) {
      this.refused.static++;
      return false;
    }
    this.given.static++;
    this.#reserved.add(number);
    return true;
  }

  /** Takes any number; undefined where all are taken. */
  reserveAny(): number | undefined {
    const number = this.#draw(this.#staticBand, this.#drawnBelow) ?? this.#draw(0, this.#staticBand);
    if (number === undefined) this.refused.dynamic++;
    else {
      this.given.dynamic++;
      this.#reserved.add(number);
    }
    return number;
  }

  /** Gives a reserved number back. */
  cancel(number: PoolNumber): void {
    this.#reserved.delete(number);
  }

  /** An object in the store holds it. */
  hold(number: PoolNumber): void {
    this.#reserved.delete(number);
    this.#held.set(number, (this.#held.get(number) ?? 0) + 1);
  }

  /** The object is gone, or holds another. */
  release(number: PoolNumber): void {
    const holders = this.#held.get(number) ?? 0;
    if (holders > 1) this.#held.set(number, holders - 1);
    else this.#held.delete(number);
  }

  /** A free number in [from, to), searched from a random place on. */
  #draw(from: number, to: number): number | undefined {
    const count = to - from;
    if (count <= 0) return undefined;
    const start = Math.floor(this.#random() * count);
    for (let i = 0; i < count; i++) {
      const number = from + ((start + i) % count);
      if (this.isFree(number)) return number;
    }
    return undefined;
  }
}
