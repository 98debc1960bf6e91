// EventRateLimit: how many events per second are taken, from all, from one namespace, one user, or one source about one object.
// Each limit is a bucket of tokens for each key; buckets of keys that are not seen for long are forgotten.

import type { ConfigFields } from "../../api/encode/config-fields.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import type { Event } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { AdmissionPlugin, AdmissionRequest } from "./admission.ts";
import { joinProblems } from "./refusal.ts";

const limitTypes = ["Server", "Namespace", "User", "SourceAndObject"] as const;

export interface EventLimit {
  readonly type: (typeof limitTypes)[number];
  /** Events a second once the burst is used up. */
  readonly qps: number;
  readonly burst: number;
  /** Keys that are told apart. Default 4096. */
  readonly cacheSize: number;
}

const defaultCacheSize = 4096;

/** Throws ConfigError. */
export function eventRateLimits(root: ConfigFields): readonly EventLimit[] {
  root.kindOf("Configuration", ["eventratelimit.admission.k8s.io/v1alpha1"]);
  const limits = root.objects("limits").map((fields) => {
    const type = fields.oneOf("type", limitTypes);
    const [qps, burst, cacheSize] = [fields.int32("qps") ?? 0, fields.int32("burst") ?? 0, fields.int32("cacheSize") ?? 0];
    fields.end();
    if (burst <= 0) throw fields.problem("burst", "must be positive");
    if (qps <= 0) throw fields.problem("qps", "must be positive");
    if (cacheSize < 0 && type !== "Server") throw fields.problem("cacheSize", "must not be negative");
    return { type, qps, burst, cacheSize: cacheSize > 0 ? cacheSize : defaultCacheSize };
  });
  root.end();
  if (limits.length === 0) throw root.problem("limits", "must not be empty");
  return limits;
}

export function createEventRateLimit({ clock }: { readonly clock: Clock }, limits: readonly EventLimit[] = []): AdmissionPlugin {
  const enforcers = limits.map((limit) => new LimitEnforcer(limit, clock));
  return {
    name: "EventRateLimit",
    handles: ({ operation, kind, dryRun }) =>
      (operation === "CREATE" || operation === "UPDATE") && kind.kind === "Event" && kind.group === "" && !dryRun,
    validate(request) {
      // Each of them counts the event, whether or not another refuses it.
      const problems = enforcers.flatMap((enforcer) => enforcer.problemOf(request) ?? []);
      if (problems.length === 0) return;
      throw new StatusError({ code: 429, reason: "TooManyRequests", message: `Too many requests: ${joinProblems(problems)}` });
    },
  };
}

interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

class LimitEnforcer {
  readonly #limit: EventLimit;
  readonly #clock: Clock;
  readonly #buckets: LruMap<string, Bucket>;

  constructor(limit: EventLimit, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
    this.#buckets = new LruMap(limit.cacheSize);
  }

  problemOf(request: AdmissionRequest): string | undefined {
    const { type, qps, burst } = this.#limit;
    const key = keyOf(type, request);
    const nowMs = this.#clock.monotonic();
    const { tokens, atMs } = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs };
    const available = Math.min(burst, tokens + ((nowMs - atMs) / 1000) * qps);
    const isTaken = available >= 1;
    this.#buckets.set(key, { tokens: isTaken ? available - 1 : available, atMs: nowMs });
    return isTaken ? undefined : `limit reached on type ${type} for key ${key}`;
  }
}

function keyOf(type: EventLimit["type"], { namespace, user, object }: AdmissionRequest): string {
  switch (type) {
    case "Server":
      return "";
    case "Namespace":
      return namespace;
    case "User":
      return user.name;
    case "SourceAndObject": {
      const { source, involvedObject: about } = object as Event;
      const parts = [source?.component, source?.host, about?.kind, about?.namespace, about?.name, about?.uid, about?.apiVersion];
      return parts.map((part) => part ?? "").join("");
    }
  }
}
