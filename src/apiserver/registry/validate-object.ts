// All checks of an object that is about to be stored: those of metadata, which every kind shares, and the kind's own.
import type { FieldError } from "../../api/meta/field-error.ts";
import { isPathSegmentPrefix } from "../../api/meta/names.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { showSentEmpty } from "../../api/meta/sent-empty.ts";
import {
  type MetaRules,
  type NameCheck,
  subdomainName,
  validateFinalizerDomains,
  validateObjectMeta,
  validateObjectMetaUpdate,
} from "../../api/validation/object-meta.ts";
import type { ResourceDefinition, UpdateStrategy } from "./resource-definition.ts";

export function validateNewObject(definition: ResourceDefinition, object: KubernetesObject): FieldError[] {
  const errors = [...validateObjectMeta(object, metaRules(definition)), ...(definition.create.validate?.(object) ?? [])];
  return showSentEmpty(errors, object);
}

/** What the registry checks of every object, before the rules of its kind, and what the kind's rules repeat. */
export function validateChangedObject(
  definition: ResourceDefinition,
  strategy: UpdateStrategy<KubernetesObject>,
  object: KubernetesObject,
  old: KubernetesObject,
): FieldError[] {
  // The name cannot change, and may be older than its rules: only a generateName is looked at.
  const generated =
    (check: NameCheck): NameCheck =>
    (name, prefix) =>
      prefix ? check(name, true, object) : [];
  const common = { namespaced: definition.type.namespaced, validateName: generated(isPathSegmentPrefix), qualifiedFinalizers: false };
  const rules = metaRules(definition);
  const checks = {
    whole: () => validateObjectMeta(object, { ...rules, validateName: generated(rules.validateName ?? subdomainName) }),
    changes: () => [...validateObjectMetaUpdate(object, old), ...(rules.qualifiedFinalizers ? validateFinalizerDomains(object) : [])],
  };
  const repeated = (strategy === definition.update ? definition.metadataOnUpdate : strategy.metadata) ?? ["changes"];
  const errors = [
    ...validateObjectMeta(object, common),
    ...validateObjectMetaUpdate(object, old),
    ...repeated.flatMap((part) => checks[part]()),
    ...(strategy.validate?.(object, old) ?? []),
  ];
  return showSentEmpty(errors, object);
}

/** Groups whose kinds are checked as custom resources are: a finalizer may be a plain name. */
const plainFinalizers = new Set([
  "admissionregistration.k8s.io",
  "apiextensions.k8s.io",
  "apiregistration.k8s.io",
  "coordination.k8s.io",
  "node.k8s.io",
]);

const metaRules = ({
  type,
  validateName,
  metadataOnUpdate,
}: ResourceDefinition): MetaRules & { readonly qualifiedFinalizers: boolean } => ({
  namespaced: type.namespaced,
  validateName,
  // Nor are finalizers looked at where the kind's own rules leave metadata alone.
  qualifiedFinalizers: type.schema !== undefined && !plainFinalizers.has(type.group) && metadataOnUpdate?.length !== 0,
});
