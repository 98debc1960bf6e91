// One range of cluster IPs: addresses by their number in the range. The first address of a block, and of an IPv4 block the
// last, are nobody's.
import { addressInRange, cidrContains, type ParsedCIDR, type ParsedIP, parseCIDR } from "../../api/meta/ip.ts";
import { NumberPool, staticBandOf } from "./number-pool.ts";

/** Of a large IPv6 block no more addresses are used. */
const maxAddresses = 2 ** 20;

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
    const total = 2 ** Math.min(32, cidr.network.length * 8 - cidr.prefixLength);
    this.#size = Math.max(0, Math.min(maxAddresses, total - (this.family === "IPv4" ? 2 : 1)));
    this.pool = new NumberPool({ size: this.#size, staticBand: staticBandOf(this.#size, { min: 16, max: 256, step: 16 }), random });
  }

  contains(ip: ParsedIP): boolean {
    return cidrContains(this.#cidr, ip);
  }

  /** The number of an address; undefined where it is not one that can be given. */
  numberOf(ip: ParsedIP): number | undefined {
    if (!this.contains(ip)) return undefined;
    let offset = 0;
    for (const [i, byte] of ip.bytes.entries()) offset = offset * 256 + byte - (this.#cidr.network[i] ?? 0);
    return offset >= 1 && offset <= this.#size ? offset - 1 : undefined;
  }

  addressOf(number: number): string {
    const address = addressInRange(this.#cidr, number + 1);
    if (address === undefined) throw new RangeError(`${this.text} has no address number ${number}`);
    return address;
  }
}
