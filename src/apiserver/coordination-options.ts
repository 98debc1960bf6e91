// The flags of the server that gives leases to their candidates (the gate CoordinatedLeaderElection): how the API servers choose
// the one of them which does so.
import { type FlagValues, flag, periodMs, refuse } from "../base/flags.ts";
import { jitterFactor } from "../client/leader-election.ts";

export interface CoordinationSettings {
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
}

export const coordinationGate = "CoordinatedLeaderElection";

const [lease, deadline, retry] = [
  "coordinated-leadership-lease-duration",
  "coordinated-leadership-renew-deadline",
  "coordinated-leadership-retry-period",
] as const;

export const coordinationFlags = {
  [lease]: flag(periodMs, 15_000, "how long others wait for the API server that gives leases to their candidates"),
  [deadline]: flag(periodMs, 10_000, "after how long without a renewal it gives up"),
  [retry]: flag(periodMs, 2_000, "pause between two tries"),
};

/** Throws FlagError. */
export function coordinationOptions(values: FlagValues<typeof coordinationFlags>): CoordinationSettings {
  const settings = { leaseDurationMs: values[lease], renewDeadlineMs: values[deadline], retryPeriodMs: values[retry] };
  refuse(
    [settings.leaseDurationMs <= settings.renewDeadlineMs, `--${lease} must be greater than --${deadline}`],
    [
      settings.renewDeadlineMs <= settings.retryPeriodMs * jitterFactor,
      `--${deadline} must be greater than --${retry} with its jitter (1.2 times)`,
    ],
  );
  return settings;
}
