// The cluster's certificates and keys, kept below <data-dir>/pki under kubeadm's file names: made at the first start, read
// at every other, and issued anew when they are about to expire or lack a name this server has to answer to. The
// authorities and the service-account key are never replaced: what they signed lives elsewhere too. All keys are P-256,
// which takes a tenth of a millisecond where RSA would take the better part of a second; upstream's components accept
// both. Client identities are upstream's: system:masters, system:kube-scheduler, system:node:<name> and so on.
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { makeDirectory } from "../../base/make-directory.ts";
import {
  type Certificate,
  certificateFromPem,
  certificatePem,
  type ExtendedKeyUsage,
  generateKey,
  issueCertificate,
  type KeyedCertificate,
  keyMatches,
  privateKeyPem,
  publicKeyPem,
} from "../../base/x509/certificate.ts";
import { DerError } from "../../base/x509/der.ts";
import { ipBytes, ipText } from "../../base/x509/names.ts";
import { writeFileAtomically } from "../atomic-file.ts";

const dayMs = 24 * 3600 * 1000;
const authorityLifetimeMs = 3650 * dayMs;
const leafLifetimeMs = 365 * dayMs;
/** Leaves with less time left than this are issued anew. */
const renewBeforeMs = 90 * dayMs;
/** Certificates are valid from a little before now, for clients whose clock is behind. */
const backdateMs = 5 * 60 * 1000;

export interface PkiOptions {
  readonly dataDir: string;
  /** Host names and IP addresses under which clients reach the API server, beyond localhost and the service's names. */
  readonly serverNames?: readonly string[];
  /** First address of the service range: "10.96.0.1". */
  readonly serviceIp: string;
  /** Default "cluster.local". */
  readonly clusterDomain?: string;
  readonly clock: Clock;
}

