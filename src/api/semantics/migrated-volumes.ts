// Volume plugins of the past whose work CSI drivers do now: their names, their fields of a volume and who took over.

/** By the plugin's name: its driver's, and the field that is its own in a volume, of the cluster or of a pod. */
const plugins = {
  "kubernetes.io/aws-ebs": { driver: "ebs.csi.aws.com", field: "awsElasticBlockStore" },
  "kubernetes.io/azure-disk": { driver: "disk.csi.azure.com", field: "azureDisk" },
  "kubernetes.io/azure-file": { driver: "file.csi.azure.com", field: "azureFile" },
  "kubernetes.io/cinder": { driver: "cinder.csi.openstack.org", field: "cinder" },
  "kubernetes.io/gce-pd": { driver: "pd.csi.storage.gke.io", field: "gcePersistentDisk" },
  "kubernetes.io/portworx-volume": { driver: "pxd.portworx.com", field: "portworxVolume" },
  "kubernetes.io/vsphere-volume": { driver: "csi.vsphere.vmware.com", field: "vsphereVolume" },
} as const;

type Plugin = keyof typeof plugins;

/** What a volume's specification is looked at for. */
export type MigratedSource = { readonly [field in (typeof plugins)[Plugin]["field"]]?: unknown };

/** The driver that has taken over from a plugin. */
export function driverOf(plugin: string): string | undefined {
  return Object.hasOwn(plugins, plugin) ? plugins[plugin as Plugin].driver : undefined;
}

/** The plugin that a volume, of the cluster or of a pod, was written for, and its driver. */
export function migratedPluginOf(source: MigratedSource): { readonly plugin: string; readonly driver: string } | undefined {
  for (const [plugin, { driver, field }] of Object.entries(plugins)) if (source[field] !== undefined) return { plugin, driver };
  return undefined;
}
