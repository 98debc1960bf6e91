// Distinguished names and subject alternative names: the parts of a certificate that say who it is for. Kubernetes reads
// the common name as the user and the organizations as the groups.
import { isIP } from "node:net";
import {
  children,
  context,
  type DerElement,
  DerError,
  element,
  oid,
  oidText,
  readElement,
  sequence,
  set,
  stringText,
  tags,
  utf8String,
} from "./der.ts";

export interface Subject {
  /** "" where there is none. */
  readonly commonName: string;
  /** In the order of the certificate. */
  readonly organizations: readonly string[];
}

export interface AlternativeNames {
  readonly dnsNames: readonly string[];
  /** In text form: "10.0.0.1", "fd00::1". */
  readonly ipAddresses: readonly string[];
  readonly emailAddresses: readonly string[];
  readonly uris: readonly string[];
}

export const noAlternativeNames: AlternativeNames = { dnsNames: [], ipAddresses: [], emailAddresses: [], uris: [] };

const commonNameOid = "2.5.4.3";
const organizationOid = "2.5.4.10";

/** The DER of a Name: organizations first, then the common name, each in a set of its own. */
export function encodeName(subject: Subject): Uint8Array {
  const part = (type: string, value: string): Uint8Array => set(sequence(oid(type), utf8String(value)));
  return sequence(
    ...subject.organizations.map((o) => part(organizationOid, o)),
    ...(subject.commonName === "" ? [] : [part(commonNameOid, subject.commonName)]),
  );
}

/** Reads a Name. Of several common names the last one counts, as upstream's library has it. */
export function decodeName(name: DerElement): Subject {
  let commonName = "";
  const organizations: string[] = [];
  for (const relative of children(name)) {
    for (const attribute of children(relative, tags.set)) {
      const [type, value] = children(attribute);
      if (!value) throw new DerError("a name's attribute has no value");
      const kind = oidText(type);
      if (kind === commonNameOid) commonName = stringText(value);
      else if (kind === organizationOid) organizations.push(stringText(value));
    }
  }
  return { commonName, organizations };
}

const emailTag = context(1, false);
const dnsTag = context(2, false);
const uriTag = context(6, false);
const ipTag = context(7, false);

/** The DER of GeneralNames. */
export function encodeAlternativeNames(names: AlternativeNames): Uint8Array {
  const text = (tag: number, value: string): Uint8Array => element(tag, new TextEncoder().encode(value));
  return sequence(
    ...names.emailAddresses.map((e) => text(emailTag, e)),
    ...names.dnsNames.map((n) => text(dnsTag, n)),
    ...names.uris.map((u) => text(uriTag, u)),
    ...names.ipAddresses.map((ip) => element(ipTag, ipBytes(ip))),
  );
}

/** Reads GeneralNames; kinds of names that Kubernetes does not use are passed over. */
export function decodeAlternativeNames(bytes: Uint8Array): AlternativeNames {
  const found = { dnsNames: [] as string[], ipAddresses: [] as string[], emailAddresses: [] as string[], uris: [] as string[] };
  for (const name of children(readElement(bytes))) {
    const text = (): string => new TextDecoder("utf-8", { fatal: true }).decode(name.contents);
    if (name.tag === dnsTag) found.dnsNames.push(text());
    else if (name.tag === ipTag) found.ipAddresses.push(ipText(name.contents));
    else if (name.tag === emailTag) found.emailAddresses.push(text());
    else if (name.tag === uriTag) found.uris.push(text());
  }
  return found;
}

/** The 4 or 16 bytes of an address in text form. */
export function ipBytes(ip: string): Uint8Array {
  const version = isIP(ip);
  if (version === 0 || ip.includes("%")) throw new DerError(`"${ip}" is not an IP address`);
  if (version === 4) return Uint8Array.from(ip.split(".").map(Number));
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(ip);
  if (dotted) {
    const [a = 0, b = 0, c = 0, d = 0] = ipBytes(dotted[2] ?? "");
    return ipBytes(`${dotted[1]}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`);
  }
  const [head, tail] = ip.split("::");
  const groups = (text: string | undefined): number[] => (text ? text.split(":").map((g) => Number.parseInt(g, 16)) : []);
  const [before, after] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0);
  return Uint8Array.from([...before, ...zeros, ...after].flatMap((g) => [g >> 8, g & 0xff]));
}

/** The text of 4 or 16 bytes; the longest run of zero groups of IPv6 is written "::" (RFC 5952). */
export function ipText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw new DerError(`an IP address of ${bytes.length} bytes`);
  const groups = Array.from({ length: 8 }, (_, i) => (((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0)).toString(16));
  let best = { start: 0, length: 0 };
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groups[end] === "0") end++;
    if (end - start > best.length) best = { start, length: end - start };
  }
  if (best.length < 2) return groups.join(":");
  return `${groups.slice(0, best.start).join(":")}::${groups.slice(best.start + best.length).join(":")}`;
}
