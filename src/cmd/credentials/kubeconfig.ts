// Writes kubeconfig files for the cluster's own identities: one cluster, one user with embedded certificates or the names of their
// files, one context.

import { writeFileAtomically } from "../atomic-file.ts";
import type { CertificateFiles, PemPair } from "./pki.ts";

export interface KubeconfigOptions {
  /** "https://127.0.0.1:6443". */
  readonly server: string;
  /** The name in the server's certificate, where it is reached by another one. */
  readonly serverName?: string;
  /** PEM of the authority that signed the server's certificate. */
  readonly authority: string;
  /** Files may be renewed while they are in use. */
  readonly credentials: PemPair | CertificateFiles;
  /** Name of the user entry: "kubernetes-admin", "system:node:n1". */
  readonly user: string;
  /** Name of the cluster entry. Default "kubernetes". */
  readonly cluster?: string;
}

/** The text of a kubeconfig. Strings are quoted as JSON, which YAML reads alike. */
export function kubeconfigText(options: KubeconfigOptions): string {
  const cluster = options.cluster ?? "kubernetes";
  const context = `${options.user}@${cluster}`;
  const q = JSON.stringify;
  const base64 = (pem: string): string => Buffer.from(pem).toString("base64");
  const { credentials: given } = options;
  const [certificate, key] =
    "certificate" in given
      ? [`client-certificate-data: ${base64(given.certificate)}`, `client-key-data: ${base64(given.key)}`]
      : [`client-certificate: ${q(given.certFile)}`, `client-key: ${q(given.keyFile)}`];
  const credentials = `${certificate}\n    ${key}`;
  return `apiVersion: v1
kind: Config
clusters:
- name: ${q(cluster)}
  cluster:
    server: ${q(options.server)}${options.serverName === undefined ? "" : `\n    tls-server-name: ${q(options.serverName)}`}
    certificate-authority-data: ${base64(options.authority)}
users:
- name: ${q(options.user)}
  user:
    ${credentials}
contexts:
- name: ${q(context)}
  context:
    cluster: ${q(cluster)}
    user: ${q(options.user)}
current-context: ${q(context)}
preferences: {}
`;
}

/** Writes it with mode 0600, atomically. */
export function writeKubeconfig(path: string, options: KubeconfigOptions): Promise<void> {
  return writeFileAtomically(path, kubeconfigText(options));
}
