// What a pod refers to by name in its own namespace: secrets, config maps, volume claims, resource claims and its service
// account. A node may read exactly these of the pods bound to it, and a pod a node itself creates may have none of them.
import type { PersistentVolume, Pod, Volume } from "../../api/types/core-v1.ts";

export interface PodReferences {
  readonly secrets: ReadonlySet<string>;
  readonly configMaps: ReadonlySet<string>;
  readonly claims: ReadonlySet<string>;
  readonly resourceClaims: ReadonlySet<string>;
  /** "" where it names none. */
  readonly serviceAccount: string;
}

type MaybeName = string | undefined;
const named = (names: Iterable<MaybeName>): Set<string> => new Set([...names].filter((n): n is string => n !== undefined && n !== ""));

export function podReferences(pod: Pod): PodReferences {
  const containers = containersOf(pod);
  const volumes = pod.spec?.volumes ?? [];
  const env = containers.flatMap((c) => c.env ?? []);
  const envFrom = containers.flatMap((c) => c.envFrom ?? []);
  const projected = volumes.flatMap((v) => v.projected?.sources ?? []);
  return {
    secrets: named([
      ...(pod.spec?.imagePullSecrets ?? []).map((s) => s.name),
      ...envFrom.map((e) => e.secretRef?.name),
      ...env.map((e) => e.valueFrom?.secretKeyRef?.name),
      ...projected.map((s) => s.secret?.name),
      ...volumes.flatMap(volumeSecrets),
    ]),
    configMaps: named([
      ...envFrom.map((e) => e.configMapRef?.name),
      ...env.map((e) => e.valueFrom?.configMapKeyRef?.name),
      ...projected.map((s) => s.configMap?.name),
      ...volumes.map((v) => v.configMap?.name),
    ]),
    claims: named(volumes.map((v) => v.persistentVolumeClaim?.claimName ?? (v.ephemeral ? `${pod.metadata.name}-${v.name}` : undefined))),
    resourceClaims: named([
      ...(pod.spec?.resourceClaims ?? []).map((c) => c.resourceClaimName),
      ...(pod.status?.resourceClaimStatuses ?? []).map((c) => c.resourceClaimName),
      pod.status?.extendedResourceClaimStatus?.resourceClaimName,
    ]),
    serviceAccount: pod.spec?.serviceAccountName ?? "",
  };
}

/** All containers of a pod: init, ordinary and ephemeral ones. */
function containersOf(pod: Pod) {
  return [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? []), ...(pod.spec?.ephemeralContainers ?? [])];
}

function volumeSecrets(volume: Volume): readonly MaybeName[] {
  return [
    volume.secret?.secretName,
    volume.azureFile?.secretName,
    volume.cephfs?.secretRef?.name,
    volume.cinder?.secretRef?.name,
    volume.flexVolume?.secretRef?.name,
    volume.rbd?.secretRef?.name,
    volume.scaleIO?.secretRef?.name,
    volume.iscsi?.secretRef?.name,
    volume.storageos?.secretRef?.name,
    volume.csi?.nodePublishSecretRef?.name,
  ];
}

/** "namespace/name" of the secrets a kubelet needs to mount a bound persistent volume. */
export function persistentVolumeSecrets(volume: PersistentVolume): readonly string[] {
  const claimNamespace = volume.spec?.claimRef?.namespace;
  if (!volume.spec || claimNamespace === undefined) return [];
  const { azureFile, cephfs, cinder, flexVolume, rbd, scaleIO, iscsi, storageos, csi } = volume.spec;
  const refs = [
    azureFile ? { namespace: azureFile.secretNamespace, name: azureFile.secretName } : undefined,
    cephfs?.secretRef,
    cinder?.secretRef,
    flexVolume?.secretRef,
    rbd?.secretRef,
    scaleIO?.secretRef,
    iscsi?.secretRef,
    storageos?.secretRef,
    csi?.nodePublishSecretRef,
    csi?.nodeStageSecretRef,
    csi?.nodeExpandSecretRef,
  ];
  return refs.flatMap((ref) => (ref?.name ? [`${ref.namespace || claimNamespace}/${ref.name}`] : []));
}
