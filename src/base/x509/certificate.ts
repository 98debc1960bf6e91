// X.509 certificates (RFC 5280): issued by our own authorities on the start-up path and by the signing controller, and
// read to learn who a client is. node:crypto makes keys and signatures; the structures around them are written here, so
// that starting does not load a library. Keys are P-256; certificates of others may have any key node:crypto reads.
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import {
  bitString,
  boolean,
  children,
  context,
  type DerElement,
  DerError,
  element,
  expectTag,
  integer,
  nullValue,
  octetString,
  oid,
  oidText,
  readElement,
  sequence,
  tags,
  time,
  timeMs,
} from "./der.ts";
import {
  type AlternativeNames,
  decodeAlternativeNames,
  decodeName,
  encodeAlternativeNames,
  encodeName,
  noAlternativeNames,
  type Subject,
} from "./names.ts";
import { decodePem, encodePem } from "./pem.ts";

/** What a key may be used for, in the order of the bits of the KeyUsage extension. */
const keyUsages = [
  "digitalSignature",
  "contentCommitment",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "certSign",
  "crlSign",
  "encipherOnly",
  "decipherOnly",
] as const;
export type KeyUsage = (typeof keyUsages)[number];

const extendedKeyUsageOids = {
  any: "2.5.29.37.0",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  codeSigning: "1.3.6.1.5.5.7.3.3",
  emailProtection: "1.3.6.1.5.5.7.3.4",
  ipsecEndSystem: "1.3.6.1.5.5.7.3.5",
  ipsecTunnel: "1.3.6.1.5.5.7.3.6",
  ipsecUser: "1.3.6.1.5.5.7.3.7",
  timeStamping: "1.3.6.1.5.5.7.3.8",
  ocspSigning: "1.3.6.1.5.5.7.3.9",
  microsoftGatedCrypto: "1.3.6.1.4.1.311.10.3.3",
  netscapeGatedCrypto: "2.16.840.1.113730.4.1",
} as const;
export type ExtendedKeyUsage = keyof typeof extendedKeyUsageOids;

const extensionOids = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  alternativeNames: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
};

