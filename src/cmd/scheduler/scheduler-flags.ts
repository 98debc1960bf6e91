// The flags of `coracle scheduler`: upstream's names, defaults and units. Those that the configuration file says better go
// before it where they are given.
import { featureGatesFlag, type GateSupport } from "../../api/semantics/feature-gates.ts";
import { durationMs, type FlagValues, flag, flagsWithoutEffect, list, optionalText } from "../../base/flags.ts";
import { logFlags } from "../../base/log-flags.ts";
import type { LeaderElectionSettings, SchedulerConfiguration } from "../../scheduler/configuration/scheduler-configuration.ts";
import { CommandError } from "../command-error.ts";
import { electionFlags, ignoredComponentFlags, servingFlags, versionFlags } from "../component/component-flags.ts";

const withoutEffect = flagsWithoutEffect(ignoredComponentFlags);

/** Its gates do by default what upstream's do; none can be turned yet. */
export const schedulerGates: GateSupport = { component: "scheduler", switchable: new Set() };

export const schedulerFlags = {
  config: flag(optionalText, undefined, "file with a KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1)"),
  plugin: flag(list, [], "module with plugins of yours, in TypeScript or JavaScript; may be repeated, followed when it changes"),
  kubeconfig: flag(
    optionalText,
    undefined,
    "how to reach the API server; default $KUBECONFIG, ~/.kube/config or the pod's service account",
  ),
  master: flag(optionalText, undefined, "address of the API server, instead of the kubeconfig's"),
  ...electionFlags("kube-scheduler", "schedulers"),
  ...servingFlags(10_259),
  "pod-max-in-unschedulable-pods-duration": flag(
    durationMs,
    300_000,
    "a pod that did not fit is tried again after so long whatever happens",
  ),
  "write-config-to": flag(optionalText, undefined, "file to write the configuration to, with its defaults, and end"),
  ...logFlags,
  ...versionFlags,
  "feature-gates": flag(featureGatesFlag(schedulerGates), {}, "gates of v1.36; those that cannot be turned here are refused"),
  ...withoutEffect,
};

export type SchedulerValues = FlagValues<typeof schedulerFlags>;

/** Those of the flags that were given and do nothing. */
export const ignoredSchedulerFlags = (values: SchedulerValues): readonly string[] =>
  (Object.keys(withoutEffect) as (keyof typeof withoutEffect)[]).filter((name) => values[name] !== undefined);

/** Tries are put off by up to a fifth. */
const retryJitter = 1.2;

/** The file's election, with the flags that were given instead. */
export function electionOf(
  { leaderElection: file }: SchedulerConfiguration,
  values: SchedulerValues,
  given: ReadonlySet<string>,
): Omit<LeaderElectionSettings, "resourceLock"> {
  const choose = <T>(name: string, ofFlag: T, ofFile: T): T => (given.has(`leader-elect${name}`) ? ofFlag : ofFile);
  const election = {
    leaderElect: choose("", values["leader-elect"], file.leaderElect),
    leaseDurationMs: choose("-lease-duration", values["leader-elect-lease-duration"], file.leaseDurationMs),
    renewDeadlineMs: choose("-renew-deadline", values["leader-elect-renew-deadline"], file.renewDeadlineMs),
    retryPeriodMs: choose("-retry-period", values["leader-elect-retry-period"], file.retryPeriodMs),
    resourceName: choose("-resource-name", values["leader-elect-resource-name"], file.resourceName),
    resourceNamespace: choose("-resource-namespace", values["leader-elect-resource-namespace"], file.resourceNamespace),
  };
  const { leaseDurationMs: lease, renewDeadlineMs: renew, retryPeriodMs: retry } = election;
  if (election.leaderElect && !(lease > renew && renew > retry * retryJitter && retry > 0))
    throw new CommandError(
      "leader election: the lease's duration must be longer than the deadline to renew it, and that than 1.2 times the period between tries",
    );
  return election;
}
