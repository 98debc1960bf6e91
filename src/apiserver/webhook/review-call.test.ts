import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { callForReview } from "./review-call.ts";
import type { WebhookClient } from "./webhook-client.ts";
import { statusError, WebhookError } from "./webhook-error.ts";

/** Calls that fail with these errors, in order, before they succeed; gives the times of all attempts. */
async function attempt(errors: readonly WebhookError[]) {
  const clock = new VirtualClock();
  const times: number[] = [];
  const client: WebhookClient = {
    post: async () => {
      times.push(clock.monotonic());
      const error = errors[times.length - 1];
      if (error) throw error;
      return "answer";
    },
    stop: async () => undefined,
  };
  const caller = { client, target: async () => ({ url: "https://x" }), clock };
  const outcome = callForReview(caller, {}, { timeoutMs: 1000 }).catch((error: Error) => error.message);
  await clock.advance(60_000);
  return { outcome: await outcome, times };
}

describe("callForReview()", () => {
  it("tries again, with growing pauses, what passes", async () => {
    const { outcome, times } = await attempt([statusError(500, "", undefined), statusError(429, "", undefined)]);
    expect(outcome).toBe("answer");
    const pauses = times.map((ms, i) => ms - (times[i - 1] ?? 0));
    expect(pauses[1]).toBeGreaterThanOrEqual(500);
    expect(pauses[1]).toBeLessThan(601);
    expect(pauses[2]).toBeGreaterThanOrEqual(750);
    expect(pauses[2]).toBeLessThan(901);
  });

  it("tries again after the server's own errors but 503, unless a Status says that it is one of those", async () => {
    expect((await attempt([statusError(502, "", undefined)])).outcome).toBe("answer");
    expect((await attempt([statusError(503, "", undefined)])).times).toHaveLength(1);
    const told = new WebhookError("status", "told", { httpStatus: 503, reason: "InternalError" });
    expect((await attempt([told])).outcome).toBe("answer");
    const conflict = new WebhookError("status", "told", { httpStatus: 500, reason: "Conflict" });
    expect((await attempt([conflict])).times).toHaveLength(1);
  });

  it("waits as long as the answer asks, within a bound", async () => {
    expect((await attempt([statusError(503, "", "4")])).times).toEqual([0, 4000]);
    expect((await attempt([statusError(503, "", "3600")])).times).toEqual([0, 10_000]);
  });

  it("gives up after five attempts, and at once where trying again would not help", async () => {
    const broken = statusError(500, "broken", undefined);
    expect((await attempt(Array(9).fill(broken))).times).toHaveLength(5);
    expect(await attempt([statusError(403, "no", undefined)])).toEqual({ outcome: "no", times: [0] });
    const refused = new WebhookError("connection", 'Post "https://x": dial tcp 10.0.0.1:443: connect: connection refused');
    expect((await attempt([refused])).times).toEqual([0]);
  });
});
