// Sends audit events to a webhook as an EventList, and tries again with growing pauses whatever it was that went wrong: a wrong
// certificate or a refusal may be mended meanwhile, and events are not to be lost over it.
import { backoffDelay } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import type { WebhookClient, WebhookTarget } from "../webhook/webhook-client.ts";
import { WebhookError } from "../webhook/webhook-error.ts";
import type { AuditBackend } from "./audit-backend.ts";

export interface AuditWebhookDeps {
  readonly client: WebhookClient;
  /** Where to, with the credentials of now. */
  readonly target: () => Promise<WebhookTarget>;
  readonly clock: Clock;
}

export interface AuditWebhookOptions {
  /** Pause before the second attempt. Default 10 s. */
  readonly initialBackoffMs?: number;
}

const attempts = 5;
const timeoutMs = 30_000;

export function createAuditWebhook({ client, target, clock }: AuditWebhookDeps, options: AuditWebhookOptions = {}): AuditBackend {
  const pauses = { baseMs: options.initialBackoffMs ?? 10_000, maxMs: 5 * 60_000, factor: 1.5, jitter: 0.2 };
  const stopped = new AbortController();
  return {
    async write(events) {
      // What is in a list does not say what it is.
      const items = events.map(({ kind: _kind, apiVersion: _version, ...event }) => event);
      const body = { kind: "EventList", apiVersion: "audit.k8s.io/v1", metadata: {}, items };
      for (let failures = 0; ; failures++) {
        try {
          await client.post(await target(), { body, timeoutMs });
          return;
        } catch (error) {
          // It has the events: what it answers besides is of no interest.
          if (error instanceof WebhookError && error.failure === "answer") return;
          if (failures + 1 >= attempts || stopped.signal.aborted) throw error;
          await clock.sleep(backoffDelay(failures, pauses, clock.random()), stopped.signal).catch(() => undefined);
        }
      }
    },
    async stop() {
      stopped.abort();
      await client.stop();
    },
  };
}
