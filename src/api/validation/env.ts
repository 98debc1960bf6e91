// Environment variables of containers: names, values, and the sources values are taken from.
import { type FieldError, invalidValue, required } from "../meta/field-error.ts";
import { isConfigMapKey, isDNS1123Label, isDNS1123Subdomain, isEnvVarName } from "../meta/names.ts";
import type { ConfigMapKeySelector, EnvFromSource, EnvVar, EnvVarSource, FileKeySelector } from "../types/core-v1.ts";
import { environmentFields, validateFieldReference, validateResourceReference } from "./field-references.ts";
import { validatePathWithoutBacksteps } from "./file-paths.ts";
import { subdomainName, withoutTrailingDash } from "./object-meta.ts";
import { addProblems, asName, checkName } from "./rules.ts";

export function validateEnv(errors: FieldError[], field: string, variables: readonly EnvVar[]): void {
  for (let i = 0; i < variables.length; i++) {
    const variable = variables[i];
    if (!variable) continue;
    if (!variable.name) errors.push(required(`${field}[${i}].name`));
    else addProblems(errors, `${field}[${i}].name`, variable.name, isEnvVarName(variable.name));
    if (variable.valueFrom) validateSource(errors, `${field}[${i}].valueFrom`, variable.valueFrom, variable.value);
  }
}

function validateSource(errors: FieldError[], field: string, source: EnvVarSource, value: string | undefined): void {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = source;
  if (fieldRef) validateFieldReference(errors, `${field}.fieldRef`, fieldRef, environmentFields);
  if (resourceFieldRef) validateResourceReference(errors, `${field}.resourceFieldRef`, resourceFieldRef, false);
  if (configMapKeyRef) validateKeyReference(errors, `${field}.configMapKeyRef`, configMapKeyRef);
  if (secretKeyRef) validateKeyReference(errors, `${field}.secretKeyRef`, secretKeyRef);
  if (fileKeyRef) validateFileReference(errors, `${field}.fileKeyRef`, fileKeyRef);
  const sources = [fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef].filter((s) => s !== undefined).length;
  if (sources === 0)
    errors.push(
      invalidValue(field, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"),
    );
  else if (value) errors.push(invalidValue(field, "", "may not be specified when `value` is not empty"));
  else if (sources > 1) errors.push(invalidValue(field, "", "may not have more than one field specified at a time"));
}

/** A key of a config map or a secret. */
function validateKeyReference(errors: FieldError[], field: string, { name = "", key }: ConfigMapKeySelector): void {
  addProblems(errors, `${field}.name`, name, isDNS1123Subdomain(name));
  checkName(errors, `${field}.key`, key, isConfigMapKey);
}

function validateFileReference(errors: FieldError[], field: string, { key, volumeName, path }: FileKeySelector): void {
  checkName(errors, `${field}.key`, key, isEnvVarName);
  checkName(errors, `${field}.volumeName`, volumeName, isDNS1123Label);
  if (!path) errors.push(required(`${field}.path`));
  else validatePathWithoutBacksteps(errors, `${field}.path`, path);
}

const sourceName = (name: string): readonly string[] => asName(subdomainName)(withoutTrailingDash(name));

export function validateEnvFrom(errors: FieldError[], field: string, sources: readonly EnvFromSource[]): void {
  for (const [i, { prefix, configMapRef, secretRef }] of sources.entries()) {
    if (prefix) addProblems(errors, `${field}[${i}].prefix`, prefix, isEnvVarName(prefix));
    if (configMapRef) checkName(errors, `${field}[${i}].configMapRef.name`, configMapRef.name, sourceName);
    if (secretRef) checkName(errors, `${field}[${i}].secretRef.name`, secretRef.name, sourceName);
    if (!configMapRef && !secretRef) errors.push(invalidValue(field, "", "must specify one of: `configMapRef` or `secretRef`"));
    else if (configMapRef && secretRef) errors.push(invalidValue(field, "", "may not have more than one field specified at a time"));
  }
}
