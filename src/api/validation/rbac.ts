// Validation of roles and bindings.
import { semanticallyEqual } from "../meta/equality.ts";
import { type FieldError, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { isDNS1123Subdomain, isPathSegmentName } from "../meta/names.ts";
import { labelMatcher, SelectorError } from "../meta/selectors.ts";
import type { LabelSelector } from "../types/meta-v1.ts";
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject } from "../types/rbac-v1.ts";
import { validateLabelSelector } from "./label-selector.ts";
import { addProblems, checkName } from "./rules.ts";

const group = "rbac.authorization.k8s.io";

export function validateRole({ rules }: Role): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, rule] of (rules ?? []).entries()) validateRule(errors, `rules[${i}]`, rule, true);
  return errors;
}

export function validateClusterRole({ rules, aggregationRule }: ClusterRole, old?: ClusterRole): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, rule] of (rules ?? []).entries()) validateRule(errors, `rules[${i}]`, rule, false);
  if (!aggregationRule) return errors;
  const field = "aggregationRule.clusterRoleSelectors";
  const selectors = aggregationRule.clusterRoleSelectors ?? [];
  if (selectors.length === 0) errors.push(required(field, "at least one clusterRoleSelector required if aggregationRule is non-nil"));
  const allowInvalidValues = (old?.aggregationRule?.clusterRoleSelectors ?? []).some(hasProblems);
  for (const [i, selector] of selectors.entries()) {
    validateLabelSelector(errors, `${field}[${i}]`, selector, { allowInvalidValues });
    if (!isReadable(selector)) errors.push(invalidValue(`${field}[${i}]`, null, "invalid label selector."));
  }
  return errors;
}

function hasProblems(selector: LabelSelector): boolean {
  const errors: FieldError[] = [];
  validateLabelSelector(errors, "", selector);
  return errors.length > 0;
}

function isReadable(selector: LabelSelector): boolean {
  try {
    labelMatcher(selector);
    return true;
  } catch (error) {
    if (error instanceof SelectorError) return false;
    throw error;
  }
}

function validateRule(errors: FieldError[], field: string, rule: PolicyRule, namespaced: boolean): void {
  const { verbs, nonResourceURLs = [], apiGroups = [], resources = [], resourceNames = [] } = rule;
  if ((verbs ?? []).length === 0) errors.push(required(`${field}.verbs`, "verbs must contain at least one value"));
  if (nonResourceURLs.length > 0) {
    const refuse = (detail: string): void => void errors.push(invalidValue(`${field}.nonResourceURLs`, nonResourceURLs, detail));
    if (namespaced) refuse("namespaced rules cannot apply to non-resource URLs");
    if (apiGroups.length > 0 || resources.length > 0 || resourceNames.length > 0)
      refuse("rules cannot apply to both regular resources and non-resource URLs");
    return;
  }
  if (apiGroups.length === 0) errors.push(required(`${field}.apiGroups`, "resource rules must supply at least one api group"));
  if (resources.length === 0) errors.push(required(`${field}.resources`, "resource rules must supply at least one resource"));
}

export const validateRoleBinding = (binding: RoleBinding, old?: RoleBinding): FieldError[] => validateBinding(binding, old, true);
export const validateClusterRoleBinding = (binding: ClusterRoleBinding, old?: ClusterRoleBinding): FieldError[] =>
  validateBinding(binding, old, false);

type Binding = RoleBinding | ClusterRoleBinding;

function validateBinding({ roleRef, subjects }: Binding, old: Binding | undefined, namespaced: boolean): FieldError[] {
  const errors: FieldError[] = [];
  const { apiGroup = "", kind, name } = roleRef;
  if (apiGroup !== group) errors.push(notSupported("roleRef.apiGroup", apiGroup, [group]));
  const kinds = namespaced ? ["Role", "ClusterRole"] : ["ClusterRole"];
  if (!kinds.includes(kind)) errors.push(notSupported("roleRef.kind", kind, kinds));
  checkName(errors, "roleRef.name", name, isPathSegmentName);
  for (const [i, subject] of (subjects ?? []).entries()) validateSubject(errors, `subjects[${i}]`, subject, namespaced);
  if (old && !semanticallyEqual(old.roleRef, roleRef))
    errors.push(invalidValue("roleRef", { APIGroup: apiGroup, Kind: kind, Name: name }, "cannot change roleRef"));
  return errors;
}

function validateSubject(
  errors: FieldError[],
  field: string,
  { kind, name, namespace, apiGroup = "" }: Subject,
  namespaced: boolean,
): void {
  if (!name) errors.push(required(`${field}.name`));
  switch (kind) {
    case "ServiceAccount":
      if (name) addProblems(errors, `${field}.name`, name, isDNS1123Subdomain(name));
      if (apiGroup !== "") errors.push(notSupported(`${field}.apiGroup`, apiGroup, [""]));
      if (!namespaced && !namespace) errors.push(required(`${field}.namespace`));
      break;
    case "User":
    case "Group":
      if (apiGroup !== group) errors.push(notSupported(`${field}.apiGroup`, apiGroup, [group]));
      break;
    default:
      errors.push(notSupported(`${field}.kind`, kind, ["ServiceAccount", "User", "Group"]));
  }
}
