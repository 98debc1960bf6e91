// Names of resources: what may be requested by containers, by pods as a whole, and counted in whole numbers.
import { type FieldError, invalidValue, notSupported } from "../meta/field-error.ts";
import { isQualifiedName } from "../meta/names.ts";
import { addProblems } from "./rules.ts";

const containerResources = new Set(["cpu", "memory", "ephemeral-storage"]);

const countedResources = new Set([
  "pods",
  "resourcequotas",
  "services",
  "replicationcontrollers",
  "secrets",
  "configmaps",
  "persistentvolumeclaims",
  "services.nodeports",
  "services.loadbalancers",
]);

const quotaResources = new Set([
  ...["cpu", "memory", "ephemeral-storage", "storage"].flatMap((name) => [name, `requests.${name}`]),
  ...["cpu", "memory", "ephemeral-storage"].map((name) => `limits.${name}`),
  ...countedResources,
]);

export const isHugePageName = (name: string): boolean => name.startsWith("hugepages-");

/** Kubernetes' own: without a domain, or with its domain. */
export const isNativeResource = (name: string): boolean => !name.includes("/") || name.includes("kubernetes.io/");

export const isExtendedResource = (name: string): boolean =>
  !isNativeResource(name) && !name.startsWith("requests.") && isQualifiedName(`requests.${name}`).length === 0;

/** Amounts that are whole numbers. */
export const isIntegerResource = (name: string): boolean => countedResources.has(name) || isExtendedResource(name);

/** Requests may be below limits. */
export const mayOvercommit = (name: string): boolean => isNativeResource(name) && !isHugePageName(name);

const isStandardResource = (name: string): boolean =>
  quotaResources.has(name) || isHugePageName(name) || name.startsWith("requests.hugepages-");

/** Of Kubernetes' own resources those that a quota can limit. */
export const isStandardQuotaResource = (name: string): boolean => name !== "storage" && isStandardResource(name);

/** Any resource; whether nothing was wrong. */
export function validateResourceName(errors: FieldError[], field: string, name: string): boolean {
  const problems = isQualifiedName(name);
  addProblems(errors, field, name, problems);
  if (problems.length > 0) return false;
  if (name.includes("/") || isStandardResource(name)) return true;
  errors.push(invalidValue(field, name, "must be a standard resource type or fully qualified"));
  return false;
}

export function validateContainerResourceName(errors: FieldError[], field: string, name: string): void {
  if (containerResources.has(name)) return;
  validateResourceName(errors, field, name);
  if (!name.includes("/")) {
    if (!isHugePageName(name)) errors.push(invalidValue(field, name, "must be a standard resource for containers"));
  } else if (!isNativeResource(name) && !isExtendedResource(name))
    errors.push(invalidValue(field, name, "doesn't follow extended resource name standard"));
}

/** What a pod may request as a whole. */
export const isPodLevelResource = (name: string): boolean => name === "cpu" || name === "memory" || isHugePageName(name);

export function validatePodResourceName(errors: FieldError[], field: string, name: string): void {
  if (validateResourceName(errors, field, name) && !isPodLevelResource(name))
    errors.push(notSupported(field, name, ["cpu", "hugepages-", "memory"]));
}
