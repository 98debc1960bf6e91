// Requests, limits and claims of containers, and those of a pod as a whole.
import { duplicate, FieldError, forbiddenField, invalidValue, type FieldError as Problem, required } from "../meta/field-error.ts";
import { isDNS1123Label } from "../meta/names.ts";
import { isQuantity, parseQuantity, type Quantity } from "../meta/quantity.ts";
import { wasSent } from "../meta/sent-empty.ts";
import { containerSums } from "../semantics/container-sums.ts";
import type { PodSpec, ResourceClaim, ResourceRequirements } from "../types/core-v1.ts";
import type { PodAllowances } from "./pod-rules.ts";
import {
  isHugePageName,
  isIntegerResource,
  mayOvercommit,
  validateContainerResourceName,
  validatePodResourceName,
} from "./resource-names.ts";
import { addProblems } from "./rules.ts";

export interface ResourceRules {
  /** Names of the pod's resource claims. */
  readonly claimNames?: readonly string[];
  readonly allows?: PodAllowances | undefined;
}

/** The requests and limits of a container; also a pod's overhead, as limits. */
export function validateContainerResources(
  errors: Problem[],
  field: string,
  resources: ResourceRequirements | undefined,
  rules: ResourceRules,
): void {
  if (resources) validateRequirements(errors, field, resources, validateContainerResourceName, rules);
}

/** The requests and limits of a pod as a whole. */
export function validatePodResources(errors: Problem[], field: string, spec: PodSpec, rules: ResourceRules): void {
  const { resources } = spec;
  if (!resources) return;
  if (spec.os?.name === "windows") {
    errors.push(forbiddenField(field, "may not be set for a windows pod"));
    return;
  }
  if (wasSent(resources, "claims")) errors.push(forbiddenField(`${field}.claims`, "claims may not be set for Resources at pod-level"));
  validateRequirements(errors, field, resources, validatePodResourceName, rules);
  validateConsistency(errors, field, spec, resources);
}

type NameRule = (errors: Problem[], field: string, name: string) => void;

function validateRequirements(
  errors: Problem[],
  field: string,
  resources: ResourceRequirements,
  nameRule: NameRule,
  rules: ResourceRules,
): void {
  const { limits = {}, requests = {}, claims } = resources;
  for (const name in limits) validateAmount(errors, `${field}.limits[${name}]`, name, parseQuantity(limits[name] ?? 0), nameRule, rules);
  for (const name in requests) validateRequest(errors, field, name, resources, nameRule, rules);
  const names = [...Object.keys(limits), ...Object.keys(requests)];
  if (names.some(isHugePageName) && !names.includes("cpu") && !names.includes("memory"))
    errors.push(forbiddenField(field, "HugePages require cpu or memory"));
  if (claims) validateClaims(errors, `${field}.claims`, claims, rules.claimNames ?? []);
}

function validateRequest(
  errors: Problem[],
  field: string,
  name: string,
  resources: ResourceRequirements,
  nameRule: NameRule,
  rules: ResourceRules,
): void {
  const { limits = {}, requests = {} } = resources;
  const path = `${field}.requests[${name}]`;
  const request = parseQuantity(requests[name] ?? 0);
  nameRule(errors, path, name);
  validateQuantity(errors, path, name, request);
  if (limits[name] === undefined) {
    if (!mayOvercommit(name)) errors.push(required(`${field}.limits`, "Limit must be set for non overcommitable resources"));
  } else {
    const limit = parseQuantity(limits[name]);
    const order = request.compare(limit);
    const relation = order !== 0 && !mayOvercommit(name) ? "equal to" : order > 0 ? "less than or equal to" : undefined;
    if (relation) errors.push(invalidValue(`${field}.requests`, String(request), `must be ${relation} ${name} limit of ${limit}`));
  }
  validateHugePages(errors, path, name, request, rules);
}

function validateAmount(errors: Problem[], path: string, name: string, amount: Quantity, nameRule: NameRule, rules: ResourceRules): void {
  nameRule(errors, path, name);
  validateQuantity(errors, path, name, amount);
  validateHugePages(errors, path, name, amount, rules);
}

