// The certificate the kubelet's server has while nobody has given it another: signed by itself, kept as kubelet.crt and
// kubelet.key in the certificates' directory, and made anew when it has expired or lacks a name.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../base/x509/certificate.ts";
import { parsePair, UnusableCertificateError } from "./certificate-store.ts";

export interface PemCertificate {
  readonly cert: string;
  readonly key: string;
}

const lifetimeMs = 365 * 24 * 3_600_000;
const backdateMs = 3_600_000;

/** Where they lie. */
export const servingFiles = (directory: string): readonly [cert: string, key: string] => [
  join(directory, "kubelet.crt"),
  join(directory, "kubelet.key"),
];

/** `names`: DNS names and addresses of the node. */
export async function selfSignedServing(directory: string, names: readonly string[], clock: Clock): Promise<PemCertificate> {
  const [certFile, keyFile] = servingFiles(directory);
  const found = await readPair(certFile, keyFile);
  if (found) {
    const { certificate, certPem, keyPem } = found;
    const has = new Set([...certificate.names.dnsNames, ...certificate.names.ipAddresses]);
    if (certificate.notAfterMs > clock.now() && names.every((name) => has.has(name))) return { cert: certPem, key: keyPem };
  }
  const made = selfSigned(names, clock.now());
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeFile(keyFile, made.key, { mode: 0o600 });
  await writeFile(certFile, made.cert, { mode: 0o600 });
  return made;
}

async function readPair(certFile: string, keyFile: string): Promise<ReturnType<typeof parsePair> | undefined> {
  try {
    return parsePair(`${await readFile(certFile, "utf8")}\n${await readFile(keyFile, "utf8")}`);
  } catch (error) {
    if (error instanceof UnusableCertificateError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function selfSigned(names: readonly string[], nowMs: number): PemCertificate {
  const { publicKey, privateKey } = generateKey();
  const certificate = issueCertificate(
    {
      subject: { commonName: `${names[0] ?? "kubelet"}@${Math.floor(nowMs / 1000)}`, organizations: [] },
      names: { dnsNames: names.filter((n) => isIP(n) === 0), ipAddresses: names.filter((n) => isIP(n) !== 0) },
      publicKey,
      notBeforeMs: nowMs - backdateMs,
      notAfterMs: nowMs + lifetimeMs,
      keyUsages: ["digitalSignature", "keyEncipherment"],
      extendedKeyUsages: ["serverAuth"],
    },
    { key: privateKey },
  );
  return { cert: certificatePem(certificate), key: privateKeyPem(privateKey) };
}