/** A certificate and its private key. */
export interface KeyedCertificate {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

/** What is read off a certificate. */
export interface Certificate {
  readonly der: Uint8Array;
  readonly subject: Subject;
  readonly names: AlternativeNames;
  /** Milliseconds since the epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly isAuthority: boolean;
  readonly extendedKeyUsages: readonly ExtendedKeyUsage[];
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKeyInfo: Uint8Array;
  /** DER of the subject as it stands, to be copied into what this certificate issues. */
  readonly subjectDer: Uint8Array;
  readonly subjectKeyId?: Uint8Array;
}

export interface CertificateRequest {
  readonly subject: Subject;
  readonly names?: Partial<AlternativeNames>;
  /** Key of the certificate, or the DER of its SubjectPublicKeyInfo. */
  readonly publicKey: KeyObject | Uint8Array;
  /** Milliseconds since the epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly keyUsages: readonly KeyUsage[];
  readonly extendedKeyUsages?: readonly ExtendedKeyUsage[];
  /** The certificate may issue others. Default false. */
  readonly isAuthority?: boolean;
}

/** A new P-256 key pair. */
export function generateKey(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

/** Issues a certificate, signed by `issuer`; signed by its own key where `issuer` is just a key. */
export function issueCertificate(request: CertificateRequest, issuer: KeyedCertificate | { readonly key: KeyObject }): Certificate {
  const spki = request.publicKey instanceof Uint8Array ? request.publicKey : publicKeyDer(request.publicKey);
  const subjectName = encodeName(request.subject);
  const keyId = keyIdOf(spki);
  const authority = "certificate" in issuer ? issuer.certificate : undefined;
  const algorithm = signatureAlgorithmOf(issuer.key);
  const toBeSigned = sequence(
    element(context(0), integer(Uint8Array.of(2))),
    integer(serialNumber()),
    algorithm.der,
    authority ? authority.subjectDer : subjectName,
    sequence(time(request.notBeforeMs), time(request.notAfterMs)),
    subjectName,
    spki,
    element(
      context(3),
      sequence(...extensionsOf(request, keyId, authority ? (authority.subjectKeyId ?? keyIdOf(authority.publicKeyInfo)) : keyId)),
    ),
  );
  const signature = sign(algorithm.hash, toBeSigned, issuer.key);
  return parseCertificate(sequence(toBeSigned, algorithm.der, bitString(signature)));
}

function extensionsOf(request: CertificateRequest, keyId: Uint8Array, authorityKeyId: Uint8Array): Uint8Array[] {
  const names: AlternativeNames = { ...noAlternativeNames, ...request.names };
  const hasNames = Object.values(names).some((list: readonly string[]) => list.length > 0);
  const extended = request.extendedKeyUsages ?? [];
  return [
    // An extension without a bit would say that the key may be used for nothing.
    ...(request.keyUsages.length > 0 ? [extension(extensionOids.keyUsage, true, keyUsageBits(request.keyUsages))] : []),
    ...(extended.length > 0
      ? [extension(extensionOids.extendedKeyUsage, false, sequence(...extended.map((usage) => oid(extendedKeyUsageOids[usage]))))]
      : []),
    extension(extensionOids.basicConstraints, true, request.isAuthority ? sequence(boolean(true)) : sequence()),
    extension(extensionOids.subjectKeyIdentifier, false, octetString(keyId)),
    extension(extensionOids.authorityKeyIdentifier, false, sequence(element(context(0, false), authorityKeyId))),
    ...(hasNames ? [extension(extensionOids.alternativeNames, isEmpty(request.subject), encodeAlternativeNames(names))] : []),
  ];
}

const isEmpty = (subject: Subject): boolean => subject.commonName === "" && subject.organizations.length === 0;

/** One entry of an Extensions list. */
export function extension(type: string, critical: boolean, value: Uint8Array): Uint8Array {
  return sequence(oid(type), ...(critical ? [boolean(true)] : []), octetString(value));
}

/** The DER of the alternative-names extension, also used in signing requests. */
export const alternativeNamesOid = extensionOids.alternativeNames;

function keyUsageBits(usages: readonly KeyUsage[]): Uint8Array {
  const bits = usages.map((usage) => keyUsages.indexOf(usage));
  const last = Math.max(0, ...bits);
  const bytes = new Uint8Array((last >> 3) + 1);
  for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return bitString(bytes, 7 - (last & 7));
}

/** 127 random bits, never zero. */
function serialNumber(): Uint8Array {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return bytes;
}

export const publicKeyDer = (key: KeyObject): Uint8Array => key.export({ type: "spki", format: "der" });

/** SHA-1 of the public key's bits (RFC 5280, method 1). */
function keyIdOf(spki: Uint8Array): Uint8Array {
  const bits = expectTag(children(readElement(spki))[1], tags.bitString);
  return createHash("sha1").update(bits.contents.subarray(1)).digest();
}

/** How a private key signs: with SHA-256, or as Ed25519 does. */
export function signatureAlgorithmOf(key: KeyObject): { readonly der: Uint8Array; readonly hash: "sha256" | null } {
  switch (key.asymmetricKeyType) {
    case "ec":
      return { der: sequence(oid("1.2.840.10045.4.3.2")), hash: "sha256" };
    case "rsa":
      return { der: sequence(oid("1.2.840.113549.1.1.11"), nullValue()), hash: "sha256" };
    case "ed25519":
      return { der: sequence(oid("1.3.101.112")), hash: null };
    default:
      throw new Error(`certificates cannot be signed with a key of type ${key.asymmetricKeyType}`);
  }
}

/** Reads a DER certificate; throws DerError where it is not one. Its signature is not checked: TLS has done that. */
export function parseCertificate(der: Uint8Array): Certificate {
  const [toBeSigned] = children(readElement(der));
  if (!toBeSigned) throw new DerError("an empty certificate");
  const fields = children(toBeSigned);
  if (fields[0]?.tag === context(0)) fields.shift(); // the version
  const [, , , validity, subject, spki, ...optional] = fields;
  if (!validity || !subject || !spki) throw new DerError("a certificate without subject or public key");
  const [notBefore, notAfter] = children(validity);
  const list = optional.find((e) => e.tag === context(3));
  const extensions = readExtensions(list ? children(list, context(3))[0] : undefined);
  const constraints = extensions.get(extensionOids.basicConstraints);
  const keyId = extensions.get(extensionOids.subjectKeyIdentifier);
  return {
    der,
    subject: decodeName(subject),
    names: namesIn(extensions),
    notBeforeMs: timeMs(notBefore),
    notAfterMs: timeMs(notAfter),
    isAuthority: constraints !== undefined && children(readElement(constraints))[0]?.contents[0] === 0xff,
    extendedKeyUsages: extendedUsagesIn(extensions.get(extensionOids.extendedKeyUsage)),
    publicKeyInfo: spki.bytes,
    subjectDer: subject.bytes,
    ...(keyId ? { subjectKeyId: expectTag(readElement(keyId), tags.octetString).contents } : {}),
  };
}

/** The values of an Extensions list by object identifier. */
export function readExtensions(list: DerElement | undefined): ReadonlyMap<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const entry of list ? children(list) : []) {
    const parts = children(entry);
    found.set(oidText(parts[0]), expectTag(parts.at(-1), tags.octetString).contents);
  }
  return found;
}

export function namesIn(extensions: ReadonlyMap<string, Uint8Array>): AlternativeNames {
  const bytes = extensions.get(extensionOids.alternativeNames);
  return bytes ? decodeAlternativeNames(bytes) : noAlternativeNames;
}

function extendedUsagesIn(bytes: Uint8Array | undefined): ExtendedKeyUsage[] {
  if (!bytes) return [];
  const known = new Map(Object.entries(extendedKeyUsageOids).map(([usage, id]) => [id as string, usage as ExtendedKeyUsage]));
  return children(readElement(bytes)).flatMap((e) => known.get(oidText(e)) ?? []);
}

export const certificatePem = (certificate: Certificate): string => encodePem("CERTIFICATE", certificate.der);
export const privateKeyPem = (key: KeyObject): string =>
  key.export({ type: key.asymmetricKeyType === "ec" ? "sec1" : "pkcs8", format: "pem" }).toString();
export const publicKeyPem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }).toString();

/** The first certificate of a PEM file. */
export function certificateFromPem(pem: string): Certificate {
  return parseCertificate(decodePem("CERTIFICATE", pem));
}

/** Whether a private key belongs to a certificate. */
export function keyMatches(certificate: Certificate, key: KeyObject): boolean {
  return Buffer.from(publicKeyDer(createPublicKey(key))).equals(certificate.publicKeyInfo);
}
