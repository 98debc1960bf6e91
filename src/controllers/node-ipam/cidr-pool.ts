// Equal blocks of an address range, given out one after another: the pod ranges of nodes. IPv4 and IPv6.
import { formatIP, parseCIDR } from "../../api/meta/ip.ts";

/** More blocks than this are never looked through or counted. */
const maxBlocks = 2 ** 16;

/** What a pool tells of what it does. */
export interface PoolWatcher {
  /** A block has been taken, after so many that were taken already were passed over. */
  taken?(passedOver: number): void;
  released?(): void;
}

export class CidrPool {
  readonly range: string;
  readonly #watcher: PoolWatcher;
  readonly #base: bigint;
  readonly #bits: 32 | 128;
  readonly #blockLength: number;
  readonly #count: number;
  readonly #used = new Set<number>();
  #next = 0;

  /** `range` "10.244.0.0/16", blocks of length 24. Throws where the blocks do not fit. */
  constructor(range: string, blockLength: number, watcher: PoolWatcher = {}) {
    this.range = range;
    this.#watcher = watcher;
    const cidr = parseCIDR(range);
    if (!cidr) throw new Error(`cluster CIDR "${range}": expected an address range such as 10.244.0.0/16`);
    this.#bits = cidr.network.length === 4 ? 32 : 128;
    if (blockLength < cidr.prefixLength || blockLength > this.#bits) {
      throw new Error(`cluster CIDR "${range}": node ranges of length ${blockLength} do not fit into it`);
    }
    this.#base = toNumber(cidr.network);
    this.#blockLength = blockLength;
    this.#count = Math.min(maxBlocks, 2 ** (blockLength - cidr.prefixLength));
  }

  /** The next free block; undefined when all are taken. Goes round, so that a block just freed is not used at once. */
  allocate(): string | undefined {
    for (let i = 0; i < this.#count; i++) {
      const index = (this.#next + i) % this.#count;
      if (this.#used.has(index)) continue;
      this.#used.add(index);
      this.#next = (index + 1) % this.#count;
      this.#watcher.taken?.(i);
      return this.#block(index);
    }
    return undefined;
  }

  /** Marks what a node has already; ranges outside the pool are no concern of it. */
  occupy(cidr: string): void {
    for (const index of this.#indexesOf(cidr)) {
      if (this.#used.has(index)) continue;
      this.#used.add(index);
      this.#watcher.taken?.(0);
    }
  }

  release(cidr: string): void {
    for (const index of this.#indexesOf(cidr)) if (this.#used.delete(index)) this.#watcher.released?.();
  }

  /** How many blocks there are, and how many of them are taken. */
  get sizes(): { readonly all: number; readonly used: number } {
    return { all: this.#count, used: this.#used.size };
  }

  #block(index: number): string {
    const address = this.#base + (BigInt(index) << BigInt(this.#bits - this.#blockLength));
    return `${formatIP(toBytes(address, this.#bits / 8))}/${this.#blockLength}`;
  }

  /** The blocks that a range touches. */
  *#indexesOf(text: string): Iterable<number> {
    const cidr = parseCIDR(text);
    if (!cidr || cidr.network.length * 8 !== this.#bits) return;
    const shift = BigInt(this.#bits - this.#blockLength);
    const first = (toNumber(cidr.network) - this.#base) >> shift;
    const blocks = cidr.prefixLength >= this.#blockLength ? 1n : 1n << BigInt(this.#blockLength - cidr.prefixLength);
    for (let index = first < 0n ? 0n : first; index < first + blocks && index < BigInt(this.#count); index++) yield Number(index);
  }
}

function toNumber(bytes: readonly number[]): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function toBytes(value: bigint, length: number): number[] {
  return Array.from({ length }, (_, i) => Number((value >> BigInt((length - 1 - i) * 8)) & 0xffn));
}
