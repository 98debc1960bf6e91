// What is counted about authentication, under upstream's metric names.
import type { Clock } from "../../base/clock.ts";
import type { HistogramSeries, MetricsRegistry } from "../../base/metrics.ts";

export type AuthenticationResult = "success" | "failure" | "error";

export interface AuthenticationMetrics {
  /** For durations. */
  readonly clock: Pick<Clock, "monotonic">;
  /** `username`: where the result is a user. */
  attempted(result: AuthenticationResult, durationMs: number, username?: string): void;
}

/** 1 ms, doubled fourteen times. */
const durationBuckets = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);

/** `stage`: the durations of the whole stage, whatever its result. */
export function createAuthenticationMetrics(
  registry: MetricsRegistry,
  clock: Pick<Clock, "monotonic">,
  stage?: HistogramSeries,
): AuthenticationMetrics {
  const users = registry.counter("authenticated_user_requests", "[ALPHA] Counter of authenticated requests broken out by username.", [
    "username",
  ]);
  const attempts = registry.counter("authentication_attempts", "[ALPHA] Counter of authenticated attempts.", ["result"]);
  const durations = registry.histogram(
    "authentication_duration_seconds",
    "[ALPHA] Authentication duration in seconds broken out by result.",
    {
      labels: ["result"],
      buckets: durationBuckets,
    },
  );
  const byResult = (result: AuthenticationResult) => ({ attempts: attempts.series(result), durations: durations.series(result) });
  // Made when it first happens: a series that has counted nothing is not shown.
  const series: Partial<Record<AuthenticationResult, ReturnType<typeof byResult>>> = {};
  return {
    clock,
    attempted(result, durationMs, username) {
      const counted = (series[result] ??= byResult(result));
      counted.attempts.add();
      counted.durations.observe(durationMs / 1000);
      stage?.observe(durationMs / 1000);
      if (username !== undefined) users.series(shortName(username)).add();
    },
  };
}

const knownNames = new Set(["admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default"]);

/** Users name themselves: few of the names become label values. */
function shortName(username: string): string {
  if (knownNames.has(username)) return username;
  return username.includes("@") ? "email_id" : "other";
}
