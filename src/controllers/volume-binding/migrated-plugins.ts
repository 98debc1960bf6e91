// Volume plugins of the past whose work CSI drivers do now: their names, and what objects are marked with for the drivers'
// sake. Upstream's controllers keep these marks right with every look at a claim or volume.
import type { PersistentVolume, PersistentVolumeClaim } from "../../api/types/core-v1.ts";

const migratedToAnnotation = "pv.kubernetes.io/migrated-to";
const provisionedByAnnotation = "pv.kubernetes.io/provisioned-by";
const provisionerAnnotations = ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];

/** On a volume that a plugin of this process made: it goes when what is behind it is gone. */
export const inTreeFinalizer = "kubernetes.io/pv-controller";
/** The same of those that a driver made. */
const driverFinalizer = "external-provisioner.volume.kubernetes.io/finalizer";

/** By the plugin's name: its driver's, and the field of a volume that is its own. */
const plugins = {
  "kubernetes.io/aws-ebs": { driver: "ebs.csi.aws.com", field: "awsElasticBlockStore" },
  "kubernetes.io/azure-disk": { driver: "disk.csi.azure.com", field: "azureDisk" },
  "kubernetes.io/azure-file": { driver: "file.csi.azure.com", field: "azureFile" },
  "kubernetes.io/cinder": { driver: "cinder.csi.openstack.org", field: "cinder" },
  "kubernetes.io/gce-pd": { driver: "pd.csi.storage.gke.io", field: "gcePersistentDisk" },
  "kubernetes.io/portworx-volume": { driver: "pxd.portworx.com", field: "portworxVolume" },
  "kubernetes.io/vsphere-volume": { driver: "csi.vsphere.vmware.com", field: "vsphereVolume" },
} as const;

/** The driver that has taken over from a plugin. */
export function driverOf(plugin: string): string | undefined {
  return Object.hasOwn(plugins, plugin) ? plugins[plugin as keyof typeof plugins].driver : undefined;
}

/** The plugin of the past that a volume was made for. */
export function migratedPluginOf({ spec }: PersistentVolume): { readonly plugin: string; readonly driver: string } | undefined {
  for (const [plugin, { driver, field }] of Object.entries(plugins)) if (spec?.[field] !== undefined) return { plugin, driver };
  return undefined;
}

/** The claim with the mark of the driver that is to make its volume; the same where it is right. */
export function withDriverOfClaim(claim: PersistentVolumeClaim): PersistentVolumeClaim {
  const { annotations } = claim.metadata;
  const name = provisionerAnnotations.find((each) => annotations?.[each] !== undefined);
  return name === undefined ? claim : withDriver(claim, annotations?.[name] ?? "");
}

/** The volume with the mark of the driver that is to delete it, and with what keeps it until then; the same where it is right. */
export function withDriverOfVolume(volume: PersistentVolume): PersistentVolume {
  const provisioner = volume.metadata.annotations?.[provisionedByAnnotation];
  if (provisioner === undefined) return volume;
  const marked = withDriver(volume, provisioner);
  const finalizers = volume.metadata.finalizers ?? [];
  const wanted = finalizersFor(volume, provisioner, finalizers);
  if (wanted === finalizers) return marked;
  return { ...marked, metadata: { ...marked.metadata, finalizers: wanted } };
}

function finalizersFor({ spec }: PersistentVolume, provisioner: string, present: readonly string[]): readonly string[] {
  const without = (...names: readonly string[]): readonly string[] =>
    present.some((name) => names.includes(name)) ? present.filter((name) => !names.includes(name)) : present;
  if (driverOf(provisioner) !== undefined) return without(inTreeFinalizer);
  if (!provisioner.startsWith("kubernetes.io/")) return present;
  if (spec?.persistentVolumeReclaimPolicy !== "Delete") return without(inTreeFinalizer, driverFinalizer);
  const kept = without(driverFinalizer);
  return kept.includes(inTreeFinalizer) ? kept : [...kept, inTreeFinalizer];
}

function withDriver<T extends PersistentVolume | PersistentVolumeClaim>(object: T, provisioner: string): T {
  const { [migratedToAnnotation]: present, ...others } = object.metadata.annotations ?? {};
  const driver = driverOf(provisioner);
  // An annotation that is there and empty counts as none.
  if (driver === undefined ? !present : present === driver) return object;
  const annotations = driver === undefined ? others : { ...others, [migratedToAnnotation]: driver };
  return { ...object, metadata: { ...object.metadata, annotations } };
}