/** A certificate with its key, in PEM. */
export interface PemPair {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate and its key, PEM. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Who a leaf certificate is for. */
export interface LeafSpec {
  readonly commonName: string;
  readonly organizations?: readonly string[];
  /** DNS names and IP addresses. */
  readonly names?: readonly string[];
  readonly usages: readonly ExtendedKeyUsage[];
}

export interface Pki {
  readonly directory: string;
  /** Signs everything below except what belongs to the front proxy. */
  readonly ca: KeyedCertificate & { readonly pem: PemPair };
  readonly frontProxyCa: KeyedCertificate & { readonly pem: PemPair };
  readonly frontProxyClient: PemPair;
  /** Serving certificate of the API server. */
  readonly apiserver: PemPair;
  /** Client certificate of the API server towards kubelets (system:masters is what kubelets ask the API server about). */
  readonly apiserverKubeletClient: PemPair;
  /** system:masters. */
  readonly admin: PemPair;
  readonly controllerManager: PemPair;
  readonly scheduler: PemPair;
  readonly proxy: PemPair;
  /** Signs service-account tokens (ES256). */
  readonly serviceAccountKey: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  /** A node's client certificate, system:node:<name>. */
  kubeletClient(nodeName: string): Promise<PemPair>;
  /** A node's serving certificate. */
  kubeletServing(nodeName: string, names: readonly string[]): Promise<PemPair>;
  /** Where a node's certificates are kept. */
  kubeletFiles(nodeName: string): { readonly client: CertificateFiles; readonly serving: CertificateFiles };
  /** Any certificate signed by the cluster's authority, kept under `<file>.crt` and `<file>.key`. */
  leaf(file: string, spec: LeafSpec): Promise<PemPair>;
}

/** Why nobody will believe the cluster's certificates at this time, if so: the clock is wrong, or the cluster very old. */
export function whyNotBelieved({ ca }: Pick<Pki, "ca">, nowMs: number): string | undefined {
  const { notBeforeMs, notAfterMs } = ca.certificate;
  if (nowMs >= notBeforeMs && nowMs <= notAfterMs) return undefined;
  const validity = `valid from ${new Date(notBeforeMs).toISOString()} to ${new Date(notAfterMs).toISOString()}`;
  return `the cluster's authority is ${validity}, and this machine's clock says ${new Date(nowMs).toISOString()}`;
}

/** Reads what there is, makes what is missing. Throws where an authority or the service-account key cannot be read. */
export async function loadOrCreatePki(options: PkiOptions): Promise<Pki> {
  const directory = join(options.dataDir, "pki");
  makeDirectory(directory, 0o700);
  const files = new PkiFiles(directory, options.clock);
  const [ca, frontProxyCa, serviceAccountKey] = await Promise.all([
    files.authority("ca", "kubernetes"),
    files.authority("front-proxy-ca", "front-proxy-ca"),
    files.signingKey("sa"),
  ]);
  const client = (file: string, commonName: string, organizations: readonly string[] = []): Promise<PemPair> =>
    files.leaf(file, ca, { commonName, organizations, usages: ["clientAuth"] });
  const [apiserver, apiserverKubeletClient, frontProxyClient, admin, controllerManager, scheduler, proxy] = await Promise.all([
    files.leaf("apiserver", ca, { commonName: "kube-apiserver", names: serverNames(options), usages: ["serverAuth"] }),
    client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", ["system:masters"]),
    files.leaf("front-proxy-client", frontProxyCa, { commonName: "front-proxy-client", usages: ["clientAuth"] }),
    client("admin", "kubernetes-admin", ["system:masters"]),
    client("controller-manager", "system:kube-controller-manager"),
    client("scheduler", "system:kube-scheduler"),
    client("proxy", "system:kube-proxy"),
  ]);
  return {
    directory,
    ca,
    frontProxyCa,
    frontProxyClient,
    apiserver,
    apiserverKubeletClient,
    admin,
    controllerManager,
    scheduler,
    proxy,
    serviceAccountKey,
    kubeletClient: (nodeName) => client(`kubelet-client-${nodeName}`, `system:node:${nodeName}`, ["system:nodes"]),
    kubeletServing: (nodeName, names) =>
      files.leaf(`kubelet-${nodeName}`, ca, {
        commonName: `system:node:${nodeName}`,
        organizations: ["system:nodes"],
        names: [nodeName, ...names],
        usages: ["serverAuth"],
      }),
    kubeletFiles: (nodeName) => ({ client: files.paths(`kubelet-client-${nodeName}`), serving: files.paths(`kubelet-${nodeName}`) }),
    leaf: (file, spec) => files.leaf(file, ca, spec),
  };
}

function serverNames(options: PkiOptions): readonly string[] {
  const domain = options.clusterDomain ?? "cluster.local";
  const service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", `kubernetes.default.svc.${domain}`];
  return [...new Set([...service, "localhost", "127.0.0.1", "::1", options.serviceIp, ...(options.serverNames ?? [])])];
}

/** The files of one directory: each is read, judged, and written where it has to be made. */
class PkiFiles {
  readonly #directory: string;
  readonly #clock: Clock;

  constructor(directory: string, clock: Clock) {
    this.#directory = directory;
    this.#clock = clock;
  }

