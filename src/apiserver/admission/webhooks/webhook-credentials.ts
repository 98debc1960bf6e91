// Who the server is to a webhook: the users of a kubeconfig, named after the hosts they are for ("hook.ns.svc", "*.example.com:8443",
// "*"), as upstream looks them up.
import type { WebhookTarget } from "../../webhook/webhook-client.ts";

export type Credentials = Pick<WebhookTarget, "bearerToken" | "clientCertificatePem" | "clientKeyPem">;

/** What is presented to "host:port"; undefined for nothing. */
export type CredentialsFor = (hostPort: string) => Promise<Credentials | undefined>;

/** The name among these that is for "host:port". */
export function userFor(hostPort: string, names: { has(name: string): boolean }, fallback?: string): string | undefined {
  const host = hostPort.endsWith(":443") ? [hostPort.slice(0, -":443".length)] : [];
  for (const target of [hostPort, ...host]) {
    const steps = target.split(".");
    const candidates = [target, ...steps.slice(1).map((_, i) => `*.${steps.slice(i + 1).join(".")}`)];
    const found = candidates.find((name) => names.has(name));
    if (found !== undefined) return found;
  }
  return names.has("*") ? "*" : fallback;
}
