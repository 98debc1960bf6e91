// Where a daemon set's pods belong: which nodes it runs on, what it adds to its pods so that they are placed there and stay
// when the node is in trouble, and which node a pod is meant for.
import { requiredNodeMatcher } from "../../api/semantics/node-affinity.ts";
import {
  diskPressureTaintKey,
  keepsOut,
  memoryPressureTaintKey,
  networkUnavailableTaintKey,
  notReadyTaintKey,
  pidPressureTaintKey,
  unreachableTaintKey,
  unschedulableTaintKey,
  untoleratedTaint,
} from "../../api/semantics/taints.ts";
import type { DaemonSet } from "../../api/types/apps-v1.ts";
import type { Affinity, Node, Pod, PodSpec, PodTemplateSpec, Toleration } from "../../api/types/core-v1.ts";
import { revisionHashLabel } from "../revisions.ts";

const templateGenerationAnnotation = "deprecated.daemonset.template.generation";
const templateGenerationLabel = "pod-template-generation";

/** What a daemon set wants of one node. */
export interface Placement {
  /** A pod belongs there. */
  readonly shouldRun: boolean;
  /** A pod that is there may stay: also on a node that has been closed to new pods since. */
  readonly mayStay: boolean;
}

const nowhere: Placement = { shouldRun: false, mayStay: false };

const tolerated = (key: string, effect: "NoExecute" | "NoSchedule"): Toleration => ({ key, operator: "Exists", effect });

const daemonTolerations: readonly Toleration[] = [
  tolerated(notReadyTaintKey, "NoExecute"),
  tolerated(unreachableTaintKey, "NoExecute"),
  tolerated(diskPressureTaintKey, "NoSchedule"),
  tolerated(memoryPressureTaintKey, "NoSchedule"),
  tolerated(pidPressureTaintKey, "NoSchedule"),
  tolerated(unschedulableTaintKey, "NoSchedule"),
];

/** The template's tolerations and those of every daemon pod. */
function tolerationsOf(spec: PodSpec): readonly Toleration[] {
  const result = [...(spec.tolerations ?? [])];
  const added = spec.hostNetwork ? [...daemonTolerations, tolerated(networkUnavailableTaintKey, "NoSchedule")] : daemonTolerations;
  for (const toleration of added) {
    const { key, effect } = toleration;
    const index = result.findIndex((own) => own.key === key && own.effect === effect && own.operator === "Exists" && !own.value);
    // The template's own might be limited in time.
    if (index < 0) result.push(toleration);
    else result[index] = toleration;
  }
  return result;
}

/** Judges nodes for a daemon set. */
export function placementsOf(set: DaemonSet): (node: Node) => Placement {
  const spec: PodSpec = set.spec.template.spec ?? { containers: [] };
  const matches = requiredNodeMatcher(spec) ?? (() => true);
  const tolerations = tolerationsOf(spec);
  return (node) => {
    if (spec.nodeName && spec.nodeName !== node.metadata.name) return nowhere;
    if (!matches(node)) return nowhere;
    const taints = node.spec?.taints;
    if (!untoleratedTaint(taints, tolerations, keepsOut)) return { shouldRun: true, mayStay: true };
    return { shouldRun: false, mayStay: !untoleratedTaint(taints, tolerations, (taint) => taint.effect === "NoExecute") };
  };
}

/** The set's template as its pods on one node get it. */
export function daemonTemplate(set: DaemonSet, { hash, nodeName }: { readonly hash: string; readonly nodeName: string }): PodTemplateSpec {
  const { metadata, spec = { containers: [] } } = set.spec.template;
  const generation = templateGeneration(set);
  const labels = {
    ...metadata?.labels,
    ...(generation === undefined ? {} : { [templateGenerationLabel]: generation }),
    [revisionHashLabel]: hash,
  };
  return {
    metadata: { ...metadata, labels },
    spec: { ...spec, tolerations: tolerationsOf(spec), affinity: pinnedTo(spec.affinity, nodeName) },
  };
}

/** The affinity with what it requires of nodes replaced by this one's name: that the node fits has been seen to already. */
function pinnedTo(affinity: Affinity | undefined, nodeName: string): Affinity {
  const nodeSelectorTerms = [{ matchFields: [{ key: "metadata.name", operator: "In" as const, values: [nodeName] }] }];
  return {
    ...affinity,
    nodeAffinity: {
      ...affinity?.nodeAffinity,
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms },
    },
  };
}

/** The node a pod is on or is meant for; undefined for an adopted pod that names none. */
export function targetNode(pod: Pod): string | undefined {
  if (pod.spec.nodeName) return pod.spec.nodeName;
  const terms = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  for (const field of terms.flatMap((term) => term.matchFields ?? [])) {
    if (field.key === "metadata.name" && field.operator === "In") return field.values?.length === 1 ? field.values[0] : undefined;
  }
  return undefined;
}

/** Of the set's present version, by its hash or by the number that preceded hashes. */
export function isOfVersion(pod: Pod, set: DaemonSet, hash: string): boolean {
  const { labels } = pod.metadata;
  if (labels?.[revisionHashLabel] === hash) return true;
  const generation = templateGeneration(set);
  return generation !== undefined && labels?.[templateGenerationLabel] === generation;
}

function templateGeneration({ metadata }: DaemonSet): string | undefined {
  const text = metadata.annotations?.[templateGenerationAnnotation];
  return text !== undefined && /^-?\d+$/.test(text) ? text : undefined;
}
