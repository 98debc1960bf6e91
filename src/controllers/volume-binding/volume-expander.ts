// persistentvolume-expander-controller: says of a bound claim that asks for more than its volume holds that an outside resizer
// has to make it grow, and names it where a CSI driver has taken over from the volume's plugin. There are no volume plugins in
// this process that could.

import { keyOf } from "../../api/meta/object.ts";
import { compareQuantities } from "../../api/meta/quantity.ts";
import { persistentvolumeclaims, persistentvolumes } from "../../api/resources.generated.ts";
import { migratedPluginOf } from "../../api/semantics/migrated-volumes.ts";
import type { PersistentVolumeClaim } from "../../api/types/core-v1.ts";
import type { Controller } from "../controller.ts";

const resizerAnnotation = "volume.kubernetes.io/storage-resizer";

const askedSize = ({ spec }: PersistentVolumeClaim): string | number => spec?.resources?.requests?.storage ?? 0;

export const volumeExpander: Controller = {
  name: "persistentvolume-expander-controller",
  serviceAccount: "expand-controller",
  component: "volume_expand",
  create({ client, informers, recorder }) {
    const claimInformer = informers.informer(persistentvolumeclaims);
    const volumeInformer = informers.informer(persistentvolumes);
    return {
      watches: [
        {
          start: (enqueue) =>
            claimInformer.addHandler({
              onAdd: (claim) => enqueue(keyOf(claim)),
              onUpdate(claim, previous) {
                const hasGrown = compareQuantities(askedSize(claim), askedSize(previous)) > 0;
                if (hasGrown || claim.status?.phase !== previous.status?.phase) enqueue(keyOf(claim));
              },
            }),
        },
      ],
      async reconcile(key, { signal }) {
        const claim = claimInformer.get(key);
        const volume = volumeInformer.get(claim?.spec?.volumeName ?? "");
        if (claim?.status?.phase !== "Bound" || volume?.spec?.claimRef?.uid !== claim.metadata.uid) return undefined;
        if (compareQuantities(askedSize(claim), claim.status.capacity?.storage ?? 0) <= 0) return undefined;
        const migrated = migratedPluginOf(volume.spec ?? {});
        recorder.record(claim, {
          type: "Normal",
          reason: "ExternalExpanding",
          message: migrated
            ? `CSI migration enabled for ${migrated.plugin}; waiting for external resizer to expand the pvc`
            : "waiting for an external controller to expand this PVC",
        });
        if (!migrated || claim.metadata.annotations?.[resizerAnnotation] === migrated.driver) return undefined;
        const annotations = { ...claim.metadata.annotations, [resizerAnnotation]: migrated.driver };
        await client.updateStatus(persistentvolumeclaims, { ...claim, metadata: { ...claim.metadata, annotations } }, { signal });
        return undefined;
      },
    };
  },
};
