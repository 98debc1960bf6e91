// How commands that run against an API server somewhere else reach it: by kubeconfig, or inside a pod by its service account.
import type { Clock } from "../base/clock.ts";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create-client.ts";
import { createHttpsTransport } from "../client/https-transport.ts";
import { inClusterConnection, KubeconfigError, loadKubeconfig } from "../client/kubeconfig.ts";
import { CommandError } from "./command-error.ts";

export interface ClusterClient {
  readonly client: Client;
  /** "https://10.0.0.1:6443". */
  readonly server: string;
  close(): Promise<void>;
}

export interface ConnectOptions {
  /** Default: $KUBECONFIG, ~/.kube/config, or the service account of the pod this runs in. */
  readonly kubeconfig?: string | undefined;
  readonly clock: Clock;
  readonly userAgent?: string;
}

export async function connectToCluster(options: ConnectOptions): Promise<ClusterClient> {
  const { clock, kubeconfig, userAgent } = options;
  try {
    const inPod = kubeconfig === undefined && process.env.KUBECONFIG === undefined ? await inClusterConnection() : undefined;
    const connection = inPod ?? (await loadKubeconfig(kubeconfig === undefined ? {} : { path: kubeconfig }));
    const transport = createHttpsTransport({ ...connection, clock, ...(userAgent ? { userAgent } : {}) });
    return { client: createClient(transport), server: connection.server, close: () => transport.close() };
  } catch (error) {
    if (error instanceof KubeconfigError) throw new CommandError(error.message, { cause: error.cause });
    throw error;
  }
}