  async authority(file: string, commonName: string): Promise<KeyedCertificate & { readonly pem: PemPair }> {
    const found = await this.#read(file);
    if (found) {
      const { certificate, key } = parsePair(this.#path(`${file}.crt`), found);
      return { certificate, key, pem: found };
    }
    const keys = generateKey();
    const certificate = issueCertificate(
      {
        subject: { commonName, organizations: [] },
        names: { dnsNames: [commonName] },
        publicKey: keys.publicKey,
        ...this.#validity(authorityLifetimeMs),
        keyUsages: ["digitalSignature", "keyEncipherment", "certSign"],
        isAuthority: true,
      },
      { key: keys.privateKey },
    );
    return { certificate, key: keys.privateKey, pem: await this.#write(file, certificate, keys.privateKey, true) };
  }

  async signingKey(file: string): Promise<Pki["serviceAccountKey"]> {
    const path = this.#path(`${file}.key`);
    const found = await readIfPresent(path);
    if (found !== undefined) {
      const privateKey = createPrivateKeyFrom(path, found);
      return { privateKey, publicKey: createPublicKey(privateKey) };
    }
    const keys = generateKey();
    await writeFileAtomically(this.#path(`${file}.pub`), publicKeyPem(keys.publicKey));
    await writeFileAtomically(path, privateKeyPem(keys.privateKey), { durable: true });
    return keys;
  }

  paths(file: string): CertificateFiles {
    return { certFile: this.#path(`${file}.crt`), keyFile: this.#path(`${file}.key`) };
  }

  async leaf(file: string, issuer: KeyedCertificate, spec: LeafSpec): Promise<PemPair> {
    const found = await this.#read(file);
    if (found && this.#isGood(found, issuer, spec)) return found;
    const keys = generateKey();
    const names = spec.names ?? [];
    const certificate = issueCertificate(
      {
        subject: { commonName: spec.commonName, organizations: spec.organizations ?? [] },
        names: { dnsNames: names.filter((n) => isIP(n) === 0), ipAddresses: names.filter((n) => isIP(n) !== 0) },
        publicKey: keys.publicKey,
        ...this.#validity(leafLifetimeMs),
        keyUsages: ["digitalSignature", "keyEncipherment"],
        extendedKeyUsages: spec.usages,
      },
      issuer,
    );
    return this.#write(file, certificate, keys.privateKey, false);
  }

  /** Whether a leaf on disk serves: readable, of this issuer and this subject, with all names, from now on and for long enough. */
  #isGood(found: PemPair, issuer: KeyedCertificate, spec: LeafSpec): boolean {
    let certificate: Certificate;
    try {
      certificate = parsePair("", found).certificate;
    } catch (error) {
      if (error instanceof UnusablePairError) return false;
      throw error;
    }
    const { subject, names } = certificate;
    const has = new Set([...names.dnsNames, ...names.ipAddresses]);
    return (
      certificate.notBeforeMs <= this.#clock.now() && // else the clock was ahead when it was issued
      certificate.notAfterMs - this.#clock.now() > renewBeforeMs &&
      subject.commonName === spec.commonName &&
      subject.organizations.join("\n") === (spec.organizations ?? []).join("\n") &&
      (spec.names ?? []).every((name) => has.has(isIP(name) ? ipText(ipBytes(name)) : name)) &&
      issuedBy(certificate, issuer)
    );
  }

  #validity(lifetimeMs: number): { readonly notBeforeMs: number; readonly notAfterMs: number } {
    const nowMs = this.#clock.now();
    return { notBeforeMs: nowMs - backdateMs, notAfterMs: nowMs + lifetimeMs };
  }

  async #read(file: string): Promise<PemPair | undefined> {
    const [certificate, key] = await Promise.all([readIfPresent(this.#path(`${file}.crt`)), readIfPresent(this.#path(`${file}.key`))]);
    return certificate === undefined || key === undefined ? undefined : { certificate, key };
  }

  /** The key goes first: a crash in between leaves a pair that does not match and is made anew. */
  async #write(file: string, certificate: Certificate, key: KeyObject, durable: boolean): Promise<PemPair> {
    const pem = { certificate: certificatePem(certificate), key: privateKeyPem(key) };
    await writeFileAtomically(this.#path(`${file}.key`), pem.key, { durable });
    await writeFileAtomically(this.#path(`${file}.crt`), pem.certificate, { durable });
    return pem;
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}

class UnusablePairError extends Error {}

function parsePair(path: string, pair: PemPair): KeyedCertificate {
  const key = createPrivateKeyFrom(path, pair.key);
  let certificate: Certificate;
  try {
    certificate = certificateFromPem(pair.certificate);
  } catch (cause) {
    if (!(cause instanceof DerError)) throw cause;
    throw new UnusablePairError(`the certificate ${path} cannot be read: ${cause.message}`, { cause });
  }
  if (!keyMatches(certificate, key)) throw new UnusablePairError(`the certificate ${path} and its key do not belong together`);
  return { certificate, key };
}

function createPrivateKeyFrom(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new UnusablePairError(`the private key of ${path} cannot be read`, { cause });
  }
}

function issuedBy(certificate: Certificate, issuer: KeyedCertificate): boolean {
  return new X509Certificate(certificate.der).verify(createPublicKey(issuer.key));
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
