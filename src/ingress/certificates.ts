// Certificates by the name that a client asks for (SNI). A secret that changes is read anew while connections stay as they
// are; one that can no longer be read keeps serving as it was, and whoever wrote it is told.
import { X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import { keyOf } from "../api/meta/object.ts";
import type { Secret } from "../api/types/core-v1.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../base/x509/certificate.ts";

export interface ServingPair {
  readonly certPem: string;
  readonly keyPem: string;
}

/** A secret with a certificate, and the hosts it is for. */
export interface WantedCertificate<Owner> {
  /** Who wants it. */
  readonly owner: Owner;
  /** "namespace/name". */
  readonly secret: string;
  /** In lower case; "*.example.com" has any first label, "*" is any name; none: those in the certificate. */
  readonly hosts: readonly string[];
  /** A wildcard stands for any number of labels. Default for one. */
  readonly deepWildcards?: boolean;
}

export interface CertificateProblem<Owner> {
  readonly owner: Owner;
  readonly message: string;
}

interface Loaded {
  readonly context: SecureContext;
  /** Those in the certificate, in lower case. */
  readonly names: readonly string[];
}

/** By secret, which never changes itself; undefined where it cannot be used. */
const loadedPairs = new WeakMap<Secret, { readonly pair: Loaded | undefined }>();

/** Whether a certificate and its key can be served. */
export const isUsableCertificate = (secret: Secret): boolean => loadPair(secret) !== undefined;

interface Names {
  readonly exact: Map<string, SecureContext>;
  /** By what follows the first label. */
  readonly wildcards: Map<string, SecureContext>;
  /** By what any number of labels may stand before. */
  readonly deep: Map<string, SecureContext>;
  any: SecureContext | undefined;
}

const newNames = (): Names => ({ exact: new Map(), wildcards: new Map(), deep: new Map(), any: undefined });

export class Certificates<Owner> {
  #loaded = new Map<string, Loaded>();
  #names = newNames();

  /** `wanted` with the oldest first: of two certificates for a host the first counts. */
  update(wanted: readonly WantedCertificate<Owner>[], secretOf: (key: string) => Secret | undefined): readonly CertificateProblem<Owner>[] {
    const problems: CertificateProblem<Owner>[] = [];
    const loaded = new Map<string, Loaded>();
    const names = newNames();
    for (const { owner, secret: key, hosts, deepWildcards = false } of wanted) {
      const secret = secretOf(key);
      const pair = secret && loadPair(secret);
      if (!secret) problems.push({ owner, message: `There is no secret ${key} of type kubernetes.io/tls` });
      else if (!pair) problems.push({ owner, message: `The certificate and key of secret ${keyOf(secret)} cannot be used` });
      const good = pair ?? (secret && this.#loaded.get(key));
      if (!good) continue;
      loaded.set(key, good);
      for (const host of hosts.length > 0 ? hosts : good.names) addName(names, host, { context: good.context, deepWildcards });
    }
    this.#loaded = loaded;
    this.#names = names;
    return problems;
  }

  find(serverName: string): SecureContext | undefined {
    const { exact, wildcards, deep, any } = this.#names;
    const name = serverName.toLowerCase().replace(/\.$/, "");
    const found = exact.get(name) ?? wildcards.get(name.slice(name.indexOf(".") + 1));
    if (found || deep.size === 0) return found ?? any;
    for (let dot = name.indexOf("."); dot > 0; dot = name.indexOf(".", dot + 1)) {
      const byWildcard = deep.get(name.slice(dot + 1));
      if (byWildcard) return byWildcard;
    }
    return any;
  }
}

function addName(names: Names, host: string, { context, deepWildcards }: { context: SecureContext; deepWildcards: boolean }): void {
  if (host === "*") {
    names.any ??= context;
    return;
  }
  const isWildcard = host.startsWith("*.");
  const map = !isWildcard ? names.exact : deepWildcards ? names.deep : names.wildcards;
  const name = isWildcard ? host.slice(2) : host;
  if (!map.has(name)) map.set(name, context);
}

function loadPair(secret: Secret): Loaded | undefined {
  const known = loadedPairs.get(secret);
  if (known) return known.pair;
  let pair: Loaded | undefined;
  try {
    const certPem = textOf(secret, "tls.crt");
    const context = createSecureContext({ cert: certPem, key: textOf(secret, "tls.key"), minVersion: "TLSv1.2" });
    pair = { context, names: namesIn(certPem) };
  } catch {
    // What OpenSSL says could hold parts of the key: who asks says which secret it is.
  }
  loadedPairs.set(secret, { pair });
  return pair;
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
