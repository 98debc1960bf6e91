// PKCS#10 certificate signing requests (RFC 2986): made by kubelets and tools, read and checked by the API server and the
// signing controller.
import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { alternativeNamesOid, extension, namesIn, publicKeyDer, readExtensions, signatureAlgorithmOf } from "./certificate.ts";
import {
  bitString,
  children,
  context,
  DerError,
  element,
  expectTag,
  integer,
  oid,
  oidText,
  readElement,
  sequence,
  set,
  tags,
} from "./der.ts";
import { type AlternativeNames, decodeName, encodeAlternativeNames, encodeName, noAlternativeNames, type Subject } from "./names.ts";
import { decodePem, encodePem } from "./pem.ts";

export interface SigningRequest {
  readonly subject: Subject;
  readonly names: AlternativeNames;
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKeyInfo: Uint8Array;
  readonly publicKey: KeyObject;
}

const extensionRequestOid = "1.2.840.113549.1.9.14";

/** Hash functions by the signature algorithms that occur; Ed25519 hashes itself. As with Go, SHA-1 will do: the signature only shows who has the key. */
const hashes: Readonly<Record<string, string | null>> = {
  "1.2.840.10045.4.1": "sha1",
  "1.2.840.10045.4.3.2": "sha256",
  "1.2.840.10045.4.3.3": "sha384",
  "1.2.840.10045.4.3.4": "sha512",
  "1.2.840.113549.1.1.5": "sha1",
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
  "1.3.101.112": null,
};

/** A signing request in PEM, signed with the key it is for. */
export function createSigningRequest(
  subject: Subject,
  keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject },
  names: Partial<AlternativeNames> = {},
): string {
  const all = { ...noAlternativeNames, ...names };
  const hasNames = Object.values(all).some((list: readonly string[]) => list.length > 0);
  const extensions = hasNames ? [sequence(extension(alternativeNamesOid, false, encodeAlternativeNames(all)))] : [];
  const attributes = extensions.map((e) => sequence(oid(extensionRequestOid), set(e)));
  const info = sequence(integer(Uint8Array.of(0)), encodeName(subject), publicKeyDer(keys.publicKey), element(context(0), ...attributes));
  const algorithm = signatureAlgorithmOf(keys.privateKey);
  return encodePem("CERTIFICATE REQUEST", sequence(info, algorithm.der, bitString(sign(algorithm.hash, info, keys.privateKey))));
}

/** Reads a request in PEM and checks that it is signed with its own key. Throws DerError where it is malformed or not. */
export function parseSigningRequest(pem: string): SigningRequest {
  const der = decodePem("CERTIFICATE REQUEST", pem);
  const [info, algorithm, signature] = children(readElement(der));
  if (!info || !algorithm || !signature) throw new DerError("a signing request without a signature");
  const [, subject, spki, ...attributes] = children(info);
  if (!subject || !spki) throw new DerError("a signing request without subject or public key");
  const publicKey = readPublicKey(spki.bytes);
  const hash = hashes[oidText(children(algorithm)[0])];
  if (hash === undefined) throw new DerError("the signing request's signature algorithm is not supported");
  if (!verify(hash, info.bytes, publicKey, expectTag(signature, tags.bitString).contents.subarray(1)))
    throw new DerError("the signing request's signature does not match its public key");
  return {
    subject: decodeName(subject),
    names: requestedNames(attributes.find((a) => a.tag === context(0))),
    publicKeyInfo: spki.bytes,
    publicKey,
  };
}

function readPublicKey(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch (cause) {
    throw new DerError(`the signing request's public key cannot be read: ${String(cause)}`);
  }
}

function requestedNames(attributes: ReturnType<typeof readElement> | undefined): AlternativeNames {
  for (const attribute of attributes ? children(attributes, context(0)) : []) {
    const [type, values] = children(attribute);
    if (oidText(type) === extensionRequestOid && values) return namesIn(readExtensions(children(values, tags.set)[0]));
  }
  return noAlternativeNames;
}
