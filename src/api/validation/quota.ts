// Validation of resource quotas and limit ranges.
import { duplicate, type FieldError, forbiddenField, invalidValue, required } from "../meta/field-error.ts";
import { isQualifiedName } from "../meta/names.ts";
import { parseQuantity, type Quantity } from "../meta/quantity.ts";
import type { LimitRange, LimitRangeItem, ResourceQuota, ResourceQuotaSpec, ScopedResourceSelectorRequirement } from "../types/core-v1.ts";
import { internalForm } from "./internal-form.ts";
import {
  isIntegerResource,
  isStandardQuotaResource,
  mayOvercommit,
  validateContainerResourceName,
  validateResourceName,
} from "./resource-names.ts";
import { isFractional } from "./resources.ts";
import { addProblems } from "./rules.ts";

type Amounts = Readonly<Record<string, string | number>>;

export function validateResourceQuota(quota: ResourceQuota, old?: ResourceQuota): FieldError[] {
  const errors: FieldError[] = [];
  const spec = quota.spec ?? {};
  validateHard(errors, "spec.hard", spec.hard);
  validateScopes(errors, spec);
  for (const requirement of spec.scopeSelector?.matchExpressions ?? []) validateRequirement(errors, spec, requirement);
  const selected = (spec.scopeSelector?.matchExpressions ?? []).map((r) => r.scopeName);
  validatePairs(errors, "spec.scopeSelector.matchExpressions", selected, spec);
  if (!old) {
    validateHard(errors, "status.hard", quota.status?.hard);
    validateHard(errors, "status.used", quota.status?.used);
  } else {
    const [now, before] = [new Set(spec.scopes), new Set(old.spec?.scopes)];
    if (now.size !== before.size || [...now].some((scope) => !before.has(scope)))
      errors.push(invalidValue("spec.scopes", spec.scopes ?? null, "field is immutable"));
  }
  return errors;
}

export function validateResourceQuotaStatus({ status }: ResourceQuota): FieldError[] {
  const errors: FieldError[] = [];
  validateHard(errors, "status.hard", status?.hard);
  validateHard(errors, "status.used", status?.used);
  return errors;
}

function validateHard(errors: FieldError[], field: string, amounts: Amounts | undefined): void {
  for (const name in amounts) {
    const at = `${field}[${name}]`;
    validateResourceName(errors, at, name);
    if (!name.includes("/") && !isStandardQuotaResource(name)) errors.push(invalidValue(at, name, "must be a standard resource for quota"));
    const amount = parseQuantity(amounts[name] ?? 0);
    if (amount.sign < 0) errors.push(invalidValue(at, String(amount), "must be greater than or equal to 0"));
    if (isIntegerResource(name) && isFractional(amount)) errors.push(invalidValue(at, String(amount), "must be an integer"));
  }
}

const lifetimeScopes = ["Terminating", "NotTerminating"];
const qosScopes = ["BestEffort", "NotBestEffort"];
const classScopes = ["PriorityClass", "CrossNamespacePodAffinity"];
const scopes = new Set([...lifetimeScopes, ...qosScopes, ...classScopes, "VolumeAttributesClass"]);
const podAmounts = new Set(["pods", ...["cpu", "memory"].flatMap((name) => [name, `requests.${name}`, `limits.${name}`])]);

/** Whether a scope makes sense for a resource: most are about pods, one about claims. */
function suitsScope(scope: string, resource: string): boolean {
  if (scope === "BestEffort") return resource === "pods";
  if (scope === "VolumeAttributesClass") return resource === "persistentvolumeclaims" || resource === "requests.storage";
  if (scopes.has(scope)) return podAmounts.has(resource);
  return true;
}

function unsuited({ hard = {} }: ResourceQuotaSpec, scope: string): number {
  return Object.keys(hard).filter((name) => isStandardQuotaResource(name) && !suitsScope(scope, name)).length;
}

/** Scopes and resources multiply; nobody can be told of more. */
const maxScopeErrors = 10_000;

function validateScopes(errors: FieldError[], spec: ResourceQuotaSpec): void {
  const list = spec.scopes ?? [];
  const counts = new Map<string, number>();
  for (const scope of list) {
    if (errors.length > maxScopeErrors) break;
    if (!scopes.has(scope)) errors.push(invalidValue("spec.scopes", list, "unsupported scope"));
    const count = counts.get(scope) ?? unsuited(spec, scope);
    counts.set(scope, count);
    for (let n = Math.min(count, maxScopeErrors); n > 0; n--)
      errors.push(invalidValue("spec.scopes", list, "unsupported scope applied to resource"));
  }
  validatePairs(errors, "spec.scopes", list, spec);
}

/** Scopes that exclude each other. */
function validatePairs(errors: FieldError[], field: string, list: readonly string[], spec: ResourceQuotaSpec): void {
  for (const pair of [qosScopes, lifetimeScopes])
    if (pair.every((scope) => list.includes(scope))) errors.push(invalidValue(field, spec.scopes ?? null, "conflicting scopes"));
}

const presenceOnly = new Set([...lifetimeScopes, ...qosScopes, "CrossNamespacePodAffinity"]);

