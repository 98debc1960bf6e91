// One range of cluster IPs: addresses by their number in the range. The first address of a block, and of an IPv4 block the
// last, are nobody's.
import { addressInRange, addressInteger, cidrContains, type ParsedCIDR, type ParsedIP, parseCIDR } from "../../api/meta/ip.ts";
import { NumberPool, type PoolNumber, staticBandOf } from "./number-pool.ts";

/** Of a larger block the addresses beyond are given to those who ask for them by name. */
const maxDrawn = 2 ** 52;

export class ServiceIpRange {
  /** As it was given: "10.96.0.0/16". */
  readonly text: string;
  readonly family: "IPv4" | "IPv6";
  readonly pool: NumberPool;
  readonly #cidr: ParsedCIDR;
  readonly #size: number;

  /** Throws for a text that is no block. */
  constructor(text: string, random: () => number) {
    const cidr = parseCIDR(text.trim());
    if (!cidr) throw new Error(`service cluster IP range ${JSON.stringify(text)}: expected an address block such as 10.96.0.0/16`);
    this.text = text.trim();
    this.#cidr = cidr;
    this.family = cidr.network.length === 4 ? "IPv4" : "IPv6";
    const total = 2 ** (cidr.network.length * 8 - cidr.prefixLength);
    this.#size = Math.max(0, total - (this.family === "IPv4" ? 2 : 1));
    const size = this.#size;
    const staticBand = staticBandOf(size, { min: 16, max: 256, step: 16 });
    this.pool = new NumberPool({ size, drawnBelow: Math.min(maxDrawn, size), staticBand, random });
  }

  contains(ip: ParsedIP): boolean {
    return cidrContains(this.#cidr, ip);
  }

  /** The number of an address; undefined where it is not one that can be given. */
  numberOf(ip: ParsedIP): PoolNumber | undefined {
    if (!this.contains(ip)) return undefined;
    const offset = addressInteger(ip.bytes) - addressInteger(this.#cidr.network) - 1n;
    if (offset < 0n) return undefined;
    if (offset > Number.MAX_SAFE_INTEGER) return offset;
    return offset < this.#size ? Number(offset) : undefined;
  }

  addressOf(number: PoolNumber): string {
    const address = addressInRange(this.#cidr, BigInt(number) + 1n);
    if (address === undefined) throw new RangeError(`${this.text} has no address number ${number}`);
    return address;
  }
}
