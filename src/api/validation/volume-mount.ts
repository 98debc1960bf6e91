// Mounts of volumes into containers and claims that containers use as block devices: each names a volume of the pod, and
// no two may meet at one path.
import { type FieldError, forbiddenField, invalidValue, notFoundError, required } from "../meta/field-error.ts";
import type { Container, Volume, VolumeDevice, VolumeMount } from "../types/core-v1.ts";
import { hasBacksteps, validateDescendingPath } from "./file-paths.ts";
import { checkSupported } from "./rules.ts";

/** The pod's volumes without those that have errors themselves, by name. */
export type VolumesByName = ReadonlyMap<string, Volume>;

const noMounts: readonly VolumeMount[] = [];
const noDevices: readonly VolumeDevice[] = [];

export function validateMounts(errors: FieldError[], field: string, container: Container, volumes: VolumesByName): void {
  const { volumeMounts: mounts = noMounts, volumeDevices: devices = noDevices } = container;
  for (let i = 0; i < mounts.length; i++) {
    const mount = mounts[i];
    if (mount) validateMount(errors, field, i, mount, container, volumes);
  }
  const paths = new Set<string>();
  const names = new Set<string>();
  for (const [i, device] of devices.entries())
    validateDevice(errors, `${field}.volumeDevices[${i}]`, device, mounts, volumes, { paths, names });
}

function validateMount(
  errors: FieldError[],
  field: string,
  index: number,
  mount: VolumeMount,
  container: Container,
  volumes: VolumesByName,
): void {
  const { name = "", mountPath, subPath, subPathExpr } = mount;
  const { volumeMounts: mounts = noMounts, volumeDevices: devices = noDevices } = container;
  const path = `${field}.volumeMounts[${index}]`;
  // Some problems are reported at the list rather than at the mount, upstream's way.
  const list = `${field}.volumeMounts`;
  if (name === "") errors.push(required(`${path}.name`));
  if (!volumes.has(name)) errors.push(notFoundError(`${path}.name`, name));
  if (!mountPath) errors.push(required(`${path}.mountPath`));
  for (let i = 0; i < index; i++)
    if (mounts[i]?.mountPath === mountPath) {
      errors.push(invalidValue(`${path}.mountPath`, mountPath ?? "", "must be unique"));
      break;
    }
  if (devices.some((device) => device.name === name))
    errors.push(invalidValue(`${path}.name`, name, "must not already exist in volumeDevices"));
  if (devices.some((device) => device.devicePath === mountPath))
    errors.push(invalidValue(`${path}.mountPath`, mountPath, "must not already exist as a path in volumeDevices"));
  if (subPath) validateDescendingPath(errors, `${list}.subPath`, subPath);
  if (subPathExpr) {
    if (subPath) errors.push(invalidValue(`${path}.subPathExpr`, subPathExpr, "subPathExpr and subPath are mutually exclusive"));
    validateDescendingPath(errors, `${list}.subPathExpr`, subPathExpr);
  }
  if (mount.mountPropagation !== undefined)
    validatePropagation(errors, `${list}.mountPropagation`, mount.mountPropagation, container.securityContext?.privileged === true);
  if (mount.recursiveReadOnly !== undefined) validateRecursiveReadOnly(errors, `${list}.recursiveReadOnly`, mount);
}

function validatePropagation(errors: FieldError[], field: string, propagation: string, privileged: boolean): void {
  checkSupported(errors, field, propagation, ["Bidirectional", "HostToContainer", "None"]);
  if (propagation === "Bidirectional" && !privileged)
    errors.push(forbiddenField(field, "Bidirectional mount propagation is available only to privileged containers"));
}

function validateRecursiveReadOnly(
  errors: FieldError[],
  field: string,
  { recursiveReadOnly, readOnly, mountPropagation }: VolumeMount,
): void {
  checkSupported(errors, field, recursiveReadOnly, ["Disabled", "Enabled", "IfPossible"]);
  if (recursiveReadOnly !== "Enabled" && recursiveReadOnly !== "IfPossible") return;
  if (!readOnly) errors.push(forbiddenField(field, "may only be specified when readOnly is true"));
  if (mountPropagation !== undefined && mountPropagation !== "None")
    errors.push(forbiddenField(field, "may only be specified when mountPropagation is None or not specified"));
}

interface SeenDevices {
  readonly paths: Set<string>;
  readonly names: Set<string>;
}

function validateDevice(
  errors: FieldError[],
  path: string,
  { name = "", devicePath = "" }: VolumeDevice,
  mounts: readonly VolumeMount[],
  volumes: VolumesByName,
  seen: SeenDevices,
): void {
  const volume = volumes.get(name);
  const atName = (detail: string): unknown => errors.push(invalidValue(`${path}.name`, name, detail));
  const atPath = (detail: string): unknown => errors.push(invalidValue(`${path}.devicePath`, devicePath, detail));
  if (name === "") errors.push(required(`${path}.name`));
  if (seen.names.has(name)) atName("must be unique");
  if (!volume) errors.push(notFoundError(`${path}.name`, name));
  else if (!volume.persistentVolumeClaim && !volume.ephemeral)
    atName("can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
  if (devicePath === "") errors.push(required(`${path}.devicePath`));
  if (seen.paths.has(devicePath)) atPath("must be unique");
  if (hasBacksteps(devicePath)) atPath("can not contain backsteps ('..')");
  else seen.paths.add(devicePath);
  if (mounts.some((mount) => mount.name === name)) atName("must not already exist in volumeMounts");
  if (mounts.some((mount) => mount.mountPath === devicePath)) atPath("must not already exist as a path in volumeMounts");
  if (name !== "") seen.names.add(name);
}
