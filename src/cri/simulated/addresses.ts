// Addresses of simulated pods: given out in turn from a range, as host-local does, so that an address is not reused at once.
import { isIPv6 } from "node:net";
import { RpcError } from "../../rpc/rpc-error.ts";

export class AddressPool {
  readonly cidr: string;
  readonly #base: bigint;
  readonly #count: bigint;
  readonly #isIPv6: boolean;
  readonly #taken = new Set<bigint>();
  /** The first two addresses are the network and its gateway. */
  #next = 2n;

  constructor(cidr: string) {
    const [address = "", length = ""] = cidr.split("/");
    this.cidr = cidr;
    this.#isIPv6 = isIPv6(address);
    const hostBits = BigInt((this.#isIPv6 ? 128 : 32) - Number(length));
    this.#base = (parseAddress(address) >> hostBits) << hostBits;
    this.#count = 1n << hostBits;
  }

  /** Throws an RpcError when the range is used up. */
  take(): string {
    // The last address of a range is IPv4's broadcast.
    const usable = this.#count - 3n;
    if (BigInt(this.#taken.size) >= usable) throw new RpcError("RESOURCE_EXHAUSTED", `no addresses available in range ${this.cidr}`);
    while (this.#taken.has(this.#next)) this.#advance();
    const offset = this.#next;
    this.#taken.add(offset);
    this.#advance();
    return formatAddress(this.#base + offset, this.#isIPv6);
  }

  /** Addresses of other ranges are passed over. */
  release(address: string): void {
    if (address === "" || isIPv6(address) !== this.#isIPv6) return;
    this.#taken.delete(parseAddress(address) - this.#base);
  }

  #advance(): void {
    this.#next = this.#next + 1n >= this.#count - 1n ? 2n : this.#next + 1n;
  }
}

function parseAddress(address: string): bigint {
  if (!isIPv6(address)) return address.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const words = [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
  return words.reduce((sum, word) => (sum << 16n) | BigInt(`0x${word}`), 0n);
}

/** IPv6 addresses come out in the canonical form of RFC 5952. */
function formatAddress(value: bigint, isIPv6Address: boolean): string {
  if (!isIPv6Address) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
  const words = [112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n].map((shift) => ((value >> shift) & 0xffffn).toString(16));
  return new URL(`http://[${words.join(":")}]`).hostname.slice(1, -1);
}
