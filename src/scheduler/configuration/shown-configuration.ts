// The KubeSchedulerConfiguration that /configz shows: what the scheduler works by, in upstream's fields. TLS settings of
// extenders, which may hold keys, are not shown.
import { formatDuration } from "../../base/duration.ts";
import type { ExtenderSettings } from "./extender-settings.ts";
import { configurationVersion, type PluginArgs } from "./plugin-args.ts";
import type { PluginSets } from "./plugin-sets.ts";
import type { LeaderElectionSettings, ProfileSettings, SchedulerConfiguration } from "./scheduler-configuration.ts";

type Config = Readonly<Record<string, unknown>>;

export function shownConfiguration(
  configuration: SchedulerConfiguration,
  {
    leaderElection,
    kubeconfig = "",
  }: { readonly leaderElection: Omit<LeaderElectionSettings, "resourceLock">; readonly kubeconfig?: string | undefined },
): Config {
  const { clientConnection, extenders, parallelism, podInitialBackoffSeconds, podMaxBackoffSeconds, profiles } = configuration;
  return {
    kind: "KubeSchedulerConfiguration",
    apiVersion: configurationVersion,
    parallelism,
    leaderElection: {
      leaderElect: leaderElection.leaderElect,
      leaseDuration: formatDuration(leaderElection.leaseDurationMs),
      renewDeadline: formatDuration(leaderElection.renewDeadlineMs),
      retryPeriod: formatDuration(leaderElection.retryPeriodMs),
      resourceLock: "leases",
      resourceName: leaderElection.resourceName,
      resourceNamespace: leaderElection.resourceNamespace,
    },
    clientConnection: {
      kubeconfig,
      acceptContentTypes: "",
      contentType: "application/json",
      qps: clientConnection.qps,
      burst: clientConnection.burst,
    },
    enableProfiling: false,
    enableContentionProfiling: false,
    percentageOfNodesToScore: 0,
    podInitialBackoffSeconds,
    podMaxBackoffSeconds,
    profiles: profiles.map(shownProfile),
    ...(extenders.length > 0 ? { extenders: extenders.map(shownExtender) } : {}),
  };
}

function shownProfile({ schedulerName, percentageOfNodesToScore, sets, args, otherArgs }: ProfileSettings): Config {
  const ownArgs = Object.entries(shownArgs(args)).map(([name, fields]) => ({
    name,
    args: { kind: `${name}Args`, apiVersion: configurationVersion, ...fields },
  }));
  return {
    schedulerName,
    ...(percentageOfNodesToScore > 0 ? { percentageOfNodesToScore } : {}),
    plugins: shownSets(sets),
    pluginConfig: [...ownArgs, ...Object.entries(otherArgs).map(([name, given]) => ({ name, args: given }))].sort((a, b) =>
      a.name < b.name ? -1 : 1,
    ),
  };
}

function shownSets(sets: PluginSets): Config {
  const shown = Object.entries(sets).map(([point, { enabled, disabled }]) => [
    point,
    {
      ...(enabled.length > 0 ? { enabled: enabled.map(({ name, weight = 0 }) => ({ name, weight })) } : {}),
      ...(disabled.length > 0 ? { disabled: disabled.map((name) => ({ name })) } : {}),
    },
  ]);
  return Object.fromEntries(shown);
}

/** Plugins of ours have their place among upstream's. */
function shownArgs({
  DynamicResources,
  NodeResourcesFit,
  VolumeBinding,
  PodTopologySpread,
  ...others
}: PluginArgs): Record<string, Config> {
  const { ignoredResources, ignoredResourceGroups, scoringStrategy } = NodeResourcesFit;
  const { shape, ...strategy } = scoringStrategy;
  return {
    ...others,
    DynamicResources: {
      filterTimeout: formatDuration(DynamicResources.filterTimeoutMs),
      bindingTimeout: formatDuration(DynamicResources.bindingTimeoutMs),
    },
    NodeResourcesFit: {
      ...(ignoredResources.length > 0 ? { ignoredResources } : {}),
      ...(ignoredResourceGroups.length > 0 ? { ignoredResourceGroups } : {}),
      scoringStrategy: shape ? { ...strategy, requestedToCapacityRatio: { shape } } : strategy,
    },
    PodTopologySpread: {
      ...(PodTopologySpread.defaultConstraints.length > 0 ? { defaultConstraints: PodTopologySpread.defaultConstraints } : {}),
      defaultingType: PodTopologySpread.defaultingType,
    },
    VolumeBinding: { bindTimeoutSeconds: VolumeBinding.bindTimeoutSeconds },
  };
}

function shownExtender({ tls: _, timeoutMs, enableHttps, ...extender }: ExtenderSettings): Config {
  return { ...extender, enableHTTPS: enableHttps, httpTimeout: formatDuration(timeoutMs) };
}
