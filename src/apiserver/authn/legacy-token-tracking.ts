// kube-system/kube-apiserver-legacy-service-account-token-tracking: since when this cluster's servers note the use of tokens
// that lie in secrets. Whoever cleans them up goes by it.
import { isStatus } from "../../api/meta/status-error.ts";
import { parseTime } from "../../api/meta/time.ts";
import { configmaps } from "../../api/resources.generated.ts";
import { formatTime } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";

const place = { namespace: "kube-system", name: "kube-apiserver-legacy-service-account-token-tracking" };

/** Makes the map where there is none, and mends a date that is none. */
export async function ensureTokenTracking(client: Client, nowMs: number): Promise<void> {
  const data = { since: formatTime(nowMs).slice(0, 10) };
  try {
    const found = await client.get(configmaps, place);
    if (isDate(found.data?.since)) return;
    await client.update(configmaps, { ...found, data: { ...found.data, ...data } });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
    await client.create(configmaps, { metadata: place, data }).catch((refusal: unknown) => {
      // Another server has come first.
      if (!isStatus(refusal, "AlreadyExists")) throw refusal;
    });
  }
}

const isDate = (text: string | undefined): boolean =>
  text !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(text) && parseTime(`${text}T00:00:00Z`) !== undefined;
