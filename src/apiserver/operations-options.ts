// The flags of the API server's operation, apart from what it serves: limits, audit, encryption at rest, shutdown, debugging.
// Names and defaults are upstream's where nothing else is said.
import { boolean, type FlagValues, flag, integer } from "../base/flags.ts";

export const operationsFlags = {
  "enable-priority-and-fairness": flag(boolean, true, "queue and limit requests by priority level; else by the two limits alone"),
  "max-requests-inflight": flag(
    integer({ min: 0 }),
    400,
    "reading requests served at a time; with the mutating ones, what priority levels share",
  ),
  "max-mutating-requests-inflight": flag(integer({ min: 0 }), 200, "mutating requests served at a time"),
  profiling: flag(boolean, false, "serve /debug/ paths: profiles of the process and the state of priority and fairness"),
};

export interface OperationsSettings {
  readonly priorityAndFairness: boolean;
  readonly maxRequestsInflight: number;
  readonly maxMutatingRequestsInflight: number;
  readonly profiling: boolean;
}

export function operationsSettings(values: FlagValues<typeof operationsFlags>): OperationsSettings {
  return {
    priorityAndFairness: values["enable-priority-and-fairness"],
    maxRequestsInflight: values["max-requests-inflight"],
    maxMutatingRequestsInflight: values["max-mutating-requests-inflight"],
    profiling: values.profiling,
  };
}