/** An amount of a resource: not negative, and whole where the resource is counted in pieces. */
export function validateQuantity(errors: Problem[], path: string, name: string, amount: Quantity): void {
  if (amount.sign < 0) errors.push(invalidValue(path, String(amount), "must be greater than or equal to 0"));
  if (name === "cpu" || name === "memory") return;
  if (isIntegerResource(name) && isFractional(amount)) errors.push(invalidValue(path, String(amount), "must be an integer"));
}

/** The largest int64 in thousandths: upstream looks at thousandths, and takes what is beyond for fractional. */
const mostMillis = 2n ** 63n - 1n;

export function isFractional(amount: Quantity): boolean {
  const millis = amount.milliValue();
  return Number.isSafeInteger(millis)
    ? millis % 1000 !== 0
    : amount.nanos % 1_000_000_000n !== 0n || amount.nanos / 1_000_000n > mostMillis;
}

function validateHugePages(errors: Problem[], path: string, name: string, amount: Quantity, { allows }: ResourceRules): void {
  if (!isHugePageName(name) || allows?.indivisibleHugePages || isWholePages(name, amount)) return;
  errors.push(invalidValue(path, String(amount), `${amount} is not positive integer multiple of ${name}`));
}

/** Whether an amount of "hugepages-2Mi" is made of whole pages. */
export function isWholePages(name: string, amount: Quantity): boolean {
  const size = name.slice("hugepages-".length);
  if (!isQuantity(size)) return false;
  const page = parseQuantity(size);
  return page.sign > 0 && !isFractional(page) && amount.value() % page.value() === 0;
}

function validateClaims(errors: Problem[], field: string, claims: readonly ResourceClaim[], podClaims: readonly string[]): void {
  const names = new Set<string>();
  for (const [i, { name = "", request }] of claims.entries()) {
    const path = `${field}[${i}]`;
    if (name === "") {
      errors.push(required(path));
      continue;
    }
    if (names.has(name)) errors.push(duplicate(path, name));
    else {
      const key = request ? `${name}/${request}` : name;
      if (request) addProblems(errors, `${path}.request`, request, isDNS1123Label(request));
      if (names.has(key)) errors.push(duplicate(path, key));
      else if (!request) for (const other of names) if (other.startsWith(`${name}/`)) errors.push(duplicate(path, name));
      names.add(key);
    }
    if (podClaims.includes(name)) continue;
    const which = podClaims.length === 0 ? " which is empty" : `: ${[...podClaims].sort().join(", ")}`;
    errors.push(new FieldError("FieldValueNotFound", path, name, `must be one of the names in pod.spec.resourceClaims${which}`));
  }
}

/** What the containers ask for together must fit into what the pod asks for. */
function validateConsistency(errors: Problem[], field: string, spec: PodSpec, { requests = {}, limits = {} }: ResourceRequirements): void {
  for (const [name, total] of containerSums(spec, "requests")) {
    const own = requests[name];
    if (own !== undefined && total.compare(parseQuantity(own)) > 0)
      errors.push(
        invalidValue(
          `${field}.requests[${name}]`,
          String(parseQuantity(own)),
          `must be greater than or equal to aggregate container requests of ${total}`,
        ),
      );
  }
  for (const [name, total] of containerSums(spec, "limits")) {
    const own = limits[name];
    if (isHugePageName(name) && own !== undefined && total.compare(parseQuantity(own)) > 0)
      errors.push(
        invalidValue(
          `${field}.limits[${name}]`,
          String(parseQuantity(own)),
          `must be greater than or equal to aggregate container limits of ${total}`,
        ),
      );
  }
  for (const [i, container] of (spec.containers ?? []).entries())
    for (const [name, limit] of Object.entries(container.resources?.limits ?? {})) {
      const own = limits[name];
      if (own !== undefined && parseQuantity(limit).compare(parseQuantity(own)) > 0)
        errors.push(
          invalidValue(
            `${field}.containers[${i}][${name}].limits`,
            String(parseQuantity(limit)),
            `must be less than or equal to pod limits of ${parseQuantity(own)}`,
          ),
        );
    }
}
