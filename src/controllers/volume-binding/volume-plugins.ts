// What upstream's controllers know of volumes by themselves, without a driver: who makes and who deletes them, and the one
// plugin that is left with something to do here, for directories of this machine.
import { rm } from "node:fs/promises";
import { posix } from "node:path";
import { driverOf } from "../../api/semantics/migrated-volumes.ts";
import type { PersistentVolume } from "../../api/types/core-v1.ts";

const inTreePrefix = "kubernetes.io/";
/** It can empty volumes, and no more. */
const nfsPlugin = "kubernetes.io/nfs";
export const hostPathPlugin = "kubernetes.io/host-path";

export type Provisioner =
  /** Somebody outside, by the name that claims are marked with. */
  | { readonly kind: "outside"; readonly name: string }
  /** Directories of this machine. */
  | { readonly kind: "host-path"; readonly name: string }
  | { readonly kind: "none"; readonly message: string };

/** Who makes volumes of a class, by the provisioner that the class names. */
export function provisionerNamed(name: string): Provisioner {
  const driver = driverOf(name);
  if (driver !== undefined) return { kind: "outside", name: driver };
  if (!name.startsWith(inTreePrefix)) return { kind: "outside", name };
  if (name === hostPathPlugin) return { kind: "host-path", name };
  if (name === nfsPlugin) return { kind: "none", message: "no provisionable volume plugin matched" };
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
  if (provisioner === nfsPlugin) return { kind: "none", message: "no deletable volume plugin matched" };
  if (provisioner && provisioner !== hostPathPlugin) return { kind: "none", message: `no volume plugin matched name: ${provisioner}` };
  if (!provisioner && spec?.csi) return { kind: "outside" };
  const path = spec?.hostPath?.path;
  if (path === undefined) {
    const message = `error getting deleter volume plugin for volume ${JSON.stringify(metadata.name)}: no deletable volume plugin matched`;
    return { kind: "none", message };
  }
  // Neither /tmp itself, however it is written, nor what is not below it.
  if (!/^\/tmp\/./.test(posix.normalize(path)) || path.split("/").includes(".."))
    return { kind: "none", message: `host_path deleter only supports /tmp/.+ but received provided ${path}` };
  return { kind: "directory", path };
}

export function removeDirectory(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true });
}
