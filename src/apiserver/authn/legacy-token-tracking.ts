// kube-system/kube-apiserver-legacy-service-account-token-tracking: since when this cluster's servers note the use of tokens
// that lie in secrets. Whoever cleans them up goes by it. Where it cannot be written (a quota, a policy or a webhook refuses it)
// the server serves all the same, and tries again.
import { isStatus } from "../../api/meta/status-error.ts";
import { parseTime } from "../../api/meta/time.ts";
import { configmaps } from "../../api/resources.generated.ts";
import { backoffDelay } from "../../base/backoff.ts";
import { type Clock, formatTime, type Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";

const place = { namespace: "kube-system", name: "kube-apiserver-legacy-service-account-token-tracking" };

const pauses = { baseMs: 1000, maxMs: 5 * 60_000 };

export interface TokenTrackingDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface TokenTracking extends Running {
  /** Resolves when the map has been seen to once, or that has failed and will be tried again. */
  start(): Promise<void>;
}

export function createTokenTracking({ client, clock, logger }: TokenTrackingDeps): TokenTracking {
  let timer: Timer | undefined;
  let running: Promise<void> | undefined;
  let failures = 0;
  let stopped = false;
  const attempt = async (): Promise<void> => {
    try {
      await ensureTokenTracking(client, clock.now());
    } catch (error) {
      if (stopped) return;
      logger.warn("Config map not written", { object: `${place.namespace}/${place.name}`, error: errorText(error) });
      timer = clock.after(backoffDelay(failures++, pauses, clock.random()), () => {
        running = attempt();
      });
    }
  };
  return {
    start: () => (running = attempt()),
    async stop() {
      stopped = true;
      timer?.cancel();
      await running;
    },
  };
}

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
