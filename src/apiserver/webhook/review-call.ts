// A call that asks somebody else for a review (of a token, of access, of images): sent again after a pause when the failure is one that
// passes, as upstream does: a broken connection, 429, the server's own errors but 503, or an answer that says when to come back.
import type { Clock } from "../../base/clock.ts";
import type { WebhookClient, WebhookTarget } from "./webhook-client.ts";
import { WebhookError } from "./webhook-error.ts";

export interface ReviewCaller {
  readonly client: WebhookClient;
  /** Where to call, and what to present now. */
  readonly target: () => Promise<WebhookTarget>;
  readonly clock: Clock;
}

export interface ReviewCallOptions {
  /** Of each attempt. */
  readonly timeoutMs: number;
  /** Before the second attempt. Default 500. */
  readonly firstPauseMs?: number;
  readonly signal?: AbortSignal;
}

const attempts = 5;
const usualFirstPauseMs = 500;
const factor = 1.5;
const jitter = 0.2;
/** However long an answer asks to wait. */
const longestPauseMs = 10_000;

/** Throws what was wrong with the last attempt. */
export async function callForReview(
  { client, target, clock }: ReviewCaller,
  body: object,
  { timeoutMs, firstPauseMs = usualFirstPauseMs, signal }: ReviewCallOptions,
): Promise<unknown> {
  let pauseMs = firstPauseMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.post(await target(), { body, timeoutMs, ...(signal ? { signal } : {}) });
    } catch (error) {
      if (!(error instanceof WebhookError) || attempt === attempts || signal?.aborted || !passes(error)) throw error;
      const askedMs = Math.min(longestPauseMs, (error.retryAfterSeconds ?? 0) * 1000);
      await clock.sleep(Math.max(askedMs, pauseMs * (1 + jitter * clock.random())), signal);
      pauseMs *= factor;
    }
  }
}

const passing = new Set(["InternalError", "Timeout", "TooManyRequests"]);

function passes({ failure, httpStatus, retryAfterSeconds, reason, message }: WebhookError): boolean {
  if (failure === "connection") return message.endsWith("connection reset by peer");
  if (retryAfterSeconds !== undefined || httpStatus === 429 || httpStatus === 504) return true;
  // Of the server's own errors only 503 says what is the matter; a Status in the answer says it better than the code.
  return reason === undefined ? httpStatus !== undefined && httpStatus >= 500 && httpStatus !== 503 : passing.has(reason);
}
