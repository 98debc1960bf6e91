// The pod that empties a volume of the reclaim policy Recycle: upstream's template or the administrator's, with the volume in
// the place of the template's first one, and as long to live as the volume's size warrants. It runs wherever the scheduler
// puts it: a directory of a node is emptied on that node only where there is no other.
import type { New } from "../../api/meta/object.ts";
import { parseQuantity } from "../../api/meta/quantity.ts";
import type { PersistentVolume, Pod, Volume } from "../../api/types/core-v1.ts";

export interface RecyclerSettings {
  /** With at least one volume. Default: a shell of an image of upstream's that removes what is in /scrub. */
  readonly podTemplate?: New<Pod>;
  /** The least that the pod is given to finish, in seconds. Default 60 for directories, 300 for NFS. */
  readonly minimumTimeoutSeconds?: number;
  /** What it is given for each full GiB of the volume, in seconds. Default 30. */
  readonly timeoutIncrementSeconds?: number;
}

export interface RecyclerOptions {
  readonly hostPath?: RecyclerSettings;
  readonly nfs?: RecyclerSettings;
}

type RecyclableSource = Pick<Volume, "hostPath"> | Pick<Volume, "nfs">;

const emptyScrub = 'test -e /scrub && find /scrub -mindepth 1 -delete && test -z "$(ls -A /scrub)" || exit 1';

const defaultTemplate: New<Pod> = {
  metadata: { namespace: "default", name: "pv-recycler" },
  spec: {
    restartPolicy: "Never",
    volumes: [{ name: "vol" }],
    containers: [
      {
        name: "pv-recycler",
        image: "registry.k8s.io/build-image/debian-base:bookworm-v1.0.6",
        command: ["/bin/sh"],
        args: ["-c", emptyScrub],
        volumeMounts: [{ name: "vol", mountPath: "/scrub" }],
      },
    ],
  },
};

/** Its namespace and name, by which it is found again: a volume has one at a time. */
export const recyclerName = (volumeName: string): string => `recycler-for-${volumeName}`;

/** The pod for a volume; undefined for volumes that nothing here knows how to empty. */
export function recyclerPod(volume: PersistentVolume, { hostPath, nfs }: RecyclerOptions): New<Pod> | undefined {
  const { spec } = volume;
  if (spec?.hostPath) return podFor(volume, { hostPath: { path: spec.hostPath.path } }, { minimumTimeoutSeconds: 60, ...hostPath });
  if (spec?.nfs) {
    const { server, path } = spec.nfs;
    return podFor(volume, { nfs: { server, path } }, { minimumTimeoutSeconds: 300, ...nfs });
  }
  return undefined;
}

function podFor(volume: PersistentVolume, source: RecyclableSource, settings: RecyclerSettings): New<Pod> {
  const { podTemplate = defaultTemplate } = settings;
  const { generateName: _, ...metadata } = podTemplate.metadata;
  const [first, ...others] = podTemplate.spec.volumes ?? [];
  return {
    ...podTemplate,
    metadata: { ...metadata, namespace: metadata.namespace ?? "default", name: recyclerName(volume.metadata.name) },
    spec: {
      ...podTemplate.spec,
      activeDeadlineSeconds: timeoutSeconds(volume, settings),
      volumes: [{ name: first?.name ?? "vol", ...source }, ...others],
    },
  };
}

const bytesOfGiB = 2 ** 30;

function timeoutSeconds({ spec }: PersistentVolume, settings: RecyclerSettings): number {
  const { minimumTimeoutSeconds = 0, timeoutIncrementSeconds = 30 } = settings;
  const bytes = parseQuantity(spec?.capacity?.storage ?? 0).toNumber();
  return Math.max(minimumTimeoutSeconds, Math.floor(bytes / bytesOfGiB) * timeoutIncrementSeconds);
}
