// PersistentVolumeClaimResize: a claim may ask for more only once it is bound and where its storage class can expand.
import { compareQuantities } from "../../api/meta/quantity.ts";
import { persistentvolumeclaims, storageclasses } from "../../api/resources.generated.ts";
import type { PersistentVolumeClaim } from "../../api/types/core-v1.ts";
import { type AdmissionPlugin, type AdmissionReader, loadedInformer } from "./admission.ts";
import { isAbout, refuse } from "./refusal.ts";

export function createPersistentVolumeClaimResize({ reader }: { readonly reader: AdmissionReader }): AdmissionPlugin {
  return {
    name: "PersistentVolumeClaimResize",
    only: [persistentvolumeclaims],
    handles: (request) => request.operation === "UPDATE" && isAbout(request, persistentvolumeclaims),
    async validate(request) {
      const claim = request.object as PersistentVolumeClaim;
      const old = request.oldObject as PersistentVolumeClaim;
      const size = (c: PersistentVolumeClaim): string | number => c.spec?.resources?.requests?.storage ?? "0";
      if (compareQuantities(size(claim), size(old)) <= 0) return;
      if (old.status?.phase !== "Bound") throw refuse(request, "Only bound persistent volume claims can be expanded");
      const name = classOf(claim);
      const classes = await loadedInformer(reader, storageclasses);
      const canExpand = name !== "" && name === classOf(old) && classes.get(name)?.allowVolumeExpansion === true;
      if (!canExpand)
        throw refuse(
          request,
          "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
        );
    },
  };
}

function classOf(claim: PersistentVolumeClaim): string {
  return claim.metadata.annotations?.["volume.beta.kubernetes.io/storage-class"] ?? claim.spec?.storageClassName ?? "";
}
