// How long a request has waited for others: noted by those who have waited, which is seldom, and told in the audit event of a
// request that was slow. Upstream measures each of its layers; here a layer that nobody is waited for in takes no time worth
// telling.
import type { RequestContext } from "../request.ts";

/** As upstream's annotations name them, with how several durations of a request add up. */
const parts = {
  "apf-queue-wait": "longest",
  authentication: "sum",
  authorization: "longest",
  impersonation: "sum",
  "mutating-webhook": "sum",
  "validating-webhook": "longest",
} as const;

export type WaitedPart = keyof typeof parts;

export function noteDuration(context: Pick<RequestContext, "stageMs">, part: WaitedPart, ms: number): void {
  context.stageMs ??= new Map();
  const before = context.stageMs.get(part) ?? 0;
  context.stageMs.set(part, parts[part] === "sum" ? before + ms : Math.max(before, ms));
}
