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
  if (mounts.length > 0) {
    const paths = new Set<string | undefined>();
    const taken = devices.length > 0 ? takenBy(devices.map(({ name, devicePath }) => [name, devicePath])) : nothingTaken;
    for (let i = 0; i < mounts.length; i++) {
      const mount = mounts[i];
      if (mount) validateMount(errors, { field, index: i, container, volumes, paths, taken }, mount);
    }
  }
  if (devices.length === 0) return;
  const taken = mounts.length > 0 ? takenBy(mounts.map(({ name, mountPath }) => [name, mountPath])) : nothingTaken;
  const seen = { paths: new Set<string>(), names: new Set<string>(), taken };
  for (const [i, device] of devices.entries()) validateDevice(errors, `${field}.volumeDevices[${i}]`, device, volumes, seen);
}

/** Names of volumes and paths that the other list has. */
interface Taken {
  readonly names: ReadonlySet<string | undefined>;
  readonly paths: ReadonlySet<string | undefined>;
}

const nothingTaken: Taken = { names: new Set(), paths: new Set() };

const takenBy = (pairs: readonly (readonly [string | undefined, string | undefined])[]): Taken => ({
  names: new Set(pairs.map(([name]) => name)),
  paths: new Set(pairs.map(([, path]) => path)),
});

interface MountPlace {
  readonly field: string;
  readonly index: number;
  readonly container: Container;
  readonly volumes: VolumesByName;
  /** Of the mounts before it. */
  readonly paths: Set<string | undefined>;
  readonly taken: Taken;
}

function validateMount(errors: FieldError[], place: MountPlace, mount: VolumeMount): void {
  const { field, index, container, volumes, paths, taken } = place;
  const { name = "", mountPath, subPath, subPathExpr } = mount;
  const path = `${field}.volumeMounts[${index}]`;
  // Some problems are reported at the list rather than at the mount, upstream's way.
  const list = `${field}.volumeMounts`;
  if (name === "") errors.push(required(`${path}.name`));
  if (!volumes.has(name)) errors.push(notFoundError(`${path}.name`, name));
  if (!mountPath) errors.push(required(`${path}.mountPath`));
  if (paths.has(mountPath)) errors.push(invalidValue(`${path}.mountPath`, mountPath ?? "", "must be unique"));
  paths.add(mountPath);
  if (taken.names.has(name)) errors.push(invalidValue(`${path}.name`, name, "must not already exist in volumeDevices"));
  if (taken.paths.has(mountPath))
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
  /** By mounts. */
  readonly taken: Taken;
}

function validateDevice(
  errors: FieldError[],
  path: string,
  { name = "", devicePath = "" }: VolumeDevice,
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
  if (seen.taken.names.has(name)) atName("must not already exist in volumeMounts");
  if (seen.taken.paths.has(devicePath)) atPath("must not already exist as a path in volumeMounts");
  if (name !== "") seen.names.add(name);
}
