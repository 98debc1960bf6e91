// Settings of the horizontal pod autoscaler, with upstream's defaults.

export interface AutoscalerOptions {
  /** How often each autoscaler is looked at. Default 15 s. */
  readonly syncPeriodMs: number;
  /** Recommendations to have fewer pods count only when they have been made for so long. Default 5 min. */
  readonly downscaleStabilizationMs: number;
  /** How far usage may be from its target without anything being done. Default 0.1. */
  readonly tolerance: number;
  /** So long after its start a pod's processor usage may be that of its start. Default 5 min. */
  readonly cpuInitializationPeriodMs: number;
  /** A pod that became unready in so long after its start has never been ready. Default 30 s. */
  readonly initialReadinessDelayMs: number;
}

export const defaultAutoscalerOptions: AutoscalerOptions = {
  syncPeriodMs: 15_000,
  downscaleStabilizationMs: 300_000,
  tolerance: 0.1,
  cpuInitializationPeriodMs: 300_000,
  initialReadinessDelayMs: 30_000,
};

/** Usage over target at which nothing is done: from 1 - down to 1 + up. */
export interface Tolerances {
  readonly down: number;
  readonly up: number;
}

export const maxReplicaCount = 2 ** 31 - 1;
