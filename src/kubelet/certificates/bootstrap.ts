// TLS bootstrap: with the credentials of a bootstrap kubeconfig (a bootstrap token) the node asks for its client certificate,
// keeps it under <cert-dir>/kubelet-client-current.pem, and writes the kubeconfig that points there. Where a kubeconfig
// with a certificate that has not expired is there, nothing happens.
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import { certificateFromPem, generateKey, privateKeyPem } from "../../base/x509/certificate.ts";
import type { Client } from "../../client/client.ts";
import { createClient } from "../../client/create-client.ts";
import { createHttpsTransport } from "../../client/https-transport.ts";
import { type ClusterConnection, KubeconfigError, loadKubeconfig } from "../../client/kubeconfig.ts";
import { clientCertificateOptions } from "./certificate-manager.ts";
import { CertificateStore } from "./certificate-store.ts";
import { requestCertificate, requestName } from "./signing-request.ts";

export interface BootstrapOptions {
  readonly nodeName: string;
  /** --kubeconfig: written. */
  readonly kubeconfig: string;
  /** How to reach the cluster before there is a certificate. */
  readonly bootstrap: ClusterConnection;
  /** <root>/pki. */
  readonly certDirectory: string;
  readonly signal: AbortSignal;
  /** Until the certificate is issued. Default an hour, as upstream. */
  readonly timeoutMs?: number;
}

const hourMs = 3_600_000;
/** Keeps the key of a request that has not been answered, so that the next start waits for the same one. */
const pendingKeyFile = "kubelet-client.key.tmp";

/** True where a certificate was asked for. Throws what the client throws, and CertificateRefusedError. */
export async function bootstrapClientCertificate(
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  options: BootstrapOptions,
): Promise<boolean> {
  const { kubeconfig, bootstrap, certDirectory, nodeName, signal } = options;
  if (await hasClientCertificate(kubeconfig, { clock, logger })) return false;
  const store = new CertificateStore(certDirectory, "kubelet-client", clock);
  await mkdir(certDirectory, { recursive: true, mode: 0o700 });
  const pendingPath = join(certDirectory, pendingKeyFile);
  const keys = await keyPair(pendingPath);
  const transport = createHttpsTransport({ ...bootstrap, clock, userAgent: "kubelet" });
  try {
    const client: Client = createClient(transport);
    const wanted = { ...clientCertificateOptions(nodeName), keys };
    const name = requestName(wanted);
    const certPem = await requestCertificate({ client, clock }, { ...wanted, name }, { signal, timeoutMs: options.timeoutMs ?? hourMs });
    await store.update(certPem, privateKeyPem(keys.privateKey));
  } finally {
    await transport.close();
  }
  await rm(pendingPath, { force: true });
  await writeNodeKubeconfig(kubeconfig, bootstrap, store.currentPath);
  return true;
}

async function keyPair(path: string): Promise<{ readonly privateKey: KeyObject; readonly publicKey: KeyObject }> {
  try {
    const privateKey = createPrivateKey(await readFile(path, "utf8"));
    return { privateKey, publicKey: createPublicKey(privateKey) };
  } catch {
    const keys = generateKey();
    await writeFile(path, privateKeyPem(keys.privateKey), { mode: 0o600 });
    return keys;
  }
}

/** Whether the kubeconfig is there and its certificate has not expired. */
export async function hasClientCertificate(
  path: string,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<boolean> {
  try {
    const { credentials } = await loadKubeconfig({ path });
    const pem =
      credentials?.kind === "certificateFiles"
        ? await readFile(credentials.certFile, "utf8")
        : credentials?.kind === "certificate"
          ? credentials.certPem
          : undefined;
    return pem !== undefined && certificateFromPem(pem).notAfterMs > clock.now();
  } catch (error) {
    if (!(error instanceof KubeconfigError && isMissing(error)))
      logger.info("The kubeconfig cannot be used, bootstrapping", { path, error });
    return false;
  }
}

const isMissing = ({ cause }: KubeconfigError): boolean => (cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";

/** A kubeconfig whose user has its certificate and key in a file that changes. */
async function writeNodeKubeconfig(path: string, { server, caPem }: ClusterConnection, pemPath: string): Promise<void> {
  const q = JSON.stringify;
  const authority = caPem === undefined ? "" : `    certificate-authority-data: ${Buffer.from(caPem).toString("base64")}\n`;
  const text = `apiVersion: v1
kind: Config
clusters:
- name: default-cluster
  cluster:
    server: ${q(server)}
${authority}users:
- name: default-auth
  user:
    client-certificate: ${q(pemPath)}
    client-key: ${q(pemPath)}
contexts:
- name: default-context
  context:
    cluster: default-cluster
    namespace: default
    user: default-auth
current-context: default-context
preferences: {}
`;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text, { mode: 0o600 });
}
