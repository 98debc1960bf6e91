// Numbers of the DNS protocol (RFC 1035, 6891) and the few operations on names that run for every message. Names are kept
// as on the wire, length bytes and all, a character per byte and in lower case: nothing is lost, and comparing is comparing
// texts.

export const headerBytes = 12;

export const type = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  HTTPS: 65,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

export const classIN = 1;

export const rcode = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;

export const rcodeNames: Readonly<Record<number, string>> = Object.fromEntries(Object.entries(rcode).map(([name, code]) => [code, name]));

/** Bits of the header's second word. */
export const flag = { QR: 0x8000, AA: 0x0400, TC: 0x0200, RD: 0x0100, RA: 0x0080, AD: 0x0020, CD: 0x0010 } as const;

/** Of an OPT record's flags. */
export const dnssecOk = 0x8000;

/** Bytes of an OPT record without options. */
export const optBytes = 11;

/** Largest answer over UDP, whatever the client would take: what passes everywhere in one piece. */
export const maxUdpBytes = 1232;

/** Without EDNS. */
export const plainUdpBytes = 512;

const maxNameBytes = 255;

/** Where the name at `at` ends; undefined where it is none. Pointers end a name, and are refused where they are not allowed. */
export function skipName(bytes: Uint8Array, at: number, pointers: boolean): number | undefined {
  for (let i = at; i < bytes.length && i - at < maxNameBytes; ) {
    const length = bytes[i] ?? 0;
    if (length === 0) return i + 1;
    if (length >= 0xc0) return pointers && i + 2 <= bytes.length ? i + 2 : undefined;
    if (length > 63) return undefined;
    i += length + 1;
  }
  return undefined;
}

/** The labels of a name as on the wire, first one first. */
export function labelsOf(name: string): readonly string[] {
  const labels: string[] = [];
  for (let i = 0; i < name.length; ) {
    const length = name.charCodeAt(i);
    if (length === 0) break;
    labels.push(name.slice(i + 1, i + 1 + length));
    i += length + 1;
  }
  return labels;
}

/** "cluster.local" as on the wire, in lower case. */
export function wireName(text: string): string {
  const labels = text
    .toLowerCase()
    .split(".")
    .filter((label) => label !== "");
  return `${labels.map((label) => String.fromCharCode(label.length) + label).join("")}\0`;
}

/** Whether a name is the domain or lies in it; both as on the wire. */
export function isWithin(name: string, domain: string): boolean {
  if (!name.endsWith(domain)) return false;
  // The end of "\x0bcluster-two\x05local" may look like a shorter domain: it has to begin at a label.
  const start = name.length - domain.length;
  let i = 0;
  while (i < start) i += name.charCodeAt(i) + 1;
  return i === start;
}

export function readUint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

export function writeUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 0xff;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return readUint16(bytes, at) * 65_536 + readUint16(bytes, at + 2);
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  writeUint16(bytes, at, value >>> 16);
  writeUint16(bytes, at + 2, value & 0xffff);
}
