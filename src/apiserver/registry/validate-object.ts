// All checks of an object that is about to be stored: those of metadata, which every kind shares, and the kind's own.
import type { FieldError } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { type MetaRules, validateObjectMeta, validateObjectMetaUpdate } from "../../api/validation/object-meta.ts";
import type { ResourceDefinition, UpdateStrategy } from "./resource-definition.ts";

export function validateNewObject(definition: ResourceDefinition, object: KubernetesObject): FieldError[] {
  return [...validateObjectMeta(object, metaRules(definition)), ...(definition.create.validate?.(object) ?? [])];
}

export function validateChangedObject(
  definition: ResourceDefinition,
  strategy: UpdateStrategy<KubernetesObject>,
  object: KubernetesObject,
  old: KubernetesObject,
): FieldError[] {
  // The name cannot change, and may be older than its rules.
  const rules = { ...metaRules(definition), validateName: () => [] };
  const metadata = [...validateObjectMeta(object, rules), ...validateObjectMetaUpdate(object, old)];
  // Upstream checks metadata in its registry and again in its kinds, and lists a problem as often as it finds it.
  return [...metadata, ...metadata, ...(strategy.validate?.(object, old) ?? [])];
}

const metaRules = ({ type, validateName }: ResourceDefinition): MetaRules => ({
  namespaced: type.namespaced,
  validateName,
  // Definitions of custom resources are checked as their objects are: their own finalizer is a plain name.
  qualifiedFinalizers: type.schema !== undefined && type.group !== "apiextensions.k8s.io",
});
