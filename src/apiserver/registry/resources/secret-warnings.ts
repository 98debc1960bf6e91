// What the server warns of when a secret of type kubernetes.io/tls is written: a certificate and a key that cannot be used
// together. The texts are those of Go's TLS library, which clients show.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { Secret } from "../../../api/types/core-v1.ts";
import { pemBlocks } from "../../../base/x509/pem.ts";

/** Warnings for a new or changed secret. */
export function secretWarnings({ type, data = {} }: Secret): string[] {
  if (type !== "kubernetes.io/tls") return [];
  const problem = keyPairProblem(textOf(data["tls.crt"]), textOf(data["tls.key"]));
  return problem === undefined ? [] : [problem];
}

const textOf = (base64 = ""): string => Buffer.from(base64, "base64").toString("latin1");

function keyPairProblem(certificateText: string, keyText: string): string | undefined {
  const certificates = pemBlocks(certificateText);
  const certificate = certificates.find(({ type }) => type === "CERTIFICATE");
  if (!certificate) return noCertificateText(certificates.map(({ type }) => type));
  const keys = pemBlocks(keyText);
  const key = keys.find(({ type }) => type === "PRIVATE KEY" || type.endsWith(" PRIVATE KEY"));
  if (!key) return noKeyText(keys.map(({ type }) => type));
  const parsed = certificateOf(certificate.text);
  if (!parsed) return "x509: malformed certificate";
  const privateKey = keyOf(key.text);
  if (!privateKey) return "tls: failed to parse private key";
  if (parsed.publicKey.asymmetricKeyType !== privateKey.asymmetricKeyType) return "tls: private key type does not match public key type";
  return parsed.checkPrivateKey(privateKey) ? undefined : "tls: private key does not match public key";
}

function noCertificateText(skipped: readonly string[]): string {
  if (skipped.length === 0) return "tls: failed to find any PEM data in certificate input";
  if (skipped.length === 1 && skipped[0]?.endsWith("PRIVATE KEY"))
    return "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched";
  return `tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following types: [${skipped.join(" ")}]`;
}

function noKeyText(skipped: readonly string[]): string {
  if (skipped.length === 0) return "tls: failed to find any PEM data in key input";
  if (skipped.length === 1 && skipped[0] === "CERTIFICATE")
    return "tls: found a certificate rather than a key in the PEM for the private key";
  return `tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks of the following types: [${skipped.join(" ")}]`;
}

/** Undefined where it is none: that is what is to be found out. */
function certificateOf(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** Undefined where it is none, or is encrypted. */
function keyOf(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
