// VolumeZone: volumes that carry zone or region labels can be used only in those places. Most drivers say so by the volume's
// node affinity instead, which VolumeBinding checks.
import { storageClassOf } from "../../api/semantics/volume-claims.ts";
import type { PersistentVolume, Pod } from "../../api/types/core-v1.ts";
import type { StorageClass } from "../../api/types/storage-v1.ts";
import type { Plugin, Rejection, SchedulingCycle } from "../framework.ts";
import { claimNotFound, isClaimOf, ownClaimNames, type StorageView, volumesSignature } from "./pod-volumes.ts";

const name = "VolumeZone";
const conflict: Rejection = { reasons: ["node(s) had no available volume zone"], unresolvable: true };

/** Labels of places, with the one that has replaced each. */
const placeLabels = new Map([
  ["failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"],
  ["failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"],
  ["topology.kubernetes.io/zone", "topology.kubernetes.io/zone"],
  ["topology.kubernetes.io/region", "topology.kubernetes.io/region"],
]);

interface Place {
  readonly key: string;
  readonly values: ReadonlySet<string>;
}

export function createVolumeZone(storage: StorageView): Plugin {
  return {
    name,
    preFilter(cycle) {
      const places = placesOf(cycle.pod, storage);
      if ("reasons" in places) return places;
      cycle.state.set(name, places);
      return undefined;
    },
    filter(cycle) {
      const places = storedPlaces(cycle);
      if (places.length === 0) return undefined;
      return ({ node }) => {
        const labels = node?.metadata.labels ?? {};
        if (![...placeLabels.keys()].some((key) => labels[key] !== undefined)) return undefined;
        const isThere = ({ key, values }: Place): boolean => values.has(labels[key] ?? labels[placeLabels.get(key) ?? key] ?? "");
        return places.every(isThere) ? undefined : conflict;
      };
    },
    filterSignature: volumesSignature,
    queueingHints: [
      { event: "NodeAdd" },
      { event: "NodeLabel" },
      { event: "PersistentVolumeClaim", concerns: (pod, _before, after) => isClaimOf(pod, after) },
      { event: "PersistentVolume", concerns: (_pod, before, after) => !before || placeText(before) !== placeText(after) },
      {
        event: "StorageClass",
        concerns: (_pod, before, after) => !before && (after as StorageClass).volumeBindingMode === "WaitForFirstConsumer",
      },
    ],
  };
}

const storedPlaces = ({ state }: SchedulingCycle): readonly Place[] => (state.get(name) as readonly Place[] | undefined) ?? []; // nobody else writes under this plugin's name

function placesOf(pod: Pod, storage: StorageView): readonly Place[] | Rejection {
  const places: Place[] = [];
  for (const claimName of ownClaimNames(pod)) {
    const claim = storage.claim(`${pod.metadata.namespace}/${claimName}`);
    if (!claim) return claimNotFound(claimName);
    const { volumeName } = claim.spec ?? {};
    if (!volumeName) {
      const className = storageClassOf(claim);
      const problem = problemOfClass(className, storage.storageClass(className));
      if (problem) return { reasons: [problem], unresolvable: true };
      continue;
    }
    const volume = storage.volume(volumeName);
    if (!volume) return { reasons: [`persistentvolume "${volumeName}" not found`], unresolvable: true };
    places.push(...labelledPlaces(volume));
  }
  return places;
}

/** Why an unbound claim of this class cannot wait for the pod's node. */
function problemOfClass(className: string, storageClass: StorageClass | undefined): string | undefined {
  if (className === "") return "PersistentVolumeClaim had no pv name and storageClass name";
  if (!storageClass) return `storageclass.storage.k8s.io "${className}" not found`;
  if (!storageClass.volumeBindingMode) return `VolumeBindingMode not set for StorageClass "${className}"`;
  return storageClass.volumeBindingMode === "WaitForFirstConsumer" ? undefined : "PersistentVolume had no name";
}

function labelledPlaces({ metadata }: PersistentVolume): readonly Place[] {
  return [...placeLabels.keys()].flatMap((key) => {
    const value = metadata.labels?.[key];
    return value === undefined ? [] : [{ key, values: new Set(value.split("__")) }];
  });
}

const placeText = (volume: unknown): string =>
  JSON.stringify([...placeLabels.keys()].map((key) => (volume as PersistentVolume).metadata.labels?.[key]));
