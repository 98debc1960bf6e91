// kube-system/kube-apiserver-legacy-service-account-token-tracking: since when this cluster's servers note the use of tokens
// that lie in secrets. Whoever cleans them up goes by it, so it is kept: a date that is none is mended at once, a map that
// somebody deletes is made anew, though not more often than every half hour. Where it cannot be written (a quota, a policy or a
// webhook refuses it) the server serves all the same, and tries again.
import { isStatus } from "../../api/meta/status-error.ts";
import { parseTime } from "../../api/meta/time.ts";
import { configmaps } from "../../api/resources.generated.ts";
import type { ConfigMap } from "../../api/types/core-v1.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import { KeyedQueue, type KeyOutcome } from "../../base/keyed-queue.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionReader } from "../admission/admission.ts";

const place = { namespace: "kube-system", name: "kube-apiserver-legacy-service-account-token-tracking" };
const key = `${place.namespace}/${place.name}`;
const backoff = { baseMs: 1000, maxMs: 5 * 60_000 };
const creationPeriodMs = 30 * 60_000;

export interface TokenTrackingDeps {
  readonly client: Pick<Client, "create" | "update">;
  readonly reader: AdmissionReader;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface TokenTracking extends Running {
  /** Resolves when the map has been seen to once, or that has failed and will be tried again. */
  start(): Promise<void>;
}

export function createTokenTracking(deps: TokenTrackingDeps): TokenTracking {
  const { reader, clock, logger } = deps;
  let handler: { remove(): void } | undefined;
  let seenTo = (): void => undefined;
  let mayCreateAtMs = 0;
  const sync = async (signal: AbortSignal): Promise<KeyOutcome> => {
    const existing = reader.informer(configmaps).get(key);
    if (existing) {
      await mend(deps, existing, signal);
      return { kind: "done" };
    }
    const delayMs = mayCreateAtMs - clock.monotonic();
    if (delayMs > 0) return { kind: "after", delayMs };
    await create(deps, signal);
    mayCreateAtMs = clock.monotonic() + creationPeriodMs;
    return { kind: "done" };
  };
  const work = async (_key: string, signal: AbortSignal): Promise<KeyOutcome> => {
    try {
      return await sync(signal);
    } catch (error) {
      if (!signal.aborted) logger.warn("Config map not written", { object: key, error });
      return { kind: "retry" };
    } finally {
      seenTo();
    }
  };
  const queue = new KeyedQueue<string>({ clock, backoff, work });
  return {
    async start() {
      const informer = reader.informer(configmaps);
      await informer.synced();
      const first = new Promise<void>((resolve) => (seenTo = resolve));
      const changed = ({ metadata }: ConfigMap): void => {
        if (metadata.name === place.name && metadata.namespace === place.namespace) queue.add(key);
      };
      handler = informer.addHandler({ onAdd: changed, onUpdate: changed, onDelete: changed });
      queue.add(key);
      queue.start();
      await first;
    },
    async stop() {
      handler?.remove();
      await queue.stop();
      seenTo();
    },
  };
}

const dateOf = (nowMs: number): string => formatTime(nowMs).slice(0, 10);

async function create({ client, clock }: TokenTrackingDeps, signal: AbortSignal): Promise<void> {
  try {
    await client.create(configmaps, { metadata: place, data: { since: dateOf(clock.now()) } }, { signal });
  } catch (error) {
    // Another server has come first.
    if (!isStatus(error, "AlreadyExists")) throw error;
  }
}

async function mend({ client, clock }: TokenTrackingDeps, existing: ConfigMap, signal: AbortSignal): Promise<void> {
  if (isDate(existing.data?.since)) return;
  try {
    await client.update(configmaps, { ...existing, data: { ...existing.data, since: dateOf(clock.now()) } }, { signal });
  } catch (error) {
    // It has changed meanwhile: its event brings it here again.
    if (!isStatus(error, "NotFound", "Conflict")) throw error;
  }
}

const isDate = (text: string | undefined): boolean =>
  text !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(text) && parseTime(`${text}T00:00:00Z`) !== undefined;
