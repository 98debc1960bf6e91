// Sources of volumes that Kubernetes fills itself: files of the host, secrets, config maps, facts about the pod, images and
// claims that live as long as the pod.
import { appendAll } from "../../base/append-all.ts";
import { type FieldError, invalidValue, required } from "../meta/field-error.ts";
import type {
  ConfigMapVolumeSource,
  DownwardAPIVolumeFile,
  DownwardAPIVolumeSource,
  EphemeralVolumeSource,
  HostPathVolumeSource,
  ImageVolumeSource,
  KeyToPath,
  PersistentVolumeClaimTemplate,
  SecretVolumeSource,
} from "../types/core-v1.ts";
import { validateFieldReference, validateResourceReference, volumeFields } from "./field-references.ts";
import { validateFileMode, validatePathWithoutBacksteps, validateVolumeFilePath } from "./file-paths.ts";
import { forbidOwnMetadata, validateAnnotations, validateLabels } from "./object-meta.ts";
import { validateClaimSpec } from "./persistent-volume-claim-spec.ts";
import type { PodRules } from "./pod-rules.ts";
import { checkSupported } from "./rules.ts";

const hostPathTypes = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

export function validateHostPath(errors: FieldError[], field: string, { path, type }: HostPathVolumeSource): void {
  if (!path) {
    errors.push(required(`${field}.path`));
    return;
  }
  validatePathWithoutBacksteps(errors, `${field}.path`, path);
  if (type !== undefined) checkSupported(errors, `${field}.type`, type, hostPathTypes);
}

export function validateSecret(errors: FieldError[], field: string, { secretName, defaultMode, items }: SecretVolumeSource): void {
  if (!secretName) errors.push(required(`${field}.secretName`));
  validateFileMode(errors, `${field}.defaultMode`, defaultMode);
  validateItems(errors, `${field}.items`, items);
}

export function validateConfigMap(errors: FieldError[], field: string, { name, defaultMode, items }: ConfigMapVolumeSource): void {
  if (!name) errors.push(required(`${field}.name`));
  validateFileMode(errors, `${field}.defaultMode`, defaultMode);
  validateItems(errors, `${field}.items`, items);
}

function validateItems(errors: FieldError[], field: string, items: readonly KeyToPath[] = []): void {
  for (const [i, item] of items.entries()) validateItem(errors, `${field}[${i}]`, item);
}

/** A key that becomes a file, and where. */
export function validateItem(errors: FieldError[], field: string, { key, path, mode }: KeyToPath): void {
  if (!key) errors.push(required(`${field}.key`));
  if (!path) errors.push(required(`${field}.path`));
  else validateVolumeFilePath(errors, `${field}.path`, path);
  validateFileMode(errors, `${field}.mode`, mode);
}

export function validateDownwardAPI(errors: FieldError[], field: string, { defaultMode, items }: DownwardAPIVolumeSource): void {
  validateFileMode(errors, `${field}.defaultMode`, defaultMode);
  for (const file of items ?? []) validateDownwardFile(errors, field, file);
}

/** A file with a fact about the pod; upstream reports its problems at the source, not at the item. */
export function validateDownwardFile(
  errors: FieldError[],
  field: string,
  { path, fieldRef, resourceFieldRef, mode }: DownwardAPIVolumeFile,
): void {
  if (!path) errors.push(required(`${field}.path`));
  validateVolumeFilePath(errors, `${field}.path`, path ?? "");
  if (fieldRef) {
    validateFieldReference(errors, `${field}.fieldRef`, fieldRef, volumeFields);
    if (resourceFieldRef) errors.push(invalidValue(field, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"));
  } else if (resourceFieldRef) validateResourceReference(errors, `${field}.resourceFieldRef`, resourceFieldRef, true);
  else errors.push(required(field, "one of fieldRef and resourceFieldRef is required"));
  validateFileMode(errors, `${field}.mode`, mode);
}

export function validateImageVolume(
  errors: FieldError[],
  field: string,
  { reference, pullPolicy }: ImageVolumeSource,
  { isPod }: PodRules,
): void {
  if (isPod && !reference) errors.push(required(`${field}.reference`));
  checkSupported(errors, `${field}.pullPolicy`, pullPolicy, ["Always", "IfNotPresent", "Never"], "required");
}

export function validateEphemeral(errors: FieldError[], field: string, { volumeClaimTemplate: template }: EphemeralVolumeSource): void {
  if (template) validateClaimTemplate(errors, `${field}.volumeClaimTemplate`, template);
  else errors.push(required(`${field}.volumeClaimTemplate`));
}

function validateClaimTemplate(errors: FieldError[], field: string, { metadata, spec }: PersistentVolumeClaimTemplate): void {
  appendAll(errors, validateAnnotations(metadata?.annotations, `${field}.metadata.annotations`));
  appendAll(errors, validateLabels(metadata?.labels, `${field}.metadata.labels`));
  forbidOwnMetadata(errors, `${field}.metadata`, metadata);
  validateClaimSpec(errors, `${field}.spec`, spec ?? {});
}
