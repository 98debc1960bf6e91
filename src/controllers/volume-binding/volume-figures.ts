// How many volumes and claims there are, bound and not, counted when somebody asks.

import { migratedPluginOf } from "../../api/semantics/migrated-volumes.ts";
import { storageClassOf } from "../../api/semantics/volume-claims.ts";
import type { PersistentVolume } from "../../api/types/core-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { ControllerContext } from "../controller.ts";
import type { Measured } from "../controller-figures.ts";

import type { Caches } from "./volume-work.ts";

const shown = [
  "pv_collector_bound_pv_count",
  "pv_collector_bound_pvc_count",
  "pv_collector_total_pv_count",
  "pv_collector_unbound_pv_count",
  "pv_collector_unbound_pvc_count",
] as const satisfies readonly Measured[];

/** Plugins by the field of a volume that is theirs. */
const plugins = {
  csi: "kubernetes.io/csi",
  fc: "kubernetes.io/fc",
  hostPath: "kubernetes.io/host-path",
  iscsi: "kubernetes.io/iscsi",
  local: "kubernetes.io/local-volume",
  nfs: "kubernetes.io/nfs",
} as const;

function pluginOf(volume: PersistentVolume): string {
  for (const [field, plugin] of Object.entries(plugins)) if (volume.spec?.[field as keyof typeof plugins] !== undefined) return plugin;
  return migratedPluginOf(volume.spec ?? {})?.plugin ?? "N/A";
}

export function showVolumes({ metrics }: ControllerContext, { claims, volumes }: Caches): Running {
  const own = metrics?.own;
  if (!own) return { stop: async () => undefined };
  const hide = own.beforeScrape(shown, () => {
    for (const volume of volumes.list()) {
      own.increase("pv_collector_total_pv_count", pluginOf(volume), volume.spec?.volumeMode ?? "Filesystem");
      const isBound = volume.status?.phase === "Bound";
      own.increase(isBound ? "pv_collector_bound_pv_count" : "pv_collector_unbound_pv_count", storageClassOf(volume));
    }
    for (const claim of claims.list()) {
      const isBound = claim.status?.phase === "Bound";
      const labels = [claim.metadata.namespace, storageClassOf(claim), claim.spec?.volumeAttributesClassName ?? ""];
      own.increase(isBound ? "pv_collector_bound_pvc_count" : "pv_collector_unbound_pvc_count", ...labels);
    }
  });
  return { stop: async () => hide() };
}
