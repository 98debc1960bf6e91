// Defaults of volumes: those of pods, and the sources that persistent volumes share with them.

import { keepsFieldsOf } from "../semantics/gated-fields.ts";
import type {
  AzureDiskVolumeSource,
  DownwardAPIVolumeFile,
  HostPathVolumeSource,
  PersistentVolumeClaimSpec,
  ProjectedVolumeSource,
  Volume,
  VolumeProjection,
} from "../types/core-v1.ts";
import { change, changeEach, fill } from "./fill.ts";
import { defaultPullPolicy } from "./pull-policy.ts";
import { roundFields } from "./resource-list.ts";

const fileMode = 0o644;
const tokenExpirySeconds = 3600;
const certificateExpirySeconds = 24 * 3600;

export const defaultHostPath = (source: HostPathVolumeSource): HostPathVolumeSource => fill(source, { type: "" });
export const defaultIscsi = <S extends { readonly iscsiInterface?: string }>(source: S): S =>
  fill(source as { readonly iscsiInterface?: string }, { iscsiInterface: "default" }) as S;

export const defaultRbd = <S extends { readonly pool?: string; readonly user?: string; readonly keyring?: string }>(source: S): S =>
  fill(source as { readonly pool?: string; readonly user?: string; readonly keyring?: string }, {
    pool: "rbd",
    user: "admin",
    keyring: "/etc/ceph/keyring",
  }) as S;

export const defaultScaleIo = <S extends { readonly storageMode?: string; readonly fsType?: string }>(source: S): S =>
  fill(source as { readonly storageMode?: string; readonly fsType?: string }, { storageMode: "ThinProvisioned", fsType: "xfs" }) as S;

export const defaultAzureDisk = (source: AzureDiskVolumeSource): AzureDiskVolumeSource =>
  fill(source, { cachingMode: "ReadWrite", kind: "Shared", fsType: "ext4", readOnly: false });

const defaultDownwardFile = (file: DownwardAPIVolumeFile): DownwardAPIVolumeFile =>
  change(
    change(file, "fieldRef", (ref) => fill(ref, { apiVersion: "v1" })),
    "resourceFieldRef",
    (ref) => fill(ref, { divisor: "0" }),
  );

/** Trust bundles and pod certificates are behind feature gates that are off by default: the fields are ignored then. */
function withoutDisabledSources(projection: VolumeProjection): VolumeProjection {
  if (projection.clusterTrustBundle === undefined && projection.podCertificate === undefined) return projection;
  const { clusterTrustBundle, podCertificate, ...rest } = projection;
  return {
    ...rest,
    ...(clusterTrustBundle && keepsFieldsOf("ClusterTrustBundleProjection") ? { clusterTrustBundle } : {}),
    ...(podCertificate && keepsFieldsOf("PodCertificateRequest") ? { podCertificate } : {}),
  };
}

function defaultProjection(projection: VolumeProjection): VolumeProjection {
  const withToken = change(withoutDisabledSources(projection), "serviceAccountToken", (token) =>
    fill(token, { expirationSeconds: tokenExpirySeconds }),
  );
  const withCertificate = change(withToken, "podCertificate", (source) => fill(source, { maxExpirationSeconds: certificateExpirySeconds }));
  return change(withCertificate, "downwardAPI", (source) => changeEach(source, "items", defaultDownwardFile));
}

const defaultProjected = (source: ProjectedVolumeSource): ProjectedVolumeSource =>
  changeEach(fill(source, { defaultMode: fileMode }), "sources", defaultProjection);

export const defaultClaimSpec = (spec: PersistentVolumeClaimSpec): PersistentVolumeClaimSpec =>
  change(fill(spec, { volumeMode: "Filesystem" }), "resources", (resources) => roundFields(resources, "limits", "requests"));

export function defaultVolume(volume: Volume): Volume {
  // A volume that names no source is an empty directory.
  if (Object.keys(volume).length === 1) return { ...volume, emptyDir: {} };
  let v = volume;
  v = change(v, "secret", (source) => fill(source, { defaultMode: fileMode }));
  v = change(v, "configMap", (source) => fill(source, { defaultMode: fileMode }));
  v = change(v, "downwardAPI", (source) => changeEach(fill(source, { defaultMode: fileMode }), "items", defaultDownwardFile));
  v = change(v, "projected", defaultProjected);
  v = change(v, "hostPath", defaultHostPath);
  v = change(v, "iscsi", defaultIscsi);
  v = change(v, "rbd", defaultRbd);
  v = change(v, "scaleIO", defaultScaleIo);
  v = change(v, "azureDisk", defaultAzureDisk);
  v = change(v, "image", (source) => fill(source, { pullPolicy: defaultPullPolicy(source.reference ?? "") }));
  return change(v, "ephemeral", (source) =>
    change(source, "volumeClaimTemplate", (template) => change(template, "spec", defaultClaimSpec)),
  );
}
