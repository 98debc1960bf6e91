// Addresses as numbers and texts, for plugins that count them.
import { formatIP, type ParsedCIDR, parseCIDR, parseIP } from "../../api/meta/ip.ts";
import { invalidConfig } from "../spec/cni-error.ts";

export type Family = 4 | 6;

/** "10.1.0.5/16" taken apart. */
export interface AddressWithLength {
  readonly address: string;
  readonly length: number;
  readonly family: Family;
}

export const familyOf = (address: string): Family => (address.includes(":") ? 6 : 4);

export function numberOf(bytes: readonly number[]): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

export function addressOf(number: bigint, family: Family): string {
  const bytes: number[] = [];
  let rest = number;
  for (let i = 0; i < (family === 4 ? 4 : 16); i++) {
    bytes.unshift(Number(rest & 0xffn));
    rest >>= 8n;
  }
  return formatIP(bytes);
}

/** Throws CniError where the text is no address. */
export function requireAddress(text: string, what: string): { readonly number: bigint; readonly family: Family; readonly text: string } {
  const ip = parseIP(text);
  if (!ip) throw invalidConfig(`${what}: invalid IP address ${JSON.stringify(text)}`);
  return { number: numberOf(ip.bytes), family: ip.family, text: ip.canonical };
}

/** Throws CniError where the text is no network. */
export function requireCidr(text: string, what: string): ParsedCIDR {
  const cidr = parseCIDR(text);
  if (!cidr) throw invalidConfig(`${what}: invalid CIDR address ${JSON.stringify(text)}`);
  return cidr;
}

export function splitCidr(text: string): AddressWithLength {
  const cidr = requireCidr(text, "address");
  return { address: cidr.ip.canonical, length: cidr.prefixLength, family: cidr.ip.family };
}

/** "10.1.0.5/16" → "10.1.0.0/16". */
export function networkOf(cidr: string): string {
  return requireCidr(cidr, "address").canonical;
}

/** The network's first address that hosts can have: its gateway by convention. */
export function firstHost(cidr: ParsedCIDR): string {
  return addressOf(numberOf(cidr.network) + 1n, familyOf(cidr.canonical));
}
