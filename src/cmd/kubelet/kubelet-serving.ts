// The certificates of the kubelet's server: those of files (followed as they change), those the API server signs
// (serverTLSBootstrap, rotated), or one the node signs itself. Until the API server has signed the first one the node's own
// is served.
import { readFile } from "node:fs/promises";
import type { Clock } from "../../base/clock.ts";
import { followFiles } from "../../base/followed-files.ts";
import { StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { CertificateManager, type CertificateNames, servingCertificateOptions } from "../../kubelet/certificates/certificate-manager.ts";
import { CertificateStore } from "../../kubelet/certificates/certificate-store.ts";
import { selfSignedServing } from "../../kubelet/certificates/serving-certificate.ts";
import type { KubeletConfiguration } from "../../kubelet/configuration/kubelet-configuration.ts";
import type { KubeletServerOptions, ServerCertificates } from "../../kubelet/server/server.ts";
import { CommandError } from "../command-error.ts";

export interface KubeletServingDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface KubeletServingOptions {
  readonly configuration: KubeletConfiguration;
  readonly nodeName: string;
  readonly names: CertificateNames;
  /** <root>/pki. */
  readonly certDirectory: string;
  /** Where no file of the configuration has one. */
  readonly clientCa?: string;
}

export async function kubeletCertificates(
  { client, clock, logger }: KubeletServingDeps,
  { configuration, nodeName, names, certDirectory, clientCa }: KubeletServingOptions,
): Promise<ServerCertificates & Pick<KubeletServerOptions, "follow">> {
  const { tlsCertFile, tlsPrivateKeyFile, serverTLSBootstrap } = configuration;
  const { clientCAFile } = configuration.authentication.x509;
  const fromFiles = tlsCertFile !== "";
  const bootstrapped = !fromFiles && serverTLSBootstrap;
  const store = new CertificateStore(certDirectory, "kubelet-server", clock);
  const pair = fromFiles
    ? { cert: await read("tlsCertFile", tlsCertFile), key: await read("tlsPrivateKeyFile", tlsPrivateKeyFile) }
    : await ownPair(bootstrapped ? store : undefined, { certDirectory, names, clock });
  const authority = clientCAFile === "" ? clientCa : await read("authentication.x509.clientCAFile", clientCAFile);
  let current: ServerCertificates = { ...pair, ...(authority === undefined ? {} : { clientCa: authority }) };
  return {
    ...current,
    async follow(use) {
      const stack = new StopStack();
      const change = (part: Partial<ServerCertificates>): void => {
        const next = { ...current, ...part };
        use(next);
        current = next;
        logger.info("Certificates of the server changed");
      };
      const failed = (error: unknown): void => logger.error("Certificates not reloaded, the old ones stay", { error });
      if (fromFiles) {
        const files = [
          { path: tlsCertFile, contents: pair.cert },
          { path: tlsPrivateKeyFile, contents: pair.key },
        ];
        stack.add(followFiles(files, { clock, failed, changed: ([cert = "", key = ""]) => change({ cert, key }) }));
      }
      if (clientCAFile !== "" && authority !== undefined)
        stack.add(
          followFiles([{ path: clientCAFile, contents: authority }], { clock, failed, changed: ([pem = ""]) => change({ clientCa: pem }) }),
        );
      if (bootstrapped) {
        const onChange = ({ certPem, keyPem }: { readonly certPem: string; readonly keyPem: string }): void =>
          change({ cert: certPem, key: keyPem });
        const options = { ...servingCertificateOptions(nodeName), names: () => names, onChange };
        const manager = stack.add(new CertificateManager({ client, clock, logger, store }, options));
        await manager.start();
      }
      return stack;
    },
  };
}

interface OwnPair {
  readonly certDirectory: string;
  readonly names: CertificateNames;
  readonly clock: Clock;
}

async function ownPair(store: CertificateStore | undefined, { certDirectory, names, clock }: OwnPair): Promise<ServerCertificates> {
  const issued = await store?.current();
  if (issued && issued.certificate.notAfterMs > clock.now()) return { cert: issued.certPem, key: issued.keyPem };
  return selfSignedServing(certDirectory, [...names.dnsNames, ...names.ipAddresses], clock);
}

async function read(field: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new CommandError(`${field} ${path}`, { cause: error });
  }
}
