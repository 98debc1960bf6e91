// DefaultStorageClass: a claim without a class gets the one marked as the default, the newest where several are.
import { persistentvolumeclaims, storageclasses } from "../../api/resources.generated.ts";
import type { PersistentVolumeClaim } from "../../api/types/core-v1.ts";
import { type AdmissionPlugin, type AdmissionReader, loadedInformer } from "./admission.ts";
import { newestDefault } from "./newest-default.ts";
import { isAbout } from "./refusal.ts";

/** Still honoured on claims and classes. */
const classAnnotation = "volume.beta.kubernetes.io/storage-class";
const defaultAnnotations = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

export function createDefaultStorageClass({ reader }: { readonly reader: AdmissionReader }): AdmissionPlugin {
  return {
    name: "DefaultStorageClass",
    only: [persistentvolumeclaims],
    waitsFor: [storageclasses],
    handles: (request) => request.operation === "CREATE" && isAbout(request, persistentvolumeclaims),
    async admit(request) {
      const claim = request.object as PersistentVolumeClaim;
      if (claim.spec?.storageClassName !== undefined || claim.metadata.annotations?.[classAnnotation] !== undefined) return claim;
      const found = newestDefault((await loadedInformer(reader, storageclasses)).list(), defaultAnnotations);
      return found ? ({ ...claim, spec: { ...claim.spec, storageClassName: found.metadata.name } } as PersistentVolumeClaim) : claim;
    },
  };
}
