// The API server's client of a node that is a process of its own: bootstrapped where there is no kubeconfig yet, and, with
// rotateCertificates, under a certificate that is replaced before it expires.

import { readFile } from "node:fs/promises";
import type { Clock } from "../../base/clock.ts";
import { StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { createClient } from "../../client/create-client.ts";
import { createHttpsTransport } from "../../client/https-transport.ts";
import { type ClusterConnection, KubeconfigError, loadKubeconfig } from "../../client/kubeconfig.ts";
import { CertificateManager, clientCertificateOptions } from "../../kubelet/certificates/certificate-manager.ts";
import {
  CertificateStore,
  parsePair,
  type StoredCertificate,
  UnusableCertificateError,
} from "../../kubelet/certificates/certificate-store.ts";
import { CommandError } from "../command-error.ts";
import { kubeconfigFault } from "../component/connect.ts";

export interface NodeClient {
  readonly client: Client;
  /** "https://10.0.0.1:6443". */
  readonly server: string;
  /** PEM of the authority of the server; undefined where the kubeconfig has none. */
  readonly caPem: string | undefined;
  stop(): Promise<void>;
}

export interface NodeClientOptions {
  /** Default $KUBECONFIG, ~/.kube/config. */
  readonly kubeconfig?: string | undefined;
  readonly nodeName: string;
  /** <root>/pki. */
  readonly certDirectory: string;
  readonly rotate: boolean;
}

interface Deps {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Asks for the client certificate and writes the kubeconfig where that is needed. Throws CommandError. */
export async function bootstrapNode(
  deps: Deps,
  options: {
    readonly kubeconfig: string;
    readonly bootstrap: ClusterConnection;
    readonly nodeName: string;
    readonly certDirectory: string;
  },
  signal: AbortSignal,
): Promise<boolean> {
  const { bootstrapClientCertificate } = await import("../../kubelet/certificates/bootstrap.ts");
  return bootstrapClientCertificate(deps, { ...options, signal });
}

export async function connectAsNode({ clock, logger }: Deps, options: NodeClientOptions): Promise<NodeClient> {
  const { kubeconfig, nodeName, certDirectory, rotate } = options;
  const stack = new StopStack();
  const connection = await loadConnection(kubeconfig);
  const base = { ...connection, clock, userAgent: "kubelet" };
  const initial = rotate ? await presented(connection) : undefined;
  if (!initial) {
    const transport = createHttpsTransport(base);
    stack.defer(() => transport.close());
    return { client: createClient(transport), server: connection.server, caPem: connection.caPem, stop: () => stack.stop() };
  }
  const certificate = (): { readonly certPem: string; readonly keyPem: string } => manager.current ?? initial;
  const transport = createHttpsTransport({ ...base, credentials: { kind: "certificateSource", certificate } });
  stack.defer(() => transport.close());
  const client = createClient(transport);
  const store = new CertificateStore(certDirectory, "kubelet-client", clock);
  const manager: CertificateManager = stack.add(
    new CertificateManager({ client, clock, logger, store }, { ...clientCertificateOptions(nodeName), onChange: () => undefined }),
  );
  await manager.start();
  return { client, server: connection.server, caPem: connection.caPem, stop: () => stack.stop() };
}

export async function loadConnection(path: string | undefined): Promise<ClusterConnection> {
  try {
    return await loadKubeconfig(path === undefined ? {} : { path });
  } catch (error) {
    if (error instanceof KubeconfigError) throw kubeconfigFault(error, path);
    throw error;
  }
}

/** The certificate of a kubeconfig; undefined where it has none, as with a token: that is not rotated here. */
async function presented({ credentials }: ClusterConnection): Promise<StoredCertificate | undefined> {
  try {
    if (credentials?.kind === "certificate") return parsePair(`${credentials.certPem}\n${credentials.keyPem}`);
    if (credentials?.kind !== "certificateFiles") return undefined;
    return parsePair(`${await readFile(credentials.certFile, "utf8")}\n${await readFile(credentials.keyFile, "utf8")}`);
  } catch (error) {
    if (error instanceof UnusableCertificateError) throw new CommandError(`the client certificate of the kubeconfig: ${error.message}`);
    throw error;
  }
}
