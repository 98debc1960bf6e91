// What a pod refers to by name in its own namespace: secrets, config maps, volume claims, resource claims and its service
// account. A node may read exactly these of the pods bound to it, and a pod a node itself creates may have none of them.
import type { Container, PersistentVolume, Pod, Volume } from "../types/core-v1.ts";

export interface PodReferences {
  readonly secrets: ReadonlySet<string>;
  readonly configMaps: ReadonlySet<string>;
  readonly claims: ReadonlySet<string>;
  readonly resourceClaims: ReadonlySet<string>;
  /** "" where it names none. */
  readonly serviceAccount: string;
}

/** Asked for every version of every pod (the node authorizer's index): it makes four sets and nothing besides. */
export function podReferences({ metadata, spec, status }: Pod): PodReferences {
  const found = { secrets: new Set<string>(), configMaps: new Set<string>(), claims: new Set<string>(), resourceClaims: new Set<string>() };
  for (const { name } of spec?.imagePullSecrets ?? []) add(found.secrets, name);
  for (const container of spec?.initContainers ?? []) addEnvironment(found, container);
  for (const container of spec?.containers ?? []) addEnvironment(found, container);
  for (const container of spec?.ephemeralContainers ?? []) addEnvironment(found, container);
  for (const volume of spec?.volumes ?? []) {
    addVolume(found, volume);
    if (volume.persistentVolumeClaim) add(found.claims, volume.persistentVolumeClaim.claimName);
    else if (volume.ephemeral) add(found.claims, `${metadata.name}-${volume.name}`);
  }
  for (const { resourceClaimName } of spec?.resourceClaims ?? []) add(found.resourceClaims, resourceClaimName);
  for (const { resourceClaimName } of status?.resourceClaimStatuses ?? []) add(found.resourceClaims, resourceClaimName);
  add(found.resourceClaims, status?.extendedResourceClaimStatus?.resourceClaimName);
  return { ...found, serviceAccount: spec?.serviceAccountName ?? "" };
}

interface Found {
  readonly secrets: Set<string>;
  readonly configMaps: Set<string>;
}

function add(names: Set<string>, name: string | undefined): void {
  if (name) names.add(name);
}

function addEnvironment({ secrets, configMaps }: Found, { env, envFrom }: Pick<Container, "env" | "envFrom">): void {
  for (const { secretRef, configMapRef } of envFrom ?? []) {
    add(secrets, secretRef?.name);
    add(configMaps, configMapRef?.name);
  }
  for (const { valueFrom } of env ?? []) {
    add(secrets, valueFrom?.secretKeyRef?.name);
    add(configMaps, valueFrom?.configMapKeyRef?.name);
  }
}

function addVolume({ secrets, configMaps }: Found, volume: Volume): void {
  add(configMaps, volume.configMap?.name);
  for (const { secret, configMap } of volume.projected?.sources ?? []) {
    add(secrets, secret?.name);
    add(configMaps, configMap?.name);
  }
  add(secrets, volume.secret?.secretName);
  add(secrets, volume.azureFile?.secretName);
  add(secrets, volume.cephfs?.secretRef?.name);
  add(secrets, volume.cinder?.secretRef?.name);
  add(secrets, volume.flexVolume?.secretRef?.name);
  add(secrets, volume.rbd?.secretRef?.name);
  add(secrets, volume.scaleIO?.secretRef?.name);
  add(secrets, volume.iscsi?.secretRef?.name);
  add(secrets, volume.storageos?.secretRef?.name);
  add(secrets, volume.csi?.nodePublishSecretRef?.name);
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
