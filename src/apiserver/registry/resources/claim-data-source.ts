// The two fields of a claim that say what fills its volume: dataSource, the old one, for claims and snapshots only, and
// dataSourceRef, for anything. Each is filled in from the other; an old one that means something else is dropped.
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec, TypedLocalObjectReference } from "../../../api/types/core-v1.ts";

export function withClaimDataSource(claim: PersistentVolumeClaim, old: PersistentVolumeClaim | undefined): PersistentVolumeClaim {
  if (!claim.spec) return claim;
  const spec = withBothSources(withoutForeignSource(claim.spec, old?.spec));
  return spec === claim.spec ? claim : { ...claim, spec };
}

/** As a claim is read that an older server stored with one of the fields alone. The same claim where nothing was missing. */
export function completedClaim(claim: PersistentVolumeClaim): PersistentVolumeClaim {
  const spec = claim.spec && withBothSources(claim.spec);
  return spec === claim.spec || !spec ? claim : { ...claim, spec };
}

function withoutForeignSource(given: PersistentVolumeClaimSpec, old: PersistentVolumeClaimSpec | undefined): PersistentVolumeClaimSpec {
  let spec = given;
  // Sources in other namespaces are behind a feature gate that is off.
  if (spec.dataSourceRef?.namespace && !old?.dataSourceRef) {
    const { dataSourceRef: _, ...rest } = spec;
    spec = rest;
  }
  if (old?.dataSource || old?.dataSourceRef || spec.dataSourceRef || !spec.dataSource || isKnownSource(spec.dataSource)) return spec;
  const { dataSource: _, ...rest } = spec;
  return rest;
}

function isKnownSource({ apiGroup: group, kind }: TypedLocalObjectReference): boolean {
  const apiGroup = group ?? ""; // written as null where it is absent
  return (kind === "PersistentVolumeClaim" && apiGroup === "") || (kind === "VolumeSnapshot" && apiGroup === "snapshot.storage.k8s.io");
}

function withBothSources(spec: PersistentVolumeClaimSpec): PersistentVolumeClaimSpec {
  const { dataSource, dataSourceRef } = spec;
  if (dataSource && !dataSourceRef) return { ...spec, dataSourceRef: dataSource };
  if (!dataSourceRef || dataSource || dataSourceRef.namespace) return spec;
  const { namespace: _, ...local } = dataSourceRef;
  return { ...spec, dataSource: local };
}
