// Clients with the identities of service accounts in kube-system, one for each controller (--use-service-account-credentials):
// each may do no more than its role allows. Accounts are made where they are missing; their tokens, good for an hour, are
// asked of the API server and renewed when four fifths of their time have passed.
import { isStatus } from "../../api/meta/status-error.ts";
import { serviceaccounts } from "../../api/resources.generated.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import { createClient } from "../../client/create-client.ts";
import { createHttpsTransport, type HttpsTransportOptions } from "../../client/https-transport.ts";
import type { Transport } from "../../client/transport.ts";

const namespace = "kube-system";
const expirationSeconds = 3600;
const renewAfter = 0.8;

export interface ServiceAccountClientsDeps {
  /** May make service accounts and their tokens. */
  readonly client: Client;
  readonly clock: Clock;
  /** How the server is reached; its credentials are not used. */
  readonly connection: HttpsTransportOptions;
}

export interface ServiceAccountClients {
  clientFor(account: string): Client;
  close(): Promise<void>;
}

export function createServiceAccountClients({ client, clock, connection }: ServiceAccountClientsDeps): ServiceAccountClients {
  const { impersonate: _, ...server } = connection;
  const transports = new Map<string, Transport>();
  return {
    clientFor(account) {
      let transport = transports.get(account);
      if (!transport) {
        const credentials = { kind: "tokenSource" as const, token: tokenSource({ client, clock }, account) };
        transport = createHttpsTransport({ ...server, clock, credentials, maxConnections: 8 });
        transports.set(account, transport);
      }
      return createClient(transport);
    },
    async close() {
      await Promise.all([...transports.values()].map((transport) => transport.close()));
    },
  };
}

/** The account's token; calls made while it is being renewed share one request, and a failure keeps a token that is still good. */
export function tokenSource(deps: { readonly client: Client; readonly clock: Clock }, account: string): () => Promise<string> {
  const { clock } = deps;
  let current: { readonly token: string; readonly renewAtMs: number; readonly expiresAtMs: number } | undefined;
  let pending: Promise<string> | undefined;
  const renew = async (): Promise<string> => {
    const askedAtMs = clock.monotonic();
    try {
      const token = await requestToken(deps.client, account);
      const lifetimeMs = expirationSeconds * 1000;
      current = { token, renewAtMs: askedAtMs + lifetimeMs * renewAfter, expiresAtMs: askedAtMs + lifetimeMs };
      return token;
    } catch (error) {
      if (current && clock.monotonic() < current.expiresAtMs) return current.token;
      throw error;
    } finally {
      pending = undefined;
    }
  };
  return () => {
    if (current && clock.monotonic() < current.renewAtMs) return Promise.resolve(current.token);
    pending ??= renew();
    return pending;
  };
}

async function requestToken(client: Client, name: string): Promise<string> {
  const request = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds } };
  const ask = (): Promise<{ readonly status?: { readonly token?: string } }> =>
    client.createSubresource(serviceaccounts, { namespace, name, subresource: "token" }, request);
  const answer = await ask().catch(async (error: unknown) => {
    if (!isStatus(error, "NotFound")) throw error;
    await makeAccount(client, name);
    return ask();
  });
  if (!answer.status?.token) throw new Error(`the answer to a token request for ${namespace}/${name} has no token`);
  return answer.status.token;
}

async function makeAccount(client: Client, name: string): Promise<void> {
  try {
    await client.create(serviceaccounts, { metadata: { namespace, name } });
  } catch (error) {
    if (!isStatus(error, "AlreadyExists")) throw error;
  }
}
