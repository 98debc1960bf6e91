// What makes a pod the n-th of a stateful set: its name, its labels, its host name, and the claims it mounts. All of it
// follows from the set and the ordinal, so a pod that is made again is the same one to its peers.
import type { New } from "../../api/meta/object.ts";
import { statefulsets } from "../../api/resources.generated.ts";
import type { StatefulSet } from "../../api/types/apps-v1.ts";
import type { PersistentVolumeClaim, Pod, PodTemplateSpec, Volume } from "../../api/types/core-v1.ts";
import { podFromTemplate } from "../pod-control.ts";
import { revisionHashLabel } from "../revisions.ts";

const podNameLabel = "statefulset.kubernetes.io/pod-name";
const podIndexLabel = "apps.kubernetes.io/pod-index";

/** A template and the name of the revision that keeps it. */
export interface Version {
  readonly name: string;
  readonly template: PodTemplateSpec;
}

export function desiredReplicas({ spec }: StatefulSet): number {
  return spec.replicas ?? 1;
}

/** The ordinals that have a pod, ascending. */
export function ordinalsOf(set: StatefulSet): readonly number[] {
  const start = set.spec.ordinals?.start ?? 0;
  return Array.from({ length: desiredReplicas(set) }, (_, index) => start + index);
}

export function isInRange(set: StatefulSet, ordinal: number): boolean {
  const start = set.spec.ordinals?.start ?? 0;
  return ordinal >= start && ordinal < start + desiredReplicas(set);
}

export function podName(set: StatefulSet, ordinal: number): string {
  return `${set.metadata.name}-${ordinal}`;
}

/** The ordinal in a pod's name; undefined for names that are no member's. */
export function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const [, parent, digits] = /^(.*)-(\d+)$/.exec(pod.metadata.name) ?? [];
  return parent === set.metadata.name && Number(digits) < 2 ** 31 ? Number(digits) : undefined;
}

/** The name of the claim that one of the set's templates makes for an ordinal. */
export function claimName(set: StatefulSet, template: PersistentVolumeClaim, ordinal: number): string {
  return `${template.metadata.name}-${set.metadata.name}-${ordinal}`;
}

/** Names of all claims of an ordinal. */
export function claimNames(set: StatefulSet, ordinal: number): readonly string[] {
  return (set.spec.volumeClaimTemplates ?? []).map((template) => claimName(set, template, ordinal));
}

/** The pod that an ordinal has in this version. */
export function podFor(set: StatefulSet, ordinal: number, version: Version): New<Pod> {
  const pod = podFromTemplate(version.template, set, statefulsets);
  const name = podName(set, ordinal);
  const labels = { ...pod.metadata.labels, ...identityLabels(name, ordinal), [revisionHashLabel]: version.name };
  const { serviceName } = set.spec;
  const volumes = volumesOf(set, ordinal, pod.spec.volumes);
  return {
    metadata: { ...pod.metadata, name, labels },
    spec: {
      ...pod.spec,
      hostname: name,
      ...(serviceName ? { subdomain: serviceName } : {}),
      ...(volumes.length > 0 ? { volumes } : {}),
    },
  };
}

function identityLabels(name: string, ordinal: number): Readonly<Record<string, string>> {
  return { [podNameLabel]: name, [podIndexLabel]: String(ordinal) };
}

/** Volumes of the claims, which win over others of the same name. */
function volumesOf(set: StatefulSet, ordinal: number, own: readonly Volume[] = []): readonly Volume[] {
  const templates = set.spec.volumeClaimTemplates ?? [];
  const names = new Set(templates.map((template) => template.metadata.name));
  const claimed = templates.map((template) => ({
    name: template.metadata.name,
    persistentVolumeClaim: { claimName: claimName(set, template, ordinal) },
  }));
  return [...claimed, ...own.filter((volume) => !names.has(volume.name))];
}

/** The pod with the labels and volumes that its ordinal asks for; undefined where it has them. */
export function restored(set: StatefulSet, ordinal: number, pod: Pod): Pod | undefined {
  const { name, labels } = pod.metadata;
  const byName = new Map(pod.spec.volumes?.map((volume) => [volume.name, volume]));
  const hasStorage = (set.spec.volumeClaimTemplates ?? []).every(
    (template) => byName.get(template.metadata.name)?.persistentVolumeClaim?.claimName === claimName(set, template, ordinal),
  );
  if (labels?.[podNameLabel] === name && hasStorage) return undefined;
  return {
    ...pod,
    metadata: { ...pod.metadata, labels: { ...labels, ...identityLabels(name, ordinal) } },
    spec: hasStorage ? pod.spec : { ...pod.spec, volumes: volumesOf(set, ordinal, pod.spec.volumes) },
  };
}
