// A node's certificate with its key on disk, in upstream's layout: <name>-<date>.pem holds both, and <name>-current.pem is a
// symbolic link to the newest. A reader that follows the link always finds a pair that belongs together.
import { createPrivateKey, type KeyObject } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { type Certificate, certificateFromPem, keyMatches } from "../../base/x509/certificate.ts";
import { DerError } from "../../base/x509/der.ts";

export interface StoredCertificate {
  /** The leaf. */
  readonly certificate: Certificate;
  readonly key: KeyObject;
  /** The leaf and what follows it. */
  readonly certPem: string;
  readonly keyPem: string;
}

/** Files of earlier certificates that are kept. */
const kept = 3;

export class CertificateStore {
  readonly #directory: string;
  readonly #name: string;
  readonly #clock: Clock;

  /** `name`: "kubelet-client", "kubelet-server". */
  constructor(directory: string, name: string, clock: Clock) {
    this.#directory = directory;
    this.#name = name;
    this.#clock = clock;
  }

  /** The link to the newest pair. */
  get currentPath(): string {
    return join(this.#directory, `${this.#name}-current.pem`);
  }

  /** Undefined where there is none that can be used. */
  async current(): Promise<StoredCertificate | undefined> {
    try {
      return parsePair(await readFile(this.currentPath, "utf8"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT" || error instanceof UnusableCertificateError) return undefined;
      throw error;
    }
  }

  /** Makes this pair the current one. Throws UnusableCertificateError where the two do not belong together. */
  async update(certPem: string, keyPem: string): Promise<StoredCertificate> {
    const text = `${certPem.trimEnd()}\n${keyPem.trimEnd()}\n`;
    const stored = parsePair(text);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const path = join(this.#directory, `${this.#name}-${await this.#freeStamp()}.pem`);
    await writeFile(path, text, { mode: 0o600, flag: "wx" });
    await chmod(path, 0o600); // whatever the umask
    const link = `${this.currentPath}.new`;
    await rm(link, { force: true });
    await symlink(basename(path), link);
    await rename(link, this.currentPath);
    await this.#prune(basename(path));
    return stored;
  }

  /** "2026-11-29-11-30-12"; two within a second get different ones. */
  async #freeStamp(): Promise<string> {
    const taken = new Set(await this.#files());
    for (let ms = this.#clock.now(); ; ms += 1000) {
      const stamp = new Date(ms).toISOString().slice(0, 19).replace(/[T:]/g, "-");
      if (!taken.has(`${this.#name}-${stamp}.pem`)) return stamp;
    }
  }

  async #files(): Promise<readonly string[]> {
    const dated = /^\d{4}(-\d{2}){5}\.pem$/;
    return (await readdir(this.#directory))
      .filter((n) => n.startsWith(`${this.#name}-`) && dated.test(n.slice(this.#name.length + 1)))
      .sort();
  }

  async #prune(current: string): Promise<void> {
    const earlier = (await this.#files()).filter((name) => name !== current);
    for (const name of earlier.slice(0, Math.max(0, earlier.length - kept))) await rm(join(this.#directory, name), { force: true });
  }
}

export class UnusableCertificateError extends Error {}

const certificateBlock = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
const keyBlock = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/;

/** The pair in a text that has certificates and a key. Throws UnusableCertificateError. */
export function parsePair(text: string): StoredCertificate {
  const certificates = text.match(certificateBlock) ?? [];
  const keyPem = keyBlock.exec(text)?.[0];
  const [leaf] = certificates;
  if (leaf === undefined || keyPem === undefined) throw new UnusableCertificateError("expected a certificate and its key");
  let certificate: Certificate;
  let key: KeyObject;
  try {
    certificate = certificateFromPem(leaf);
    key = createPrivateKey(keyPem);
  } catch (cause) {
    if (cause instanceof DerError || (cause instanceof Error && "code" in cause))
      throw new UnusableCertificateError("the certificate or its key cannot be read", { cause });
    throw cause;
  }
  if (!keyMatches(certificate, key)) throw new UnusableCertificateError("the certificate and the key do not belong together");
  return { certificate, key, certPem: `${certificates.join("\n")}\n`, keyPem: `${keyPem}\n` };
}
