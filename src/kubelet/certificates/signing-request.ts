// Asks the API server for a certificate: makes a CertificateSigningRequest and waits until it is signed, or turned down.
import { createHash, type KeyObject } from "node:crypto";
import { bytesOfBase64, encodeBase64 } from "../../api/meta/base64.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { certificatesigningrequests } from "../../api/resources.generated.ts";
import type { CertificateSigningRequest } from "../../api/types/certificates-v1.ts";
import { backoffDelay } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import { publicKeyDer } from "../../base/x509/certificate.ts";
import { createSigningRequest } from "../../base/x509/signing-request.ts";
import type { Client } from "../../client/client.ts";

export interface WantedCertificate {
  readonly signerName: string;
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly usages: readonly string[];
  readonly keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  /** Of the request: a request of that name that is there already is waited for. Default one that is new. */
  readonly name?: string;
}

export interface RequestOptions {
  readonly signal: AbortSignal;
  /** Until the certificate is there. Default 15 min. */
  readonly timeoutMs?: number;
}

/** The request was denied, failed, or nobody dealt with it in time. */
export class CertificateRefusedError extends Error {}

const defaultTimeoutMs = 15 * 60_000;
const callTimeoutMs = 10_000;
const polling = { baseMs: 100, maxMs: 5_000 };

/** The certificate in PEM. Throws CertificateRefusedError, and what the client throws. */
export async function requestCertificate(
  { client, clock }: { readonly client: Client; readonly clock: Clock },
  wanted: WantedCertificate,
  { signal, timeoutMs = defaultTimeoutMs }: RequestOptions,
): Promise<string> {
  const request = await create(client, wanted, signal);
  const { name } = request.metadata;
  const deadlineMs = clock.monotonic() + timeoutMs;
  for (let tries = 0, current = request; ; tries++) {
    const issued = outcome(current);
    if (issued !== undefined) return issued;
    if (clock.monotonic() > deadlineMs)
      throw new CertificateRefusedError(`certificate signing request ${name} was not approved and signed in ${timeoutMs / 60_000} min`);
    await clock.sleep(backoffDelay(tries, polling), signal);
    current = await client.get(certificatesigningrequests, { name }, { signal, timeoutMs: callTimeoutMs });
  }
}

async function create(client: Client, wanted: WantedCertificate, signal: AbortSignal): Promise<CertificateSigningRequest> {
  const { signerName, commonName, organizations, dnsNames = [], ipAddresses = [], usages, keys, name } = wanted;
  const pem = createSigningRequest({ commonName, organizations }, keys, { dnsNames, ipAddresses });
  const metadata = name === undefined ? { generateName: "csr-" } : { name };
  const spec = { request: encodeBase64(pem), signerName, usages };
  try {
    return await client.create(
      certificatesigningrequests,
      { metadata: metadata as { readonly name: string }, spec },
      { signal, timeoutMs: callTimeoutMs },
    );
  } catch (error) {
    if (name === undefined || !isStatus(error, "AlreadyExists")) throw error;
    return await client.get(certificatesigningrequests, { name }, { signal, timeoutMs: callTimeoutMs });
  }
}

function outcome({ metadata, status }: CertificateSigningRequest): string | undefined {
  for (const { type, reason, message } of status?.conditions ?? []) {
    const why = [reason, message].filter(Boolean).join(": ");
    if (type === "Denied") throw new CertificateRefusedError(`certificate signing request ${metadata.name} was denied: ${why}`);
    if (type === "Failed") throw new CertificateRefusedError(`certificate signing request ${metadata.name} failed: ${why}`);
  }
  return status?.certificate ? new TextDecoder().decode(bytesOfBase64(status.certificate)) : undefined;
}

/** A name that says all that is asked for, so that a second try finds the first one's request. */
export function requestName(wanted: Omit<WantedCertificate, "name">): string {
  const hash = createHash("sha512-256");
  const parts = [publicKeyDer(wanted.keys.publicKey), wanted.commonName, ...wanted.organizations, ...wanted.usages];
  for (const part of parts) hash.update(`${Buffer.from(part).toString("base64url")}|`);
  return `node-csr-${hash.digest("base64url")}`;
}
