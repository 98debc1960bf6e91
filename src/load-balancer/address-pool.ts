// Ranges of addresses that load balancers may get: "192.0.2.10-192.0.2.50", "192.0.2.64/26", "2001:db8::5".
import { formatIP, type ParsedIP, parseCIDR, parseIP } from "../api/meta/ip.ts";

export type IPFamily = "IPv4" | "IPv6";

export interface AddressRange {
  /** As it was given. */
  readonly text: string;
  readonly family: IPFamily;
  readonly first: bigint;
  readonly last: bigint;
}

/** Throws with what was expected. */
export function parseRange(text: string): AddressRange {
  const [from = "", to] = text.split("-", 2).map((part) => part.trim());
  const range = to === undefined && from.includes("/") ? blockRange(text) : spanRange(text, parseIP(from), parseIP(to ?? from));
  if (range.first > range.last) throw new Error(`${JSON.stringify(text)} ends before it begins`);
  return range;
}

function blockRange(text: string): AddressRange {
  const block = parseCIDR(text.trim());
  if (!block) throw badRange(text);
  const first = numberOf(block.network);
  const size = 1n << BigInt(block.network.length * 8 - block.prefixLength);
  return { text, family: block.network.length === 4 ? "IPv4" : "IPv6", first, last: first + size - 1n };
}

function spanRange(text: string, from: ParsedIP | undefined, to: ParsedIP | undefined): AddressRange {
  if (!from || !to || from.family !== to.family) throw badRange(text);
  return { text, family: from.family === 4 ? "IPv4" : "IPv6", first: numberOf(from.bytes), last: numberOf(to.bytes) };
}

const badRange = (text: string): Error =>
  new Error(`expected a range of addresses such as 192.0.2.10-192.0.2.50 or 192.0.2.64/26, not ${JSON.stringify(text)}`);

/** Which two ranges have addresses in common; undefined where none do. */
export function findOverlap(ranges: readonly AddressRange[]): readonly [AddressRange, AddressRange] | undefined {
  const sorted = [...ranges].sort((a, b) => (a.family === b.family ? (a.first < b.first ? -1 : 1) : a.family < b.family ? -1 : 1));
  for (const [i, range] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next && next.family === range.family && next.first <= range.last) return [range, next];
  }
  return undefined;
}

export class AddressPool {
  readonly #ranges: readonly AddressRange[];

  /** The ranges must not overlap. */
  constructor(ranges: readonly AddressRange[]) {
    this.#ranges = ranges;
  }

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  has(family: IPFamily): boolean {
    return this.#ranges.some((range) => range.family === family);
  }

  contains(address: string): boolean {
    const ip = parseIP(address);
    if (!ip) return false;
    const number = numberOf(ip.bytes);
    const family = ip.family === 4 ? "IPv4" : "IPv6";
    return this.#ranges.some((range) => range.family === family && range.first <= number && number <= range.last);
  }

  /** The first address that is not taken; undefined where all are. As many steps as there are addresses taken. */
  firstFree(family: IPFamily, isTaken: (address: string) => boolean): string | undefined {
    for (const range of this.#ranges) {
      if (range.family !== family) continue;
      for (let number = range.first; number <= range.last; number++) {
        const address = formatIP(bytesOf(number, family === "IPv4" ? 4 : 16));
        if (!isTaken(address)) return address;
      }
    }
    return undefined;
  }
}

function numberOf(bytes: readonly number[]): bigint {
  return bytes.reduce((number, byte) => number * 256n + BigInt(byte), 0n);
}

function bytesOf(number: bigint, length: number): readonly number[] {
  return Array.from({ length }, (_, i) => Number((number >> BigInt(8 * (length - 1 - i))) & 255n));
}
