// Bindings of admission policies: which policy, with which parameters, for which requests, and what comes of it.
import { duplicate, type FieldError, forbiddenField, invalidValue, required } from "../meta/field-error.ts";
import { isPathSegmentName } from "../meta/names.ts";
import type {
  MatchResources,
  MutatingAdmissionPolicyBinding,
  NamedRuleWithOperations,
  ParamRef,
  ValidatingAdmissionPolicyBinding,
} from "../types/admissionregistration-v1.ts";
import { validateLabelSelector } from "./label-selector.ts";
import { subdomainName } from "./object-meta.ts";
import { repeats } from "./repeats.ts";
import { addProblems, asName, checkName, checkSupported } from "./rules.ts";
import { matchPolicies, validateAdmissionRule } from "./webhook.ts";

export function validateValidatingPolicyBinding({ spec }: ValidatingAdmissionPolicyBinding): FieldError[] {
  const errors: FieldError[] = [];
  validateBinding(errors, spec ?? {});
  validateActions(errors, "spec.validationActions", spec?.validationActions ?? []);
  return errors;
}

const mutatingOperations = ["*", "CONNECT", "CREATE", "UPDATE"];

export function validateMutatingPolicyBinding({ spec }: MutatingAdmissionPolicyBinding): FieldError[] {
  const errors: FieldError[] = [];
  validateBinding(errors, spec ?? {});
  validateMutatingOperations(errors, "spec.matchResources", spec?.matchResources);
  return errors;
}

/** What is deleted cannot be changed any more. */
export function validateMutatingOperations(errors: FieldError[], field: string, match: MatchResources | undefined): void {
  for (const { operations } of match?.resourceRules ?? [])
    for (const operation of operations ?? []) checkSupported(errors, `${field}.resourceRules.operations`, operation, mutatingOperations);
}

interface BindingSpec {
  readonly policyName?: string;
  readonly paramRef?: ParamRef;
  readonly matchResources?: MatchResources;
}

function validateBinding(errors: FieldError[], { policyName, paramRef, matchResources }: BindingSpec): void {
  checkName(errors, "spec.policyName", policyName, asName(subdomainName));
  if (paramRef) validateParamRef(errors, "spec.paramRef", paramRef);
  if (matchResources) validateMatchResources(errors, "spec.matchResources", matchResources);
}

function validateParamRef(errors: FieldError[], field: string, { name, selector, parameterNotFoundAction }: ParamRef): void {
  const both = "name and selector are mutually exclusive";
  if (name) {
    addProblems(errors, `${field}.name`, name, isPathSegmentName(name));
    if (selector) errors.push(forbiddenField(`${field}.name`, both));
  }
  if (selector) {
    validateLabelSelector(errors, `${field}.selector`, selector);
    if (name) errors.push(forbiddenField(`${field}.selector`, both));
  }
  if (!name && !selector) errors.push(required(field, "one of name or selector must be specified"));
  checkSupported(errors, `${field}.parameterNotFoundAction`, parameterNotFoundAction, ["Deny", "Allow"], "required");
}

/** Which requests a policy or binding is for; defaults have filled in its policy and selectors. */
export function validateMatchResources(errors: FieldError[], field: string, match: MatchResources): void {
  const { matchPolicy, namespaceSelector, objectSelector, resourceRules, excludeResourceRules } = match;
  if (matchPolicy === undefined) errors.push(required(`${field}.matchPolicy`));
  else checkSupported(errors, `${field}.matchPolicy`, matchPolicy, matchPolicies);
  if (!namespaceSelector) errors.push(required(`${field}.namespaceSelector`));
  validateLabelSelector(errors, `${field}.namespaceSelector`, namespaceSelector);
  if (!objectSelector) errors.push(required(`${field}.objectSelector`));
  validateLabelSelector(errors, `${field}.objectSelector`, objectSelector);
  for (const [i, rule] of (resourceRules ?? []).entries()) validateNamedRule(errors, `${field}.resourceRules[${i}]`, rule);
  for (const [i, rule] of (excludeResourceRules ?? []).entries()) validateNamedRule(errors, `${field}.excludeResourceRules[${i}]`, rule);
}

function validateNamedRule(errors: FieldError[], field: string, rule: NamedRuleWithOperations): void {
  const names = rule.resourceNames ?? [];
  const isRepeated = repeats<string>();
  for (const [i, name] of names.entries()) {
    addProblems(errors, `${field}.resourceNames[${i}]`, name, isPathSegmentName(name));
    if (isRepeated(name)) errors.push(duplicate(`${field}.resourceNames[${i}]`, name));
  }
  validateAdmissionRule(errors, field, rule);
}

function validateActions(errors: FieldError[], field: string, actions: readonly string[]): void {
  const isRepeated = repeats<string>();
  for (const [i, action] of actions.entries()) {
    checkSupported(errors, `${field}[${i}]`, action, ["Audit", "Deny", "Warn"]);
    if (isRepeated(action)) errors.push(duplicate(`${field}[${i}]`, action));
  }
  if (actions.includes("Deny") && actions.includes("Warn")) {
    const reason = "repeating the same validation failure information in the API response and headers serves no purpose";
    errors.push(invalidValue(field, actions, `must not contain both Deny and Warn (${reason})`));
  }
  if (actions.length === 0) errors.push(required(field, "at least one validation action is required"));
}
