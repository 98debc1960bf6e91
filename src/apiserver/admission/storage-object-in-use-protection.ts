// StorageObjectInUseProtection: new volumes, claims and attribute classes carry a finalizer that their protection
// controllers remove once nothing uses them any more.
import { persistentvolumeclaims, persistentvolumes, volumeattributesclasses } from "../../api/resources.generated.ts";
import type { AdmissionPlugin, AdmissionRequest } from "./admission.ts";
import { isAbout } from "./refusal.ts";

const protections = [
  [persistentvolumes, "kubernetes.io/pv-protection"],
  [persistentvolumeclaims, "kubernetes.io/pvc-protection"],
  [volumeattributesclasses, "kubernetes.io/vac-protection"],
] as const;

const finalizerFor = (request: AdmissionRequest): string | undefined => protections.find(([type]) => isAbout(request, type))?.[1];

export function createStorageObjectInUseProtection(): AdmissionPlugin {
  return {
    name: "StorageObjectInUseProtection",
    only: protections.map(([type]) => type),
    handles: (request) => request.operation === "CREATE" && finalizerFor(request) !== undefined,
    admit(request) {
      const { object } = request;
      const finalizer = finalizerFor(request);
      const own = object?.metadata.finalizers ?? [];
      if (!object || finalizer === undefined || own.includes(finalizer)) return object;
      return { ...object, metadata: { ...object.metadata, finalizers: [...own, finalizer] } };
    },
  };
}
