// Certificates by the name that a client asks for (SNI). A secret that changes is read anew while connections stay as they
// are; one that can no longer be read keeps serving as it was, and whoever wrote it is told.
import { X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import { keyOf } from "../api/meta/object.ts";
import type { Secret } from "../api/types/core-v1.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../base/x509/certificate.ts";
import type { IngressProblem, WantedCertificate } from "./ingress-rules.ts";

export interface ServingPair {
  readonly certPem: string;
  readonly keyPem: string;
}

interface Loaded {
  readonly version: string;
  readonly context: SecureContext;
  /** Those in the certificate, in lower case. */
  readonly names: readonly string[];
}

export class Certificates {
  #loaded = new Map<string, Loaded>();
  #exact = new Map<string, SecureContext>();
  /** By what follows the first label. */
  #wildcards = new Map<string, SecureContext>();

  /** `wanted` with the oldest Ingress first: of two certificates for a host the first counts. */
  update(wanted: readonly WantedCertificate[], secretOf: (key: string) => Secret | undefined): readonly IngressProblem[] {
    const problems: IngressProblem[] = [];
    const loaded = new Map<string, Loaded>();
    const exact = new Map<string, SecureContext>();
    const wildcards = new Map<string, SecureContext>();
    for (const { ingress, secret: key, hosts } of wanted) {
      const found = loaded.get(key) ?? this.#load(key, secretOf(key));
      if ("problem" in found) problems.push({ ingress, reason: "InvalidCertificate", message: found.problem });
      const good = "problem" in found ? found.before : found;
      if (!good) continue;
      loaded.set(key, good);
      for (const host of hosts.length > 0 ? hosts : good.names) {
        const [map, name] = host.startsWith("*.") ? ([wildcards, host.slice(2)] as const) : ([exact, host] as const);
        if (!map.has(name)) map.set(name, good.context);
      }
    }
    this.#loaded = loaded;
    this.#exact = exact;
    this.#wildcards = wildcards;
    return problems;
  }

  find(serverName: string): SecureContext | undefined {
    const name = serverName.toLowerCase().replace(/\.$/, "");
    return this.#exact.get(name) ?? this.#wildcards.get(name.slice(name.indexOf(".") + 1));
  }

  #load(key: string, secret: Secret | undefined): Loaded | { readonly problem: string; readonly before: Loaded | undefined } {
    const before = this.#loaded.get(key);
    if (!secret) return { problem: `There is no secret ${key} of type kubernetes.io/tls`, before: undefined };
    const version = `${secret.metadata.uid} ${secret.metadata.resourceVersion}`;
    if (before?.version === version) return before;
    try {
      const certPem = textOf(secret, "tls.crt");
      const context = createSecureContext({ cert: certPem, key: textOf(secret, "tls.key"), minVersion: "TLSv1.2" });
      return { version, context, names: namesIn(certPem) };
    } catch {
      // What OpenSSL says could hold parts of the key.
      return { problem: `The certificate and key of secret ${keyOf(secret)} cannot be used`, before };
    }
  }
}

function textOf({ data }: Secret, name: string): string {
  return Buffer.from(data?.[name] ?? "", "base64").toString("latin1");
}

function namesIn(certPem: string): readonly string[] {
  const { subjectAltName } = new X509Certificate(certPem);
  return (subjectAltName ?? "").split(", ").flatMap((name) => /^DNS:(.*)$/.exec(name)?.[1]?.toLowerCase() ?? []);
}

const yearMs = 365 * 24 * 3_600_000;

/** For hosts that have none of their own: says nothing about who serves them, and no client should believe it does. */
export function selfSignedPair(nowMs: number): ServingPair {
  const { privateKey, publicKey } = generateKey();
  const certificate = issueCertificate(
    {
      subject: { commonName: "Coracle Ingress default certificate", organizations: [] },
      names: { dnsNames: ["ingress.local"] },
      publicKey,
      notBeforeMs: nowMs - 3_600_000,
      notAfterMs: nowMs + yearMs,
      keyUsages: ["digitalSignature", "keyEncipherment"],
      extendedKeyUsages: ["serverAuth"],
    },
    { key: privateKey },
  );
  return { certPem: certificatePem(certificate), keyPem: privateKeyPem(privateKey) };
}
