// IP addresses and CIDR blocks as texts: parsing, canonical form (RFC 5952) and the checks of upstream's validation.
// Old API fields accept what Go once accepted (octets with leading zeros, IPv4-mapped IPv6); newer fields are strict and
// also demand canonical form. Checks return the problems as upstream words them.

export interface ParsedIP {
  /** 4 also for IPv4-mapped IPv6 addresses, as Go counts them. */
  readonly family: 4 | 6;
  /** 4 or 16 bytes. */
  readonly bytes: readonly number[];
  /** "10.0.0.1", "2001:db8::1". */
  readonly canonical: string;
  /** Written as ::ffff:a.b.c.d. */
  readonly mapped: boolean;
  /** Has leading zeros that strict parsers refuse. */
  readonly leadingZeros: boolean;
}

export interface ParsedCIDR {
  readonly ip: ParsedIP;
  /** Counted in the family of `network`. */
  readonly prefixLength: number;
  /** The block's first address. */
  readonly network: readonly number[];
  /** "10.0.0.0/8", with the bits beyond the prefix cleared. */
  readonly canonical: string;
  readonly leadingZeros: boolean;
}

/** Parses an address, leniently; undefined when it is none. */
export function parseIP(text: string): ParsedIP | undefined {
  return text.includes(":") ? parseIPv6(text) : parseIPv4(text);
}

function parseIPv4(text: string): ParsedIP | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((p) => /^\d+$/.test(p) && Number(p) <= 255)) return undefined;
  const bytes = parts.map(Number);
  const leadingZeros = parts.some((p) => p.length > 1 && p.startsWith("0"));
  return { family: 4, bytes, canonical: bytes.join("."), mapped: false, leadingZeros };
}

function parseIPv6(text: string): ParsedIP | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === "" ? [] : half.split(":")));
  let leadingZeros = false;
  const lists: number[][] = [];
  for (const [index, half] of groups.entries()) {
    const bytes: number[] = [];
    for (const [position, group] of half.entries()) {
      const last = index === groups.length - 1 && position === half.length - 1;
      if (last && group.includes(".")) {
        const tail = parseIPv4(group);
        if (!tail) return undefined;
        leadingZeros ||= tail.leadingZeros;
        bytes.push(...tail.bytes);
        continue;
      }
      if (!/^[0-9a-fA-F]+$/.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      if (value > 0xffff) return undefined;
      leadingZeros ||= group.length > 4;
      bytes.push(value >> 8, value & 0xff);
    }
    lists.push(bytes);
  }
  const [head = [], tail = []] = lists;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 2 ? missing < 2 : missing !== 0) return undefined;
  const bytes = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const mapped = bytes.slice(0, 10).every((b) => b === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  if (mapped) return { family: 4, bytes: bytes.slice(12), canonical: bytes.slice(12).join("."), mapped, leadingZeros };
  return { family: 6, bytes, canonical: formatIPv6(bytes), mapped, leadingZeros };
}

/** The canonical text of 4 or 16 bytes. */
export function formatIP(bytes: readonly number[]): string {
  return bytes.length === 4 ? bytes.join(".") : formatIPv6(bytes);
}

function formatIPv6(bytes: readonly number[]): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  let start = 0;
  let length = 0;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) [start, length] = [i, end - i];
  }
  const hex = groups.map((g) => g.toString(16));
  if (length < 2) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}

/** Parses "address/length", leniently; undefined when it is none. */
export function parseCIDR(text: string): ParsedCIDR | undefined {
  const slash = text.indexOf("/");
  const ip = slash < 0 ? undefined : parseIP(text.slice(0, slash));
  const lengthText = text.slice(slash + 1);
  if (!ip || !/^\d+$/.test(lengthText)) return undefined;
  const written = Number(lengthText);
  const bits = ip.family === 4 && !ip.mapped ? 32 : 128;
  if (written > bits) return undefined;
  // An IPv4-mapped block longer than /96 is one of IPv4; a shorter one covers the whole IPv4 space and more.
  const asIPv4 = ip.mapped && written >= 96;
  const prefixLength = asIPv4 ? written - 96 : written;
  const address = ip.mapped && !asIPv4 ? [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...ip.bytes] : ip.bytes;
  const network = maskIP(address, prefixLength);
  const leadingZeros = ip.leadingZeros || (lengthText.length > 1 && lengthText.startsWith("0"));
  return { ip, prefixLength, network, canonical: `${formatIP(network)}/${prefixLength}`, leadingZeros };
}

/** The address with all bits after the first `prefixLength` cleared. */
export function maskIP(bytes: readonly number[], prefixLength: number): number[] {
  return bytes.map((byte, i) => {
    const kept = Math.min(8, Math.max(0, prefixLength - i * 8));
    return byte & (0xff << (8 - kept)) & 0xff;
  });
}

