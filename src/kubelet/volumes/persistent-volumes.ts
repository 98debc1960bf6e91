// Volumes of persistent volume claims whose volume is on this node: hostPath and local persistent volumes, which are
// directories or block devices. What a CSI driver has to mount is for another plugin. A claim has to be bound, and its
// volume to be its own.
import { stat } from "node:fs/promises";
import { isStatus } from "../../api/meta/status-error.ts";
import { persistentvolumeclaims, persistentvolumes } from "../../api/resources.generated.ts";
import type { PersistentVolume, Pod, Volume } from "../../api/types/core-v1.ts";
import type { Client } from "../../client/client.ts";
import { prepareHostPath } from "./host-path.ts";
import { applyFsGroup } from "./ownership.ts";
import { type HostMounts, type MountedVolume, UnprocessedVolumeError, unknownDriver, type VolumePlugin } from "./volume-manager.ts";

/** What the plugin needs of the node's mounts. */
export type DeviceMounts = Pick<HostMounts, "isMounted" | "mountDevice" | "unmount">;

interface Known {
  readonly volume: string;
  readonly mounted: MountedVolume;
}

export function createPersistentVolumePlugin(client: Client, mounts: DeviceMounts): VolumePlugin {
  /** Of pods that use them: neither a claim's volume nor a volume's path can change. */
  const known = new Map<string, Known>();
  const keyOf = (podUid: string, volumeName: string): string => `${podUid}/${volumeName}`;

  /** The pod's group owns the files, unless other pods use them already, or the pod itself since before the kubelet's start. */
  const own = async (pod: Pod, { metadata }: PersistentVolume, { hostPath, readOnly }: MountedVolume): Promise<void> => {
    const { fsGroup, fsGroupChangePolicy } = pod.spec.securityContext ?? {};
    const runs = pod.status?.containerStatuses?.some(({ containerID }) => containerID !== undefined) === true;
    if (fsGroup === undefined || readOnly || runs || [...known.values()].some(({ volume }) => volume === metadata.name)) return;
    await applyFsGroup(hostPath, fsGroup, { readOnly: false, onRootMismatch: fsGroupChangePolicy === "OnRootMismatch" });
  };

  return {
    name: "kubernetes.io~local-volume",
    supports: (volume) => volume.persistentVolumeClaim !== undefined || volume.ephemeral !== undefined,
    async setUp(pod, volume, directory) {
      const key = keyOf(pod.metadata.uid, volume.name);
      const found = known.get(key);
      if (found) return found.mounted;
      const claim = claimName(pod, volume);
      const persistent = await volumeOf(client, pod, claim);
      checkMode(pod, volume, persistent);
      const at = await placeOf(persistent, directory, mounts);
      const mounted = { ...at, readOnly: volume.persistentVolumeClaim?.readOnly === true };
      if (persistent.spec.local && !mounted.isDevice) await own(pod, persistent, mounted);
      known.set(key, { volume: persistent.metadata.name, mounted });
      return mounted;
    },
    async tearDown(podUid, volumeName, directory) {
      await mounts.unmount(directory);
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

/** Devices are for volumeDevices, directories for volumeMounts. */
function checkMode({ spec }: Pod, { name }: Volume, volume: PersistentVolume): void {
  const mode = volume.spec.volumeMode ?? "Filesystem";
  const containers = [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])];
  const wrong = mode === "Block" ? "volumeMounts" : "volumeDevices";
  if (containers.some((container) => container[wrong]?.some((use) => use.name === name)))
    throw new UnprocessedVolumeError(`volume ${name} has volumeMode ${mode}, but is specified in ${wrong}`);
}

async function placeOf(
  { metadata, spec }: PersistentVolume,
  directory: string,
  mounts: DeviceMounts,
): Promise<Pick<MountedVolume, "hostPath" | "isDevice">> {
  if (spec.csi) throw unknownDriver(spec.csi.driver);
  if (spec.volumeMode === "Block") {
    if (!spec.local) throw new Error(`no block volume plugin matched persistent volume ${metadata.name}`);
    await prepareHostPath({ path: spec.local.path, type: "BlockDevice" });
    return { hostPath: spec.local.path, isDevice: true };
  }
  if (spec.hostPath) {
    await prepareHostPath(spec.hostPath);
    return { hostPath: spec.hostPath.path };
  }
  if (!spec.local) throw new Error(`no volume plugin matched persistent volume ${metadata.name}`);
  const { path, fsType } = spec.local;
  if ((await stat(path).catch(() => undefined))?.isBlockDevice()) {
    if (!(await mounts.isMounted(directory))) await mounts.mountDevice(path, directory, fsType);
    return { hostPath: directory };
  }
  await prepareHostPath({ path, type: "Directory" });
  return { hostPath: path };
}
