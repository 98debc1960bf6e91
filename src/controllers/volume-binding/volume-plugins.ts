// What upstream's controllers know of volumes by themselves, without a driver: the names that plugins of the past have now as
// drivers, and the one plugin that is left with something to do here, for directories of this machine.
import { rm } from "node:fs/promises";
import type { PersistentVolume } from "../../api/types/core-v1.ts";

const inTreePrefix = "kubernetes.io/";
const hostPath = "kubernetes.io/host-path";

/** Plugins whose work drivers have taken over, under their names. */
const driverNames: Readonly<Record<string, string>> = {
  "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
  "kubernetes.io/azure-disk": "disk.csi.azure.com",
  "kubernetes.io/azure-file": "file.csi.azure.com",
  "kubernetes.io/cinder": "cinder.csi.openstack.org",
  "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
  "kubernetes.io/portworx-volume": "pxd.portworx.com",
  "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
};

export type Provisioner =
  /** Somebody outside, by the name that claims are marked with. */
  | { readonly kind: "outside"; readonly name: string }
  /** A plugin that is known and cannot: claims are marked with its name all the same. */
  | { readonly kind: "disabled"; readonly name: string; readonly message: string }
  | { readonly kind: "none"; readonly message: string };

/** Who makes volumes of a class, by the provisioner that the class names. */
export function provisionerNamed(name: string): Provisioner {
  const driver = driverNames[name];
  if (driver !== undefined) return { kind: "outside", name: driver };
  if (!name.startsWith(inTreePrefix)) return { kind: "outside", name };
  if (name === hostPath)
    return { kind: "disabled", name, message: `Failed to create provisioner: provisioning in volume plugin "${name}" is disabled` };
  if (name === "kubernetes.io/nfs") return { kind: "none", message: "no provisionable volume plugin matched" };
  return { kind: "none", message: `no volume plugin matched name: ${name}` };
}

export type Deleter =
  | { readonly kind: "outside" }
  /** A directory below /tmp of this machine. */
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "none"; readonly message: string };

/** Who deletes a volume whose claim is gone. `provisioner`: the one that made it, as far as it is known. */
export function deleterOf({ metadata, spec }: PersistentVolume, provisioner: string | undefined): Deleter {
  if (provisioner && !provisioner.startsWith(inTreePrefix)) return { kind: "outside" };
  if (provisioner && provisioner !== hostPath) return { kind: "none", message: `no volume plugin matched name: ${provisioner}` };
  if (!provisioner && spec?.csi) return { kind: "outside" };
  const path = spec?.hostPath?.path;
  if (path === undefined) {
    const message = `error getting deleter volume plugin for volume ${JSON.stringify(metadata.name)}: no deletable volume plugin matched`;
    return { kind: "none", message };
  }
  if (!/^\/tmp\/.+/.test(path) || path.split("/").includes(".."))
    return { kind: "none", message: `host_path deleter only supports /tmp/.+ but received provided ${path}` };
  return { kind: "directory", path };
}

export function removeDirectory(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true });
}
