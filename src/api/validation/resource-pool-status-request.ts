// Questions for the state of a driver's resource pools: whose pools, and how many answers at most. What was asked stays.
import { type FieldError, invalidValue, required, tooLong } from "../meta/field-error.ts";
import { isDNS1123Subdomain, isDNS1123SubdomainCaseless } from "../meta/names.ts";
import type { ResourcePoolStatusRequest } from "../types/resource-v1alpha3.ts";
import { checkImmutable } from "./rules.ts";

const maxPoolName = 253;
const maxLimit = 1000;

export function validateResourcePoolStatusRequest({ spec }: ResourcePoolStatusRequest, old?: ResourcePoolStatusRequest): FieldError[] {
  const errors: FieldError[] = [];
  const { driver = "", poolName, limit } = spec ?? {};
  if (driver === "") errors.push(required("spec.driver"));
  else for (const problem of isDNS1123SubdomainCaseless(driver)) errors.push(invalidValue("spec.driver", driver, problem));
  if (poolName !== undefined) validatePool(errors, poolName);
  if (limit !== undefined && limit < 1) errors.push(invalidValue("spec.limit", limit, "must be greater than or equal to 1"));
  if (limit !== undefined && limit > maxLimit) errors.push(invalidValue("spec.limit", limit, `must be less than or equal to ${maxLimit}`));
  if (old) checkImmutable(errors, "spec", spec, old.spec);
  return errors;
}

/** Parts between slashes, each a name of its own. */
function validatePool(errors: FieldError[], poolName: string): void {
  if (new TextEncoder().encode(poolName).length > maxPoolName) errors.push(tooLong("spec.poolName", maxPoolName));
  for (const [i, segment] of poolName.split("/").entries()) {
    const problems = segment === "" ? ["must not be empty"] : isDNS1123Subdomain(segment);
    for (const problem of problems) {
      const text = problem.replace(/^(must be no more than \d+) characters$/, "$1 bytes");
      errors.push(invalidValue("spec.poolName", poolName, `segment ${i}: ${text}`));
    }
  }
}
