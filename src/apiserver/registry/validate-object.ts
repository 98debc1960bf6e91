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
  const own = definition.create.validate?.(object) ?? [];
  if (definition.metadataOnCreate === "afterwards" && own.length > 0) return showSentEmpty([...own], object);
  const errors = validateObjectMeta(object, metaRules(definition));
  return showSentEmpty([...errors, ...own], object);
}

/** What the registry checks of every object, before the rules of its kind, and what the kind's rules repeat. */
export function validateChangedObject(
  definition: ResourceDefinition,
  strategy: UpdateStrategy<KubernetesObject>,
  object: KubernetesObject,
  old: KubernetesObject,
): FieldError[] {
  const { common, whole, qualifiedFinalizers } = updateRules(definition);
  const changes = validateObjectMetaUpdate(object, old);
  // Spread into lists, never into calls: of a large object there may be more than a call takes.
  let errors = [...validateObjectMeta(object, common), ...changes];
  for (const part of (strategy === definition.update ? definition.metadataOnUpdate : strategy.metadata) ?? onlyChanges) {
    if (part === "whole") errors = [...errors, ...validateObjectMeta(object, whole)];
    else errors = [...errors, ...changes, ...(qualifiedFinalizers ? validateFinalizerDomains(object) : [])];
  }
  const own = strategy.validate?.(object, old);
  return showSentEmpty(own ? [...errors, ...own] : errors, object);
}

const onlyChanges = ["changes"] as const;

interface UpdateRules {
  /** What the registry asks of every kind. */
  readonly common: MetaRules;
  /** What the kind asks again. */
  readonly whole: MetaRules;
  readonly qualifiedFinalizers: boolean;
}

const updateRulesOf = new WeakMap<ResourceDefinition, UpdateRules>();

function updateRules(definition: ResourceDefinition): UpdateRules {
  let rules = updateRulesOf.get(definition);
  if (!rules) {
    const own = metaRules(definition);
    rules = {
      common: { namespaced: own.namespaced, validateName: generated(isPathSegmentPrefix), qualifiedFinalizers: false },
      whole: { ...own, validateName: generated(own.validateName ?? subdomainName) },
      qualifiedFinalizers: own.qualifiedFinalizers,
    };
    updateRulesOf.set(definition, rules);
  }
  return rules;
}

/** The name cannot change, and may be older than its rules: only a generateName is looked at. */
const generated =
  (check: NameCheck): NameCheck =>
  (name, prefix, object) =>
    prefix ? check(name, true, object) : [];

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
