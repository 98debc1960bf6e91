// Keeps a certificate: asks for one where there is none, and for the next when between 70 and 90 percent of the present one's
// life are over, or when it lacks a name the node answers to. Failures are tried again with back-off; the present certificate
// is used as long as it lasts.

import { backoffDelay } from "../../base/backoff.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { type Certificate, generateKey, privateKeyPem } from "../../base/x509/certificate.ts";
import type { Client } from "../../client/client.ts";
import type { CertificateStore, StoredCertificate } from "./certificate-store.ts";
import { requestCertificate } from "./signing-request.ts";

export interface CertificateNames {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

export interface CertificateManagerDependencies {
  /** Authenticates as the node. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: CertificateStore;
}

export interface CertificateManagerOptions {
  readonly signerName: string;
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly usages: readonly string[];
  /** What the certificate is for; undefined while that is not known. Default nothing: a client's. */
  readonly names?: () => CertificateNames | undefined;
  /** The present certificate has been replaced. */
  readonly onChange: (certificate: StoredCertificate) => void;
}

const retrying = { baseMs: 2_000, maxMs: 128_000, jitter: 0.1 };
/** Between two certificates, however short they live. */
const minPeriodMs = 1_000;
/** How often names are looked at. */
const maxWaitMs = 10_000;
const [earliest, spread] = [0.7, 0.2];

export class CertificateManager implements Running {
  readonly #deps: CertificateManagerDependencies;
  readonly #options: CertificateManagerOptions;
  readonly #abort = new AbortController();
  #current: StoredCertificate | undefined;
  #running: Promise<void> | undefined;

  constructor(deps: CertificateManagerDependencies, options: CertificateManagerOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  get current(): StoredCertificate | undefined {
    return this.#current;
  }

  /** Resolves when what lies on disk has been read; the first request may come later. */
  async start(): Promise<void> {
    const stored = await this.#deps.store.current();
    if (stored && stored.certificate.notAfterMs > this.#deps.clock.now()) this.#current = stored;
    this.#running = this.#run();
    // A stop is no failure, and others are caught where they happen.
    this.#running.catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running?.catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#deps;
    const { signal } = this.#abort;
    let failures = 0;
    let dueMs = this.#current ? rotationTime(this.#current.certificate, clock.random()) : 0;
    while (!signal.aborted) {
      const names = this.#options.names ? this.#options.names() : { dnsNames: [], ipAddresses: [] };
      const isDue = names !== undefined && (clock.now() >= dueMs || (this.#current && !covers(this.#current.certificate, names)));
      if (!isDue) {
        const leftMs = dueMs - clock.now();
        await clock.sleep(leftMs > 0 ? Math.min(leftMs, maxWaitMs) : minPeriodMs, signal);
        continue;
      }
      try {
        this.#current = await this.#request(names);
        failures = 0;
        dueMs = rotationTime(this.#current.certificate, clock.random());
        logger.info("Certificate rotated", { signer: this.#options.signerName, until: formatTime(this.#current.certificate.notAfterMs) });
        this.#options.onChange(this.#current);
        await clock.sleep(minPeriodMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        logger.warn("Asking for a certificate failed", { signer: this.#options.signerName, error: errorText(error) });
        await clock.sleep(backoffDelay(failures++, retrying, clock.random()), signal);
      }
    }
  }

  async #request(names: CertificateNames): Promise<StoredCertificate> {
    const { client, clock, store } = this.#deps;
    const { signerName, commonName, organizations, usages } = this.#options;
    const keys = generateKey();
    const wanted = { signerName, commonName, organizations, usages, keys, ...names };
    const certPem = await requestCertificate({ client, clock }, wanted, { signal: this.#abort.signal });
    return store.update(certPem, privateKeyPem(keys.privateKey));
  }
}

/** When a certificate is replaced; `random` is a number in [0, 1). */
export function rotationTime({ notBeforeMs, notAfterMs }: Pick<Certificate, "notBeforeMs" | "notAfterMs">, random: number): number {
  return notBeforeMs + (notAfterMs - notBeforeMs) * (earliest + spread * random);
}

function covers({ names }: Certificate, wanted: CertificateNames): boolean {
  const has = new Set([...names.dnsNames, ...names.ipAddresses]);
  return [...wanted.dnsNames, ...wanted.ipAddresses].every((name) => has.has(name));
}

/** A node's own client certificate. */
export const clientCertificateOptions = (nodeName: string) =>
  ({
    signerName: "kubernetes.io/kube-apiserver-client-kubelet",
    commonName: `system:node:${nodeName}`,
    organizations: ["system:nodes"],
    usages: ["digital signature", "client auth"],
  }) as const;

/** The certificate its server serves with. */
export const servingCertificateOptions = (nodeName: string) =>
  ({
    signerName: "kubernetes.io/kubelet-serving",
    commonName: `system:node:${nodeName}`,
    organizations: ["system:nodes"],
    usages: ["digital signature", "server auth"],
  }) as const;
