// The default profile: upstream's plugins in the order their points run, with upstream's weights.
import {
  namespaces,
  persistentvolumeclaims,
  persistentvolumes,
  poddisruptionbudgets,
  replicasets,
  replicationcontrollers,
  resourceclaims,
  services,
  statefulsets,
  storageclasses,
} from "../../api/resources.generated.ts";
import type { InformerFactory } from "../../client/informer.ts";
import type { Profile } from "../framework.ts";
import type { EvictionDependencies } from "../preemption/evictions.ts";
import { createDefaultBinder } from "./default-binder.ts";
import { createDefaultPreemption } from "./default-preemption.ts";
import { createDynamicResources } from "./dynamic-resources.ts";
import { createInterPodAffinity } from "./inter-pod-affinity.ts";
import { nodeAffinity, nodeName, nodePorts, nodeUnschedulable, taintToleration } from "./node.ts";
import { createPodTopologySpread } from "./pod-topology-spread.ts";
import { prioritySort, schedulingGates } from "./queue.ts";
import { imageLocality, nodeResourcesBalancedAllocation, nodeResourcesFit } from "./resources.ts";
import { createVolumeBinding } from "./volume-binding.ts";
import { createVolumeRestrictions } from "./volume-restrictions.ts";
import { createVolumeZone } from "./volume-zone.ts";

export interface DefaultProfileDependencies extends EvictionDependencies {
  /** Asked for what the plugins look up; to be started by the scheduler. */
  readonly informers: InformerFactory;
}

export function defaultProfile(deps: DefaultProfileDependencies): Profile {
  const { client, informers } = deps;
  const claims = informers.informer(persistentvolumeclaims);
  const volumes = informers.informer(persistentvolumes);
  const classes = informers.informer(storageclasses);
  const storage = {
    claim: (key: string) => claims.get(key),
    volume: (name: string) => volumes.get(name),
    volumes: () => volumes.list(),
    storageClass: (name: string) => classes.get(name),
  };
  const namespacesByName = informers.informer(namespaces);
  const budgets = informers.informer(poddisruptionbudgets);
  const deviceClaims = informers.informer(resourceclaims);
  return {
    schedulerName: "default-scheduler",
    plugins: [
      schedulingGates,
      prioritySort,
      nodeUnschedulable,
      nodeName,
      taintToleration,
      nodeAffinity,
      nodePorts,
      nodeResourcesFit,
      createVolumeRestrictions(storage),
      createVolumeBinding({ ...deps, storage }),
      createVolumeZone(storage),
      createPodTopologySpread(workloadsOf(informers)),
      createInterPodAffinity({ namespaceLabels: (name) => namespacesByName.get(name)?.metadata.labels }),
      createDynamicResources((key) => deviceClaims.get(key)),
      createDefaultPreemption({ ...deps, budgets: () => budgets.list() }),
      nodeResourcesBalancedAllocation,
      imageLocality,
      createDefaultBinder(client),
    ],
    scoreWeights: {
      TaintToleration: 3,
      NodeAffinity: 2,
      NodeResourcesFit: 1,
      PodTopologySpread: 2,
      InterPodAffinity: 2,
      NodeResourcesBalancedAllocation: 1,
      ImageLocality: 1,
    },
  };
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
