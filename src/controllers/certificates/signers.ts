// The signers of Kubernetes: what each lets pass in a certificate signing request, in upstream's words, and what the
// certificates look like that it issues.
import type { CertificateRequest, ExtendedKeyUsage, KeyUsage } from "../../base/x509/certificate.ts";
import type { SigningRequest } from "../../base/x509/signing-request.ts";

export const kubeletClientSigner = "kubernetes.io/kube-apiserver-client-kubelet";

/** What a request asks for. */
export interface Asked {
  readonly request: SigningRequest;
  readonly usages: readonly string[];
}

const nodeNamePrefix = "system:node:";

/** By signer, why it does not sign a request; undefined where it does. Signers that are not here are someone else's. */
const flaws: Readonly<Record<string, (asked: Asked) => string | undefined>> = {
  [kubeletClientSigner]: kubeletClientFlaw,
  "kubernetes.io/kubelet-serving": kubeletServingFlaw,
  "kubernetes.io/kube-apiserver-client": clientFlaw,
  "kubernetes.io/legacy-unknown": () => undefined,
};

export const isKnownSigner = (signerName: string): boolean => flaws[signerName] !== undefined;

/** Why the signer does not sign the request; undefined where it does. */
export function flawOf(signerName: string, asked: Asked): string | undefined {
  return flaws[signerName]?.(asked);
}

export function kubeletClientFlaw({ request, usages }: Asked): string | undefined {
  const { dnsNames, emailAddresses, ipAddresses, uris } = request.names;
  if (!isOfNodes(request)) return "subject organization is not system:nodes";
  if (dnsNames.length > 0) return "DNS subjectAltNames are not allowed";
  if (emailAddresses.length > 0) return "Email subjectAltNames are not allowed";
  if (ipAddresses.length > 0) return "IP subjectAltNames are not allowed";
  if (uris.length > 0) return "URI subjectAltNames are not allowed";
  if (!request.subject.commonName.startsWith(nodeNamePrefix)) return "subject common name does not begin with system:node:";
  return usagesFlaw(usages, "client auth");
}

function kubeletServingFlaw({ request, usages }: Asked): string | undefined {
  const { dnsNames, emailAddresses, ipAddresses, uris } = request.names;
  if (!isOfNodes(request)) return "subject organization is not system:nodes";
  if (dnsNames.length === 0 && ipAddresses.length === 0) return "DNS or IP subjectAltName is required";
  if (emailAddresses.length > 0) return "Email subjectAltNames are not allowed";
  if (uris.length > 0) return "URI subjectAltNames are not allowed";
  const flaw = usagesFlaw(usages, "server auth");
  if (flaw !== undefined) return flaw;
  return request.subject.commonName.startsWith(nodeNamePrefix) ? undefined : "subject common name does not begin with system:node:";
}

function clientFlaw({ usages }: Asked): string | undefined {
  const other = usages.find((usage) => !["digital signature", "key encipherment", "client auth"].includes(usage));
  if (other !== undefined) return `invalid usage for client certificate: ${other}`;
  return usages.includes("client auth") ? undefined : "missing required usage for client certificate: client auth";
}

const isOfNodes = ({ subject }: SigningRequest): boolean =>
  subject.organizations.length === 1 && subject.organizations[0] === "system:nodes";

/** Only keys of RSA encipher keys, so that this usage may be missing. */
function usagesFlaw(usages: readonly string[], auth: "client auth" | "server auth"): string | undefined {
  const required = ["digital signature", "key encipherment", auth].sort();
  const isFit = ["digital signature", auth].every((usage) => usages.includes(usage)) && usages.every((usage) => required.includes(usage));
  return isFit ? undefined : `usages did not match [${required.join(" ")}]`;
}

const keyUsages: Readonly<Record<string, KeyUsage>> = {
  signing: "digitalSignature",
  "digital signature": "digitalSignature",
  "content commitment": "contentCommitment",
  "key encipherment": "keyEncipherment",
  "key agreement": "keyAgreement",
  "data encipherment": "dataEncipherment",
  "cert sign": "certSign",
  "crl sign": "crlSign",
  "encipher only": "encipherOnly",
  "decipher only": "decipherOnly",
};

/** In the order in which certificates list them. */
const extendedUsages: readonly (readonly [string, ExtendedKeyUsage])[] = [
  ["any", "any"],
  ["server auth", "serverAuth"],
  ["client auth", "clientAuth"],
  ["code signing", "codeSigning"],
  ["email protection", "emailProtection"],
  ["s/mime", "emailProtection"],
  ["ipsec end system", "ipsecEndSystem"],
  ["ipsec tunnel", "ipsecTunnel"],
  ["ipsec user", "ipsecUser"],
  ["timestamping", "timeStamping"],
  ["ocsp signing", "ocspSigning"],
  ["microsoft sgc", "microsoftGatedCrypto"],
  ["netscape sgc", "netscapeGatedCrypto"],
];

const minuteMs = 60_000;
const backdateMs = 5 * minuteMs;
const shortestMs = 10 * minuteMs;
/** Certificates for less than this are not shortened by what they are backdated. */
const shortMs = 8 * 60 * minuteMs;

export interface Validity {
  readonly nowMs: number;
  /** Asked for; the longest where it is undefined. */
  readonly durationMs: number | undefined;
  readonly longestMs: number;
  /** When the authority expires: no certificate outlives it. */
  readonly authorityNotAfterMs: number;
}

/** The certificate to issue. Throws where the authority has expired. */
export function certificateFor({ request, usages }: Asked, validity: Validity): CertificateRequest {
  const { nowMs, durationMs, longestMs, authorityNotAfterMs } = validity;
  if (nowMs >= authorityNotAfterMs)
    throw new Error(`the signing certificate has expired at ${new Date(authorityNotAfterMs).toISOString()}`);
  const lifetimeMs = Math.min(longestMs, Math.max(shortestMs, durationMs ?? longestMs));
  const notAfterMs = nowMs + lifetimeMs - (lifetimeMs < shortMs ? 0 : backdateMs);
  return {
    subject: request.subject,
    names: request.names,
    publicKey: request.publicKeyInfo,
    notBeforeMs: nowMs - backdateMs,
    notAfterMs: Math.min(notAfterMs, authorityNotAfterMs),
    keyUsages: [...new Set(usages.flatMap((usage) => keyUsages[usage] ?? []))],
    extendedKeyUsages: [...new Set(extendedUsages.flatMap(([usage, extended]) => (usages.includes(usage) ? [extended] : [])))],
  };
}
