// The webhooks of flags (audit, reviews) are named by kubeconfigs: where to call, whom to trust, what to present. Credentials in
// files are read again as they age.
import type { Clock } from "../../base/clock.ts";
import { presentCredentials } from "../../client/client-credentials.ts";
import { KubeconfigError, loadKubeconfig } from "../../client/kubeconfig.ts";
import type { WebhookTarget } from "./webhook-client.ts";

/** Reads the file; what it returns gives the target for a call that is made now. Throws KubeconfigError. */
export async function kubeconfigTarget(path: string, clock: Clock): Promise<() => Promise<WebhookTarget>> {
  const connection = await loadKubeconfig({ path });
  const { server, caPem, serverName, insecureSkipVerify, credentials } = connection;
  if (credentials?.kind === "basic") throw new KubeconfigError(`${path}: webhooks take certificates or tokens, not passwords`);
  const present = credentials && presentCredentials(credentials, clock);
  const fixed: WebhookTarget = {
    url: server,
    ...(caPem === undefined ? {} : { caPem }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(insecureSkipVerify ? { insecureSkipVerify } : {}),
  };
  return async () => ({ ...fixed, ...presented(await present?.()) });
}

function presented(found: Awaited<ReturnType<ReturnType<typeof presentCredentials>>> | undefined): Partial<WebhookTarget> {
  const { authorization, cert, key } = found ?? {};
  return {
    ...(authorization === undefined ? {} : { bearerToken: authorization.slice("Bearer ".length) }),
    ...(cert === undefined || key === undefined ? {} : { clientCertificatePem: cert, clientKeyPem: key }),
  };
}
