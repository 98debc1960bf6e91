import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { certificatePem, generateKey, issueCertificate, privateKeyPem } from "../../base/x509/certificate.ts";
import type { Pki } from "../credentials/pki.ts";
import { openKubeletClient } from "./kubelet-client.ts";

function pair(): { readonly cert: string; readonly key: string } {
  const { privateKey, publicKey } = generateKey();
  const now = Date.now();
  const request = {
    ...{ subject: { commonName: "client", organizations: [] }, publicKey, notBeforeMs: now - 1000, notAfterMs: now + 3_600_000 },
    ...{ keyUsages: ["digitalSignature"] as const, extendedKeyUsages: [], isAuthority: false },
  };
  return { cert: certificatePem(issueCertificate(request, { key: privateKey })), key: privateKeyPem(privateKey) };
}

it("openKubeletClient() shows the certificate of its files as they change, and never half of a pair", async () => {
  const directory = await mkdtemp(join(tmpdir(), "coracle-kubelet-client-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const [certificateFile, keyFile] = [join(directory, "c.crt"), join(directory, "c.key")];
  const [old, fresh] = [pair(), pair()];
  await writeFile(certificateFile, old.cert);
  await writeFile(keyFile, old.key);
  const clock = new VirtualClock();
  const failed = vi.fn();
  const own = { apiserverKubeletClient: {}, ca: { pem: { certificate: old.cert } } } as unknown as Pki;
  const deps = { clock, logger: { ...silentLogger, error: failed } };
  const client = await openKubeletClient({ certificateFile, keyFile }, own, deps);
  onTestFinished(() => client.stop());
  const replace = async (path: string, contents: string): Promise<void> => {
    await writeFile(`${path}.new`, contents);
    await rename(`${path}.new`, path);
  };
  expect(String(client.access.tls().cert)).toBe(old.cert);
  await replace(certificateFile, fresh.cert);
  await vi.waitFor(async () => {
    await clock.advance(1000);
    expect(failed).toHaveBeenCalled();
  }, 60_000);
  expect(String(client.access.tls().cert)).toBe(old.cert);
  await replace(keyFile, fresh.key);
  await vi.waitFor(async () => {
    await clock.advance(1000);
    expect(client.access.tls()).toMatchObject({ cert: fresh.cert, key: fresh.key });
  }, 60_000);
});
