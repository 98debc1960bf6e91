// legacy-serviceaccount-token-cleaner-controller: once a day looks for tokens of service accounts that lie in secrets, were made
// for the account by the cluster, and have not been used for a year. They are marked invalid first, and deleted when they have
// been invalid, unused, for as long again. Nothing is touched before use has been tracked for so long.
import { isStatus } from "../api/meta/status-error.ts";
import { parseTime } from "../api/meta/time.ts";
import { configmaps, pods, secrets, serviceaccounts } from "../api/resources.generated.ts";
import { podReferences } from "../api/semantics/pod-references.ts";
import type { Pod, Secret, ServiceAccount } from "../api/types/core-v1.ts";
import { formatTime } from "../base/clock.ts";
import type { Controller, ControllerContext } from "./controller.ts";

const tokenType = "kubernetes.io/service-account-token";
const lastUsedLabel = "kubernetes.io/legacy-token-last-used";
const invalidSinceLabel = "kubernetes.io/legacy-token-invalid-since";
const trackingConfigMap = { namespace: "kube-system", name: "kube-apiserver-legacy-service-account-token-tracking" };
const dayMs = 24 * 3_600_000;
const defaultCleanUpPeriodMs = 365 * dayMs;

/** "2026-11-29". */
const dateOf = (ms: number): string => formatTime(ms).slice(0, 10);
const isDate = (text: string | undefined): text is string =>
  text !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(dateMs(text));
const dateMs = (date: string): number => parseTime(`${date}T00:00:00Z`) ?? Number.NaN;

export type TokenFate = "keep" | "invalidate" | "delete";

/** What is to become of a token that no pod mounts and that was made by the cluster. */
export function tokenFate({ metadata }: Secret, { nowMs, periodMs }: { readonly nowMs: number; readonly periodMs: number }): TokenFate {
  const sinceMs = nowMs - periodMs;
  if ((parseTime(metadata.creationTimestamp ?? "") ?? nowMs) >= sinceMs || metadata.deletionTimestamp !== undefined) return "keep";
  const lastUsed = metadata.labels?.[lastUsedLabel];
  // A date that cannot be read says nothing about use.
  if (lastUsed !== undefined && (!isDate(lastUsed) || lastUsed >= dateOf(sinceMs))) return "keep";
  const invalidSince = metadata.labels?.[invalidSinceLabel];
  if (!isDate(invalidSince)) return "invalidate";
  return invalidSince >= dateOf(sinceMs) ? "keep" : "delete";
}

export const legacyTokenCleaner: Controller = {
  name: "legacy-serviceaccount-token-cleaner-controller",
  serviceAccount: "legacy-service-account-token-cleaner",
  workers: 1,
  create(context) {
    const secretInformer = context.informers.informer(secrets, { fieldSelector: `type=${tokenType}` });
    const accountInformer = context.informers.informer(serviceaccounts);
    const podInformer = context.informers.informer(pods);
    const periodMs = context.options.legacyTokenCleanUpPeriodMs ?? defaultCleanUpPeriodMs;
    context.enqueue("tokens");
    return {
      watches: [],
      async reconcile(_key, { signal }) {
        const nowMs = context.clock.now();
        const trackedSinceMs = await trackedSince(context, signal);
        if (trackedSinceMs === undefined || nowMs < trackedSinceMs + periodMs) return { requeueAfterMs: dayMs };
        for (const secret of secretInformer.list()) {
          const fate = tokenFate(secret, { nowMs, periodMs });
          if (fate === "keep" || !isMadeByCluster(secret, accountInformer.get(accountKey(secret)))) continue;
          if (isMounted(secret, podInformer.inNamespace(secret.metadata.namespace))) continue;
          await carryOut(context, secret, { fate, signal });
        }
        return { requeueAfterMs: dayMs };
      },
    };
  },
};

const accountKey = ({ metadata }: Secret): string =>
  `${metadata.namespace}/${metadata.annotations?.["kubernetes.io/service-account.name"] ?? ""}`;

/** Only those that the account lists were made for it; others were asked for by somebody. */
function isMadeByCluster({ metadata }: Secret, account: ServiceAccount | undefined): boolean {
  const uid = metadata.annotations?.["kubernetes.io/service-account.uid"];
  if (!account || (uid && uid !== account.metadata.uid)) return false;
  return account.secrets?.some(({ name }) => name === metadata.name) ?? false;
}

const isMounted = ({ metadata }: Secret, inNamespace: readonly Pod[]): boolean =>
  inNamespace.some((pod) => podReferences(pod).secrets.has(metadata.name));

/** The midnight after the day on which the API server began to note the use of tokens. */
async function trackedSince({ client, logger }: ControllerContext, signal: AbortSignal): Promise<number | undefined> {
  try {
    const map = await client.get(configmaps, trackingConfigMap, { signal });
    const since = map.data?.since;
    if (isDate(since)) return dateMs(since) + dayMs;
    logger.warn("The use of legacy tokens is not tracked: no date in the config map", { since });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
  }
  return undefined;
}

async function carryOut(
  { client, clock, logger }: ControllerContext,
  { metadata }: Secret,
  { fate, signal }: { readonly fate: TokenFate; readonly signal: AbortSignal },
): Promise<void> {
  const { namespace, name, uid, resourceVersion } = metadata;
  try {
    if (fate === "invalidate") {
      const labels = { [invalidSinceLabel]: dateOf(clock.now()) };
      await client.patch(secrets, { namespace, name }, { metadata: { uid, labels } }, { type: "merge", signal });
    } else await client.delete(secrets, { namespace, name }, { signal, body: { preconditions: { resourceVersion } } });
    logger.info(`A legacy token was ${fate === "delete" ? "deleted" : "marked invalid"}`, { secret: `${namespace}/${name}` });
  } catch (error) {
    if (!isStatus(error, "NotFound", "Conflict")) throw error;
  }
}
