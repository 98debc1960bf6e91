// How commands that run against an API server somewhere else reach it: by kubeconfig, or inside a pod by its service account.
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import { createClient } from "../../client/create-client.ts";
import { createHttpsTransport, type HttpsTransportOptions } from "../../client/https-transport.ts";
import { inClusterConnection, KubeconfigError, loadKubeconfig } from "../../client/kubeconfig.ts";
import { CommandError } from "../command-error.ts";

export interface ClusterClient {
  readonly client: Client;
  /** How it was reached, for clients with other credentials. */
  readonly connection: HttpsTransportOptions;
  /** "https://10.0.0.1:6443". */
  readonly server: string;
  close(): Promise<void>;
}

export interface ConnectOptions {
  /** Default: $KUBECONFIG, ~/.kube/config, or the service account of the pod this runs in. */
  readonly kubeconfig?: string | undefined;
  readonly clock: Clock;
  readonly userAgent?: string;
  /** Instead of the kubeconfig's. */
  readonly server?: string;
}

export async function connectToCluster(given: ConnectOptions): Promise<ClusterClient> {
  const { clock, kubeconfig, userAgent } = given;
  try {
    const inPod = kubeconfig === undefined && process.env.KUBECONFIG === undefined ? await inClusterConnection() : undefined;
    const connection = inPod ?? (await loadKubeconfig(kubeconfig === undefined ? {} : { path: kubeconfig }));
    const options: HttpsTransportOptions = {
      ...connection,
      clock,
      ...(userAgent ? { userAgent } : {}),
      ...(given.server ? { server: given.server } : {}),
    };
    const transport = createHttpsTransport(options);
    return { client: createClient(transport), connection: options, server: options.server, close: () => transport.close() };
  } catch (error) {
    if (error instanceof KubeconfigError) throw kubeconfigFault(error, kubeconfig);
    throw error;
  }
}

/** Names the flag that gave the file, or would give another. */
export function kubeconfigFault(error: KubeconfigError, path: string | undefined): CommandError {
  const { message, cause } = error;
  if (path !== undefined) return new CommandError(`--kubeconfig: ${message}`, { cause });
  const which = process.env.KUBECONFIG
    ? "KUBECONFIG names this file; --kubeconfig names another"
    : "--kubeconfig or KUBECONFIG names another file";
  return new CommandError(`${message} (${which})`, { cause });
}
