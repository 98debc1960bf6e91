// The certificate a component serves with: the one of its flags, or one that is made at the start and lives as long as the
// process, as upstream's self-signed one.
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import type { Clock } from "../../base/clock.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../base/x509/certificate.ts";
import { CommandError } from "../command-error.ts";

const lifetimeMs = 365 * 24 * 3_600_000;

export async function servingPair(
  certFile: string | undefined,
  keyFile: string | undefined,
  clock: Clock,
): Promise<{ readonly cert: string; readonly key: string }> {
  if (certFile === undefined && keyFile === undefined) return selfSigned(clock);
  if (certFile === undefined || keyFile === undefined)
    throw new CommandError("--tls-cert-file and --tls-private-key-file belong together: give both or neither");
  try {
    return { cert: await readFile(certFile, "utf8"), key: await readFile(keyFile, "utf8") };
  } catch (cause) {
    throw new CommandError(`--tls-cert-file ${certFile}, --tls-private-key-file ${keyFile}: cannot be read`, { cause });
  }
}

function selfSigned(clock: Clock): { readonly cert: string; readonly key: string } {
  const { publicKey, privateKey } = generateKey();
  const nowMs = clock.now();
  const certificate = issueCertificate(
    {
      subject: { commonName: `localhost@${Math.floor(nowMs / 1000)}`, organizations: [] },
      names: { dnsNames: ["localhost", hostname().toLowerCase()], ipAddresses: ["127.0.0.1"] },
      publicKey,
      notBeforeMs: nowMs - 3_600_000,
      notAfterMs: nowMs + lifetimeMs,
      keyUsages: ["digitalSignature", "keyEncipherment"],
      extendedKeyUsages: ["serverAuth"],
    },
    { key: privateKey },
  );
  return { cert: certificatePem(certificate), key: privateKeyPem(privateKey) };
}
