// Which replica set is a deployment's present one, and the annotations that number its versions: what `kubectl rollout
// history` shows and `kubectl rollout undo` goes back to.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { controllerRef } from "../../api/meta/object.ts";
import { deployments } from "../../api/resources.generated.ts";
import { templateHash } from "../../api/semantics/template-hash.ts";
import type { Deployment, ReplicaSet } from "../../api/types/apps-v1.ts";
import type { PodTemplateSpec } from "../../api/types/core-v1.ts";
import type { LabelSelector } from "../../api/types/meta-v1.ts";
import { byAge, desiredReplicas, desiredReplicasAnnotation, maxReplicasAnnotation, maxSurge } from "./rollout-numbers.ts";

export const hashLabel = "pod-template-hash";
export const revisionAnnotation = "deployment.kubernetes.io/revision";
const revisionHistoryAnnotation = "deployment.kubernetes.io/revision-history";
export const rollbackAnnotation = "deprecated.deployment.rollback.to";

/** Annotations of one object's own that are not copied between a deployment and its replica sets. */
const ownAnnotations: ReadonlySet<string> = new Set([
  "kubectl.kubernetes.io/last-applied-configuration",
  revisionAnnotation,
  revisionHistoryAnnotation,
  desiredReplicasAnnotation,
  maxReplicasAnnotation,
  rollbackAnnotation,
]);

const maxHistoryLength = 2000;

type Annotations = Readonly<Record<string, string>>;

/** Templates that differ in no more than the label that the deployment itself adds. */
export function isSameTemplate(a: PodTemplateSpec | undefined, b: PodTemplateSpec | undefined): boolean {
  return semanticallyEqual(withoutHash(a), withoutHash(b));
}

export function withoutHash(template: PodTemplateSpec | undefined): PodTemplateSpec {
  const labels = template?.metadata?.labels;
  if (!labels || !(hashLabel in labels)) return template ?? {};
  const { [hashLabel]: _, ...rest } = labels;
  return { ...template, metadata: { ...template.metadata, labels: rest } };
}

/** The replica set with the deployment's template: the oldest, should there be several. */
export function findNewReplicaSet(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  return [...sets].sort(byAge).find((set) => isSameTemplate(set.spec.template, deployment.spec.template));
}

/** 0 where there is none. Other hands may have written any int64, which a number does not hold exactly. */
export function revisionOf(object: Deployment | ReplicaSet): bigint {
  const text = object.metadata.annotations?.[revisionAnnotation];
  return text !== undefined && /^\d{1,19}$/.test(text) ? BigInt(text) : 0n;
}

export function maxRevision(sets: readonly ReplicaSet[]): bigint {
  let max = 0n;
  for (const revision of sets.map(revisionOf)) if (revision > max) max = revision;
  return max;
}

/** The replica set of the deployment's template, without a size: named after the template's hash. */
export function replicaSetFor(deployment: Deployment): ReplicaSet {
  const { name, namespace } = deployment.metadata;
  const hash = templateHash(deployment.spec.template, deployment.status?.collisionCount);
  const labels = { ...deployment.spec.template.metadata?.labels, [hashLabel]: hash };
  const selector: LabelSelector = {
    ...deployment.spec.selector,
    matchLabels: { ...deployment.spec.selector.matchLabels, [hashLabel]: hash },
  };
  const template = { ...deployment.spec.template, metadata: { ...deployment.spec.template.metadata, labels } };
  const metadata: Partial<ReplicaSet["metadata"]> = {
    name: `${name}-${hash}`,
    namespace,
    labels,
    ownerReferences: [controllerRef(deployment, deployments)],
  };
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: metadata as ReplicaSet["metadata"], // uid, resourceVersion and creationTimestamp are the server's to give
    spec: { replicas: 0, minReadySeconds: deployment.spec.minReadySeconds ?? 0, selector, template },
  };
}

/** The annotations of a deployment's present replica set: the deployment's own, and a revision of at least `revision`. */
export function newSetAnnotations(deployment: Deployment, set: ReplicaSet, revision: bigint): Annotations {
  const annotations: Record<string, string> = { ...set.metadata.annotations, ...copied(deployment.metadata.annotations) };
  const old = set.metadata.annotations?.[revisionAnnotation];
  if (revisionOf(set) >= revision) return annotations;
  annotations[revisionAnnotation] = String(revision);
  if (old !== undefined) annotations[revisionHistoryAnnotation] = appendHistory(annotations[revisionHistoryAnnotation], old);
  return annotations;
}

/** The sizes for which a set was last scaled, from which proportional scaling goes on. */
export function sizeAnnotations(deployment: Deployment): Annotations {
  const desired = desiredReplicas(deployment);
  return { [desiredReplicasAnnotation]: String(desired), [maxReplicasAnnotation]: String(desired + maxSurge(deployment)) };
}

/** The deployment with the template of an earlier replica set and its annotations, and without the wish to go back. */
export function rolledBack(deployment: Deployment, to: ReplicaSet): Deployment {
  const kept = Object.entries(deployment.metadata.annotations ?? {}).filter(([name]) => ownAnnotations.has(name));
  const annotations = { ...Object.fromEntries(kept), ...copied(to.metadata.annotations) };
  return withoutRollback({
    ...deployment,
    metadata: { ...deployment.metadata, annotations },
    spec: { ...deployment.spec, template: withoutHash(to.spec.template) },
  });
}

export function withoutRollback(deployment: Deployment): Deployment {
  const { [rollbackAnnotation]: _, ...annotations } = deployment.metadata.annotations ?? {};
  return { ...deployment, metadata: { ...deployment.metadata, annotations } };
}

function copied(annotations: Annotations | undefined): Annotations {
  return Object.fromEntries(Object.entries(annotations ?? {}).filter(([name]) => !ownAnnotations.has(name)));
}

/** The history with one more entry; the oldest give way where it would become too long. */
function appendHistory(history: string | undefined, revision: string): string {
  const entries = history ? [...history.split(","), revision] : [revision];
  while (entries.length > 1 && entries.join(",").length > maxHistoryLength) entries.shift();
  return entries.join(",");
}
