// Node affinity, pod affinity and pod anti-affinity.
import { type FieldError, forbiddenField, invalidValue, required } from "../meta/field-error.ts";
import { isDNS1123Label, isDNS1123Subdomain, isLabelValue, isQualifiedName } from "../meta/names.ts";
import type {
  Affinity,
  NodeAffinity,
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodAffinity,
  PodAffinityTerm,
} from "../types/core-v1.ts";
import type { LabelSelector } from "../types/meta-v1.ts";
import { validateLabelSelector } from "./label-selector.ts";
import type { PodAllowances } from "./pod-rules.ts";
import { addProblems } from "./rules.ts";

const requiredKey = "requiredDuringSchedulingIgnoredDuringExecution";
const preferredKey = "preferredDuringSchedulingIgnoredDuringExecution";

export function validateAffinity(errors: FieldError[], field: string, affinity: Affinity, allows: PodAllowances | undefined): void {
  const { nodeAffinity, podAffinity, podAntiAffinity } = affinity;
  if (nodeAffinity) validateNodeAffinity(errors, `${field}.nodeAffinity`, nodeAffinity, allows);
  if (podAffinity) validatePodAffinity(errors, `${field}.podAffinity`, podAffinity, allows);
  if (podAntiAffinity) validatePodAffinity(errors, `${field}.podAntiAffinity`, podAntiAffinity, allows);
}

function validateWeight(errors: FieldError[], field: string, weight = 0): void {
  if (weight <= 0 || weight > 100) errors.push(invalidValue(`${field}.weight`, weight, "must be in the range 1-100"));
}

export function validateNodeAffinity(errors: FieldError[], field: string, affinity: NodeAffinity, allows: PodAllowances | undefined): void {
  const { [requiredKey]: must, [preferredKey]: preferred = [] } = affinity;
  if (must) validateNodeSelector(errors, `${field}.${requiredKey}`, must, allows?.invalidNodeAffinityValues);
  for (const [i, { weight, preference }] of preferred.entries()) {
    const path = `${field}.${preferredKey}[${i}]`;
    validateWeight(errors, path, weight);
    // Values that no label can have do no harm here, and were never refused.
    validateNodeSelectorTerm(errors, `${path}.preference`, preference ?? {}, true);
  }
}

/** `allowInvalidValues`: values that no label can have are let pass. */
export function validateNodeSelector(errors: FieldError[], field: string, selector: NodeSelector, allowInvalidValues = false): void {
  const terms = selector.nodeSelectorTerms ?? [];
  const path = `${field}.nodeSelectorTerms`;
  if (terms.length === 0) errors.push(required(path, "must have at least one node selector term"));
  for (const [i, term] of terms.entries()) validateNodeSelectorTerm(errors, `${path}[${i}]`, term, allowInvalidValues);
}

function validateNodeSelectorTerm(errors: FieldError[], field: string, term: NodeSelectorTerm, allowInvalidValues: boolean): void {
  for (const [i, requirement] of (term.matchExpressions ?? []).entries())
    validateNodeExpression(errors, `${field}.matchExpressions[${i}]`, requirement, allowInvalidValues);
  for (const [i, requirement] of (term.matchFields ?? []).entries()) validateNodeField(errors, `${field}.matchFields[${i}]`, requirement);
}

