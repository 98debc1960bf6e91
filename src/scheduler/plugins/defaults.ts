// The plugins, made for the arguments of a profile, and the default profile: upstream's plugins in the order their points
// run, with upstream's weights.
import {
  csinodes,
  namespaces,
  persistentvolumeclaims,
  persistentvolumes,
  poddisruptionbudgets,
  replicasets,
  replicationcontrollers,
  services,
  statefulsets,
  storageclasses,
} from "../../api/resources.generated.ts";
import type { InformerFactory } from "../../client/informer.ts";
import { defaultPluginArgs, type PluginArgs } from "../configuration/plugin-args.ts";
import { knownPlugins } from "../configuration/plugin-names.ts";
import { defaultProfileSettings } from "../configuration/scheduler-configuration.ts";
import { deviceClaimsOf } from "../devices/device-claims.ts";
import type { Extender } from "../extenders/extender.ts";
import { narrowCandidates } from "../extenders/extender-plugin.ts";
import type { Plugin, Profile } from "../framework.ts";
import type { EvictionDependencies } from "../preemption/evictions.ts";
import type { SchedulerMetrics } from "../scheduler-metrics.ts";
import { createDefaultBinder } from "./default-binder.ts";
import { createDefaultPreemption, type PreemptionDependencies } from "./default-preemption.ts";
import { createDynamicResources } from "./dynamic-resources.ts";
import { createFailureBackoff } from "./failure-backoff.ts";
import { createInterPodAffinity } from "./inter-pod-affinity.ts";
import { createNodeAffinity, nodeName, nodePorts, nodeUnschedulable, taintToleration } from "./node.ts";
import { nodeDeclaredFeatures } from "./node-declared-features.ts";
import { createNodeVolumeLimits } from "./node-volume-limits.ts";
import { createPodTopologySpread } from "./pod-topology-spread.ts";
import { prioritySort, schedulingGates } from "./queue.ts";
import { createNodeResourcesBalancedAllocation, createNodeResourcesFit, imageLocality } from "./resources.ts";
import { type SpreadDefaults, systemDefaults } from "./spread-constraints.ts";
import { createVolumeBinding } from "./volume-binding.ts";
import { createVolumeRestrictions } from "./volume-restrictions.ts";
import { createVolumeZone } from "./volume-zone.ts";

export interface DefaultProfileDependencies extends EvictionDependencies {
  /** Asked for what the plugins look up; to be started by the scheduler. */
  readonly informers: InformerFactory;
  readonly metrics?: SchedulerMetrics;
  /** Asked besides the plugins. */
  readonly extenders?: readonly Extender[];
}

export function defaultProfile(deps: DefaultProfileDependencies): Profile {
  const { schedulerName, plugins } = defaultProfileSettings();
  const inProfile = createPlugins(deps, defaultPluginArgs()).filter(({ name }) => !knownPlugins[name]?.optional);
  return { schedulerName, plugins: inProfile, scoreWeights: plugins.scoreWeights };
}

/** All plugins there are, in the order of the default profile. */
export function createPlugins(deps: DefaultProfileDependencies, args: PluginArgs): readonly Plugin[] {
  const { client, informers } = deps;
  const claims = informers.informer(persistentvolumeclaims);
  const volumes = informers.informer(persistentvolumes);
  const classes = informers.informer(storageclasses);
  const csiNodes = informers.informer(csinodes);
  const storage = {
    claim: (key: string) => claims.get(key),
    volume: (name: string) => volumes.get(name),
    volumes: () => volumes.list(),
    storageClass: (name: string) => classes.get(name),
  };
  const namespacesByName = informers.informer(namespaces);
  const budgets = informers.informer(poddisruptionbudgets);
  const devices = deviceClaimsOf(informers);
  const bindTimeoutMs = args.VolumeBinding.bindTimeoutSeconds * 1000;
  return [
    schedulingGates,
    prioritySort,
    nodeUnschedulable,
    nodeName,
    taintToleration,
    createNodeAffinity(args.NodeAffinity.addedAffinity),
    nodePorts,
    createNodeResourcesFit(args.NodeResourcesFit, devices.classes),
    createVolumeRestrictions(storage),
    createNodeVolumeLimits({ ...storage, csiNode: (name) => csiNodes.get(name) }),
    createVolumeBinding({ ...deps, storage, bindTimeoutMs }),
    createVolumeZone(storage),
    createPodTopologySpread(workloadsOf(informers), spreadDefaults(args.PodTopologySpread)),
    createInterPodAffinity({ namespaceLabels: (name) => namespacesByName.get(name)?.metadata.labels, ...args.InterPodAffinity }),
    createDynamicResources({ ...deps, devices, ...args.DynamicResources }),
    createDefaultPreemption({ ...deps, budgets: () => budgets.list(), ...narrowing(deps), ...args.DefaultPreemption }),
    createNodeResourcesBalancedAllocation(args.NodeResourcesBalancedAllocation),
    imageLocality,
    createFailureBackoff(deps, args.FailureBackoff),
    createDefaultBinder(client),
    nodeDeclaredFeatures,
  ];
}

function narrowing({ extenders = [], logger }: DefaultProfileDependencies): Pick<PreemptionDependencies, "narrow"> {
  if (extenders.length === 0) return {};
  return { narrow: (cycle, candidates) => narrowCandidates({ extenders, logger }, cycle, candidates) };
}

function spreadDefaults({ defaultingType, defaultConstraints }: PluginArgs["PodTopologySpread"]): SpreadDefaults {
  return defaultingType === "System" ? systemDefaults : { constraints: defaultConstraints, needsAllLabels: true };
}

function workloadsOf(informers: InformerFactory) {
  const [ofServices, ofControllers] = [informers.informer(services), informers.informer(replicationcontrollers)];
  const [ofReplicaSets, ofStatefulSets] = [informers.informer(replicasets), informers.informer(statefulsets)];
  return {
    services: (namespace: string) => ofServices.inNamespace(namespace),
    replicationController: (key: string) => ofControllers.get(key),
    replicaSet: (key: string) => ofReplicaSets.get(key),
    statefulSet: (key: string) => ofStatefulSets.get(key),
  };
}
