// Volumes of persistent volume claims whose volume is a directory of this node: hostPath and local persistent volumes. What
// a CSI driver has to mount is for another plugin. A claim has to be bound, and its volume to be its own.
import { isStatus } from "../../api/meta/status-error.ts";
import { persistentvolumeclaims, persistentvolumes } from "../../api/resources.generated.ts";
import type { PersistentVolume, Pod, Volume } from "../../api/types/core-v1.ts";
import type { Client } from "../../client/client.ts";
import { prepareHostPath } from "./host-path.ts";
import { type MountedVolume, UnprocessedVolumeError, unknownDriver, type VolumePlugin } from "./volume-manager.ts";

export function createPersistentVolumePlugin(client: Client): VolumePlugin {
  /** Of pods that use them: neither a claim's volume nor a volume's path can change. */
  const known = new Map<string, MountedVolume>();
  const keyOf = (podUid: string, volumeName: string): string => `${podUid}/${volumeName}`;
  return {
    name: "kubernetes.io~local-volume",
    supports: (volume) => volume.persistentVolumeClaim !== undefined || volume.ephemeral !== undefined,
    async setUp(pod, volume) {
      const key = keyOf(pod.metadata.uid, volume.name);
      const found = known.get(key);
      if (found) return found;
      const persistent = await volumeOf(client, pod, claimName(pod, volume));
      const mounted = { hostPath: await directoryOf(persistent), readOnly: volume.persistentVolumeClaim?.readOnly === true };
      known.set(key, mounted);
      return mounted;
    },
    async tearDown(podUid, volumeName) {
      known.delete(keyOf(podUid, volumeName));
    },
  };
}

/** A claim made for the pod alone is named after it. */
function claimName(pod: Pod, volume: Volume): string {
  return volume.persistentVolumeClaim?.claimName ?? `${pod.metadata.name}-${volume.name}`;
}

async function volumeOf(client: Client, pod: Pod, claim: string): Promise<PersistentVolume> {
  const { namespace } = pod.metadata;
  const subject = `PVC ${namespace}/${claim}`;
  const found = await client.get(persistentvolumeclaims, { namespace, name: claim }).catch((error: unknown) => {
    if (isStatus(error, "NotFound"))
      throw new UnprocessedVolumeError(`error processing ${subject}: failed to fetch PVC from API server: ${error.message}`);
    throw error;
  });
  const { volumeName } = found.spec;
  if (found.status?.phase !== "Bound" || !volumeName) throw new UnprocessedVolumeError(`error processing ${subject}: PVC is not bound`);
  const volume = await client.get(persistentvolumes, { name: volumeName });
  if (volume.spec.claimRef?.uid !== found.metadata.uid)
    throw new UnprocessedVolumeError(`error processing ${subject}: volume ${volumeName} is bound to another claim`);
  return volume;
}

async function directoryOf({ metadata, spec }: PersistentVolume): Promise<string> {
  if (spec.hostPath) {
    await prepareHostPath(spec.hostPath);
    return spec.hostPath.path;
  }
  if (spec.csi) throw unknownDriver(spec.csi.driver);
  if (!spec.local) throw new Error(`no volume plugin matched persistent volume ${metadata.name}`);
  await prepareHostPath({ path: spec.local.path, type: "Directory" });
  return spec.local.path;
}
