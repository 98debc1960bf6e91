// The webhooks of flags (audit, reviews) are named by kubeconfigs: where to call, whom to trust, what to present. Credentials in
// files are read again as they age.
import type { Clock } from "../../base/clock.ts";
import { formatDuration } from "../../base/duration.ts";
import { presentCredentials } from "../../client/client-credentials.ts";
import { currentUser, KubeconfigError, loadKubeconfig, readKubeconfig, userCredentials } from "../../client/kubeconfig.ts";
import type { WebhookTarget } from "./webhook-client.ts";
import { callUrl } from "./webhook-target.ts";

const defaultTimeoutMs = 30_000;

export interface KubeconfigTargetOptions {
  /** As long as the client of the webhook waits, which it is told. Default 30 s. */
  readonly timeoutMs?: number;
}

/** Reads the file; what it returns gives the target for a call that is made now. Throws KubeconfigError. */
export async function kubeconfigTarget(
  path: string,
  clock: Clock,
  { timeoutMs = defaultTimeoutMs }: KubeconfigTargetOptions = {},
): Promise<() => Promise<WebhookTarget>> {
  const connection = await loadKubeconfig({ path });
  const { server, caPem, serverName, insecureSkipVerify, credentials } = connection;
  if (credentials?.kind === "basic") throw new KubeconfigError(`${path}: webhooks take certificates or tokens, not passwords`);
  const present = credentials && presentCredentials(credentials, clock);
  const fixed: WebhookTarget = {
    url: callUrl(server, `timeout=${formatDuration(timeoutMs)}`),
    ...(caPem === undefined ? {} : { caPem }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(insecureSkipVerify ? { insecureSkipVerify } : {}),
  };
  return async () => ({ ...fixed, ...presented(await present?.()) });
}

/** Reads the file; what it returns gives the credentials of the user whom `choose` picks, as they are now. Throws KubeconfigError. */
export async function kubeconfigUsers(path: string, clock: Clock): Promise<KubeconfigUsers> {
  const config = await readKubeconfig({ path });
  const known = new Map<string, ReturnType<typeof presentCredentials>>();
  for (const name of config.users.keys()) known.set(name, presentCredentials(await userCredentials(config, name), clock));
  return { names: known, current: currentUser(config), present: async (name) => presented(await known.get(name)?.()) };
}

export interface KubeconfigUsers {
  readonly names: { has(name: string): boolean };
  /** Of the current context. */
  readonly current: string | undefined;
  present(name: string): Promise<Pick<WebhookTarget, "bearerToken" | "clientCertificatePem" | "clientKeyPem">>;
}

function presented(found: Awaited<ReturnType<ReturnType<typeof presentCredentials>>> | undefined): Partial<WebhookTarget> {
  const { authorization, cert, key } = found ?? {};
  return {
    ...(authorization === undefined ? {} : { bearerToken: authorization.slice("Bearer ".length) }),
    ...(cert === undefined || key === undefined ? {} : { clientCertificatePem: cert, clientKeyPem: key }),
  };
}