/** Whether an address lies in a block; addresses of the other family never do. */
export function cidrContains(cidr: ParsedCIDR, ip: ParsedIP): boolean {
  return cidr.network.length === ip.bytes.length && maskIP(ip.bytes, cidr.prefixLength).every((byte, i) => byte === cidr.network[i]);
}

/** The address so many after the block's first one; undefined where it lies outside. */
export function addressInRange(cidr: ParsedCIDR, offset: number | bigint): string | undefined {
  const address = addressInteger(cidr.network) + BigInt(offset);
  const bytes = cidr.network.map((_, i) => Number((address >> BigInt(8 * (cidr.network.length - 1 - i))) & 0xffn));
  const inside = maskIP(bytes, cidr.prefixLength).every((byte, i) => byte === cidr.network[i]);
  return inside && addressInteger(bytes) === address ? formatIP(bytes) : undefined;
}

/** The bytes of an address as one number. */
export const addressInteger = (bytes: readonly number[]): bigint => bytes.reduce((number, byte) => number * 256n + BigInt(byte), 0n);

/** Whether two blocks have an address in common; blocks of different families never do. */
export function cidrsOverlap(a: ParsedCIDR, b: ParsedCIDR): boolean {
  const length = Math.min(a.prefixLength, b.prefixLength);
  const other = maskIP(b.network, length);
  return a.network.length === b.network.length && maskIP(a.network, length).every((byte, i) => byte === other[i]);
}

/** Fields that are as old as the API: leading zeros and IPv4-mapped addresses are accepted unless `strict`. */
export function isLegacyIP(value: string, strict = false): readonly string[] {
  const ip = parseIP(value);
  if (!ip) return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"];
  if (!strict) return [];
  return [...(ip.leadingZeros ? ["must not have leading 0s"] : []), ...(ip.mapped ? ["must not be an IPv4-mapped IPv6 address"] : [])];
}

/** Newer fields: strict, and in canonical form. */
export function isValidIP(value: string): readonly string[] {
  const problems = isLegacyIP(value, true);
  const canonical = parseIP(value)?.canonical;
  if (problems.length > 0 || canonical === value) return problems;
  return [`must be in canonical form ("${canonical}")`];
}

/** Fields that are as old as the API; see isLegacyIP. */
export function isLegacyCIDR(value: string, strict = false): readonly string[] {
  const cidr = parseCIDR(value);
  if (!cidr) return ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"];
  if (!strict) return [];
  if (cidr.leadingZeros) return ["must not have leading 0s in IP or prefix length"];
  if (cidr.ip.mapped) return ["must not have an IPv4-mapped IPv6 address"];
  return formatIP(cidr.network) === cidr.ip.canonical ? [] : ["must not have bits set beyond the prefix length"];
}

/** Newer fields: strict, and in canonical form. */
export function isValidCIDR(value: string): readonly string[] {
  const problems = isLegacyCIDR(value, true);
  const canonical = parseCIDR(value)?.canonical;
  if (problems.length > 0 || canonical === value) return problems;
  return [`must be in canonical form ("${canonical}")`];
}

/** What the server warns of an address in an old field; empty when there is nothing to say. */
export function ipWarnings(field: string, value: string): readonly string[] {
  const ip = parseIP(value);
  if (!ip || ip.canonical === value) return [];
  if (ip.leadingZeros || ip.mapped) return [`${field}: non-standard IP address "${value}" is invalid: use "${ip.canonical}"`];
  return [`${field}: IPv6 address "${value}" should be in RFC 5952 canonical format ("${ip.canonical}")`];
}

/** What the server warns of a CIDR block in an old field; empty when there is nothing to say. */
export function cidrWarnings(field: string, value: string): readonly string[] {
  const cidr = parseCIDR(value);
  if (!cidr) return [];
  const warnings: string[] = [];
  if (formatIP(cidr.network) !== cidr.ip.canonical) {
    const single = `${cidr.ip.canonical}/${cidr.network.length * 8}`;
    warnings.push(`${field}: CIDR value "${value}" is ambiguous in this context (should be "${cidr.canonical}" or "${single}"?)`);
  }
  if (cidr.leadingZeros || cidr.ip.mapped)
    warnings.push(`${field}: non-standard CIDR value "${value}" is invalid: use "${cidr.canonical}"`);
  if (warnings.length === 0 && cidr.ip.family === 6 && cidr.canonical !== value)
    warnings.push(`${field}: IPv6 CIDR value "${value}" should be in RFC 5952 canonical format ("${cidr.canonical}")`);
  return warnings;
}
