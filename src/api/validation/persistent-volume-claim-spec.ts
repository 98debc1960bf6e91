// The specification of a persistent volume claim, in claims themselves, in templates of stateful sets and in ephemeral
// volumes.
import { type FieldError, forbiddenField, invalidValue, required } from "../meta/field-error.ts";
import { isDNS1123Label, isDNS1123Subdomain } from "../meta/names.ts";
import { parseQuantity } from "../meta/quantity.ts";
import type { PersistentVolumeClaimSpec, TypedObjectReference } from "../types/core-v1.ts";
import { validateLabelSelector } from "./label-selector.ts";
import { isFractional } from "./resources.ts";
import { addProblems, checkPresent, checkSupported } from "./rules.ts";

export interface ClaimSpecRules {
  /** The old version had such values, which would be refused in a new claim. */
  readonly allowInvalidSelectorValues?: boolean;
  readonly allowInvalidSourceGroup?: boolean;
}

export const accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

export function validateClaimSpec(errors: FieldError[], field: string, spec: PersistentVolumeClaimSpec, rules: ClaimSpecRules = {}): void {
  validateAccessModes(errors, `${field}.accessModes`, spec, () =>
    validateLabelSelector(errors, `${field}.selector`, spec.selector, { allowInvalidValues: rules.allowInvalidSelectorValues }),
  );
  validateSize(errors, `${field}.resources[storage]`, spec.resources?.requests?.storage);
  const { storageClassName: storageClass, volumeAttributesClassName: attributesClass } = spec;
  if (storageClass) addProblems(errors, `${field}.storageClassName`, storageClass, isDNS1123Subdomain(storageClass));
  if (spec.volumeMode !== undefined) checkSupported(errors, `${field}.volumeMode`, spec.volumeMode, ["Block", "Filesystem"]);
  validateSources(errors, field, spec, rules);
  if (attributesClass) addProblems(errors, `${field}.volumeAttributesClassName`, attributesClass, isDNS1123Subdomain(attributesClass));
}

function validateAccessModes(
  errors: FieldError[],
  field: string,
  { accessModes: modes = [] }: PersistentVolumeClaimSpec,
  selector: () => void,
): void {
  if (modes.length === 0) errors.push(required(field, "at least 1 access mode is required"));
  selector();
  for (const mode of modes) checkSupported(errors, field, mode, accessModes);
  if (modes.includes("ReadWriteOncePod") && modes.some((mode) => mode !== "ReadWriteOncePod" && accessModes.includes(mode)))
    errors.push(forbiddenField(field, "may not use ReadWriteOncePod with other access modes"));
}

function validateSize(errors: FieldError[], field: string, size: string | number | undefined): void {
  if (size === undefined) errors.push(required(field));
  else if (parseQuantity(size).sign <= 0) errors.push(invalidValue(field, String(parseQuantity(size)), "must be greater than zero"));
}

function validateSources(
  errors: FieldError[],
  field: string,
  { dataSource, dataSourceRef }: PersistentVolumeClaimSpec,
  rules: ClaimSpecRules,
): void {
  if (dataSource) validateSource(errors, `${field}.dataSource`, dataSource, rules);
  if (dataSourceRef) {
    validateSource(errors, `${field}.dataSourceRef`, dataSourceRef, rules);
    const { namespace } = dataSourceRef;
    if (namespace) addProblems(errors, `${field}.dataSourceRef.namespace`, namespace, isDNS1123Label(namespace));
  }
  if (!dataSource || !dataSourceRef) return;
  // Upstream shows the path of the field, an object without public fields, as the value.
  if (dataSourceRef.namespace) errors.push(invalidValue(field, {}, "may not be specified when dataSourceRef.namespace is specified"));
  else if (
    dataSource.apiGroup !== dataSourceRef.apiGroup ||
    dataSource.kind !== dataSourceRef.kind ||
    dataSource.name !== dataSourceRef.name
  )
    errors.push(invalidValue(field, {}, "must match dataSourceRef"));
}

function validateSource(errors: FieldError[], field: string, { name, kind, apiGroup }: TypedObjectReference, rules: ClaimSpecRules): void {
  checkPresent(errors, `${field}.name`, name);
  checkPresent(errors, `${field}.kind`, kind);
  if (!apiGroup) {
    if (kind !== "PersistentVolumeClaim")
      errors.push(invalidValue(field, kind ?? "", "must be 'PersistentVolumeClaim' when referencing the default apiGroup"));
  } else if (!rules.allowInvalidSourceGroup) addProblems(errors, `${field}.apiGroup`, apiGroup, isDNS1123Subdomain(apiGroup));
}

/** What the server warns of a claim's sizes. */
export function claimSpecWarnings(field: string, { resources }: PersistentVolumeClaimSpec): readonly string[] {
  const warnings: string[] = [];
  for (const list of ["requests", "limits"] as const) {
    const size = resources?.[list]?.storage;
    if (size !== undefined && isFractional(parseQuantity(size)))
      warnings.push(`${field}.resources.${list}[storage]: fractional byte value "${parseQuantity(size)}" is invalid, must be an integer`);
  }
  return warnings;
}