function validateNodeExpression(
  errors: FieldError[],
  field: string,
  requirement: NodeSelectorRequirement,
  allowInvalidValues: boolean,
): void {
  const { key = "", operator, values = [] } = requirement;
  switch (operator) {
    case "In":
    case "NotIn":
      if (values.length === 0) errors.push(required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      break;
    case "Exists":
    case "DoesNotExist":
      if (values.length > 0)
        errors.push(forbiddenField(`${field}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
      break;
    case "Gt":
    case "Lt":
      if (values.length !== 1) errors.push(required(`${field}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
      break;
    default:
      errors.push(invalidValue(`${field}.operator`, operator ?? "", "not a valid selector operator"));
  }
  addProblems(errors, `${field}.key`, key, isQualifiedName(key));
  if (!allowInvalidValues)
    for (const [i, value] of values.entries()) addProblems(errors, `${field}.values[${i}]`, value, isLabelValue(value));
}

function validateNodeField(errors: FieldError[], field: string, { key = "", operator, values = [] }: NodeSelectorRequirement): void {
  if (operator === "In" || operator === "NotIn") {
    if (values.length !== 1)
      errors.push(required(`${field}.values`, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"));
  } else errors.push(invalidValue(`${field}.operator`, operator ?? "", "not a valid selector operator"));
  if (key !== "metadata.name") errors.push(invalidValue(`${field}.key`, key, "not a valid field selector key"));
  else for (const [i, value] of values.entries()) addProblems(errors, `${field}.values[${i}]`, value, isDNS1123Subdomain(value));
}

function validatePodAffinity(errors: FieldError[], field: string, affinity: PodAffinity, allows: PodAllowances | undefined): void {
  const { [requiredKey]: must = [], [preferredKey]: preferred = [] } = affinity;
  for (const [i, term] of must.entries()) validatePodAffinityTerm(errors, `${field}.${requiredKey}[${i}]`, term, allows);
  for (const [i, { weight, podAffinityTerm }] of preferred.entries()) {
    const path = `${field}.${preferredKey}[${i}]`;
    validateWeight(errors, path, weight);
    validatePodAffinityTerm(errors, `${path}.podAffinityTerm`, podAffinityTerm ?? {}, allows);
  }
}

function validatePodAffinityTerm(
  errors: FieldError[],
  field: string,
  term: Partial<PodAffinityTerm>,
  allows: PodAllowances | undefined,
): void {
  const options = { allowInvalidValues: allows?.invalidAffinitySelectorValues };
  const { labelSelector, topologyKey = "" } = term;
  validateLabelSelector(errors, `${field}.labelSelector`, labelSelector, options);
  validateLabelSelector(errors, `${field}.namespaceSelector`, term.namespaceSelector, options);
  for (const namespace of term.namespaces ?? []) addProblems(errors, `${field}.namespace`, namespace, isDNS1123Label(namespace));
  validateMatchLabelKeys(errors, field, term.matchLabelKeys, term.mismatchLabelKeys, labelSelector);
  if (topologyKey === "") errors.push(required(`${field}.topologyKey`, "can not be empty"));
  addProblems(errors, `${field}.topologyKey`, topologyKey, isQualifiedName(topologyKey));
}

/** Keys of labels whose values are taken over from the pod into a selector. */
export function validateMatchLabelKeys(
  errors: FieldError[],
  field: string,
  matching: readonly string[] = [],
  mismatching: readonly string[] = [],
  selector: LabelSelector | undefined,
): void {
  validateLabelKeys(errors, `${field}.matchLabelKeys`, matching, selector);
  validateLabelKeys(errors, `${field}.mismatchLabelKeys`, mismatching, selector);
  if (selector && matching.length > 0) {
    // A key that was merged into the selector stands there once; a second time it was there already.
    const selected = new Set(Object.keys(selector.matchLabels ?? {}));
    for (const { key } of selector.matchExpressions ?? []) {
      const index = matching.lastIndexOf(key);
      if (index >= 0 && selected.has(key))
        errors.push(invalidValue(`${field}[${index}]`, key, "exists in both matchLabelKeys and labelSelector"));
      selected.add(key);
    }
  }
  for (const [i, key] of matching.entries())
    if (mismatching.includes(key))
      errors.push(invalidValue(`${field}.matchLabelKeys[${i}]`, key, "exists in both matchLabelKeys and mismatchLabelKeys"));
}

function validateLabelKeys(errors: FieldError[], field: string, keys: readonly string[], selector: LabelSelector | undefined): void {
  if (keys.length === 0) return;
  if (!selector) errors.push(forbiddenField(field, "must not be specified when labelSelector is not set"));
  else for (const [i, key] of keys.entries()) addProblems(errors, `${field}[${i}]`, key, isQualifiedName(key));
}