function validateRequirement(errors: FieldError[], spec: ResourceQuotaSpec, requirement: ScopedResourceSelectorRequirement): void {
  const field = "spec.scopeSelector.matchExpressions";
  const { scopeName: scope, operator, values = [] } = requirement;
  if (!scopes.has(scope)) errors.push(invalidValue(`${field}.scopeName`, scope, "unsupported scope"));
  for (let n = unsuited(spec, scope); n > 0; n--)
    errors.push(invalidValue(field, internalForm("?ScopeSelector", spec.scopeSelector), "unsupported scope applied to resource"));
  if (presenceOnly.has(scope) && operator !== "Exists")
    errors.push(
      invalidValue(
        `${field}.operator`,
        operator,
        "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
      ),
    );
  if (operator === "In" || operator === "NotIn") {
    if (values.length === 0)
      errors.push(required(`${field}.values`, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"));
  } else if (operator === "Exists" || operator === "DoesNotExist") {
    if (values.length > 0)
      errors.push(
        invalidValue(`${field}.values`, values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"),
      );
  } else errors.push(invalidValue(`${field}.operator`, operator, "not a valid selector operator"));
}

const limitTypes = new Set(["Pod", "Container", "PersistentVolumeClaim"]);

export function validateLimitRange({ spec }: LimitRange): FieldError[] {
  const errors: FieldError[] = [];
  const types = new Set<string>();
  for (const [i, item] of (spec?.limits ?? []).entries()) {
    const field = `spec.limits[${i}]`;
    const problems = isQualifiedName(item.type);
    addProblems(errors, `${field}.type`, item.type, problems);
    if (problems.length === 0 && !item.type.includes("/") && !limitTypes.has(item.type))
      errors.push(invalidValue(`${field}.type`, item.type, "must be a standard limit type or fully qualified"));
    if (types.has(item.type)) errors.push(duplicate(`${field}.type`, item.type));
    types.add(item.type);
    validateLimits(errors, field, item);
  }
  return errors;
}

const lists = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] as const;
type List = (typeof lists)[number];

function validateLimits(errors: FieldError[], field: string, item: LimitRangeItem): void {
  const names = new Set<string>();
  for (const list of lists) {
    const amounts = item[list] ?? {};
    const isDefault = list === "default" || list === "defaultRequest";
    if (isDefault && item.type === "Pod") {
      if (Object.keys(amounts).length > 0) errors.push(forbiddenField(`${field}.${list}`, "may not be specified when `type` is 'Pod'"));
      continue;
    }
    if (list === "maxLimitRequestRatio") checkStorage(errors, field, item);
    for (const name in amounts) {
      const at = `${field}.${list}[${name}]`;
      if (item.type === "Pod" || item.type === "Container") validateContainerResourceName(errors, at, name);
      else validateResourceName(errors, at, name);
      names.add(name);
    }
  }
  for (const name of names) validateOrder(errors, field, name, item);
}

function checkStorage(errors: FieldError[], field: string, { type, min, max }: LimitRangeItem): void {
  if (type === "PersistentVolumeClaim" && min?.["storage"] === undefined && max?.["storage"] === undefined)
    errors.push(required(`${field}.limits`, "either minimum or maximum storage value is required, but neither was provided"));
}

/** The amounts of one resource must lie in order: minimum, default request, default, maximum. */
function validateOrder(errors: FieldError[], field: string, name: string, item: LimitRangeItem): void {
  const of = (list: List): Quantity | undefined => {
    const text = item.type === "Pod" && (list === "default" || list === "defaultRequest") ? undefined : item[list]?.[name];
    return text === undefined ? undefined : parseQuantity(text);
  };
  const [min, max, limit, request, ratio] = [of("min"), of("max"), of("default"), of("defaultRequest"), of("maxLimitRequestRatio")];
  const above = (a: Quantity | undefined, b: Quantity | undefined): boolean => a !== undefined && b !== undefined && a.compare(b) > 0;
  const refuse = (list: List, value: Quantity | undefined, detail: string): void =>
    void errors.push(invalidValue(`${field}.${list}[${name}]`, String(value), detail));
  if (above(min, max)) refuse("min", min, `min value ${min} is greater than max value ${max}`);
  if (above(min, request)) refuse("defaultRequest", request, `min value ${min} is greater than default request value ${request}`);
  if (above(request, max)) refuse("defaultRequest", request, `default request value ${request} is greater than max value ${max}`);
  if (above(request, limit))
    refuse("defaultRequest", request, `default request value ${request} is greater than default limit value ${limit}`);
  if (above(min, limit)) refuse("default", min, `min value ${min} is greater than default value ${limit}`);
  if (above(limit, max)) refuse("default", max, `default value ${limit} is greater than max value ${max}`);
  if (above(parseQuantity(1), ratio)) refuse("maxLimitRequestRatio", ratio, `ratio ${ratio} is less than 1`);
  if (ratio && min && max) {
    const most = max.toNumber() / min.toNumber();
    if (ratio.toNumber() > most) refuse("maxLimitRequestRatio", ratio, `ratio ${ratio} is greater than max/min = ${most.toFixed(6)}`);
  }
  if (!mayOvercommit(name) && limit && request && !limit.equals(request))
    refuse("defaultRequest", request, `default value ${limit} must equal to defaultRequest value ${request} in ${name}`);
}
