// Questions for the state of a driver's resource pools: whose pools, and how many answers at most. What was asked stays, and so
// does the answer once it is there.
import { equalAsTyped } from "../meta/equality.ts";
import { duplicate, type FieldError, invalidValue, nullValue, required, tooLong, tooMany } from "../meta/field-error.ts";
import { byteLength, isDNS1123Subdomain, isDNS1123SubdomainCaseless } from "../meta/names.ts";
import { sentEmptyOf } from "../meta/sent-empty.ts";
import type { PoolStatus, ResourcePoolStatusRequest } from "../types/resource-v1alpha3.ts";
import { shownCondition, validateConditions } from "./conditions.ts";
import { addProblems, checkImmutable, checkName } from "./rules.ts";

const maxPoolName = 253;
const maxLimit = 1000;
const maxPools = 1000;
const maxConditions = 10;
const maxErrorBytes = 256;

export function validateResourcePoolStatusRequest({ spec }: ResourcePoolStatusRequest): FieldError[] {
  const errors: FieldError[] = [];
  const { driver, poolName, limit } = spec ?? {};
  checkName(errors, "spec.driver", driver, isDNS1123SubdomainCaseless);
  if (poolName !== undefined) validatePool(errors, "spec.poolName", poolName);
  if (limit !== undefined && limit > maxLimit) errors.push(invalidValue("spec.limit", limit, `must be less than or equal to ${maxLimit}`));
  checkAtLeast(errors, "spec.limit", limit, 1);
  return errors;
}

/** Changes of what was asked are refused as such, whatever they are. */
export function validateResourcePoolStatusRequestUpdate(
  { spec }: ResourcePoolStatusRequest,
  { spec: old }: ResourcePoolStatusRequest,
): FieldError[] {
  return equalAsTyped(spec, old) ? [] : [invalidValue("spec", nullValue, "field is immutable")];
}

function checkAtLeast(errors: FieldError[], field: string, value: number | undefined, least: number): void {
  if (value !== undefined && value < least) errors.push(invalidValue(field, value, `must be greater than or equal to ${least}`));
}

const inBytes = (problem: string): string => problem.replace(/^(must be no more than \d+) characters$/, "$1 bytes");

/** Parts between slashes, each a name of its own. */
function validatePool(errors: FieldError[], field: string, poolName: string): void {
  if (byteLength(poolName) > maxPoolName) errors.push(tooLong(field, maxPoolName));
  for (const [i, segment] of poolName.split("/").entries()) {
    if (segment === "") errors.push(invalidValue(field, poolName, `segment ${i}: must not be empty`));
    else for (const problem of isDNS1123Subdomain(segment)) errors.push(invalidValue(field, segment, `segment ${i}: ${inBytes(problem)}`));
  }
}

export function validateResourcePoolStatus(
  { status }: ResourcePoolStatusRequest,
  { status: old }: ResourcePoolStatusRequest,
): FieldError[] {
  const errors: FieldError[] = [];
  if (old) checkImmutable(errors, "status", status, old, status && shownStatus(status));
  else if (status) validateConditions(errors, "status.conditions", status.conditions ?? []);
  if (!status || equalAsTyped(status, old)) return errors;
  const { poolCount, pools = [], conditions = [] } = status;
  if (poolCount === undefined) errors.push(required("status.poolCount"));
  else if (poolCount !== old?.poolCount) checkAtLeast(errors, "status.poolCount", poolCount, 0);
  if (pools.length > maxPools) errors.push(tooMany("status.pools", pools.length, maxPools));
  else if (!equalAsTyped(pools, old?.pools))
    for (const [i, pool] of pools.entries()) validatePoolStatus(errors, `status.pools[${i}]`, pool);
  if (equalAsTyped(conditions, old?.conditions)) return errors;
  if (conditions.length > maxConditions) errors.push(tooMany("status.conditions", conditions.length, maxConditions));
  else
    for (const [i, condition] of conditions.entries())
      if (conditions.findIndex(({ type }) => type === condition.type) < i)
        errors.push(duplicate(`status.conditions[${i}]`, shownCondition(condition)));
  return errors;
}

const counts = ["totalDevices", "allocatedDevices", "availableDevices", "unavailableDevices"] as const;

function validatePoolStatus(errors: FieldError[], at: string, pool: PoolStatus): void {
  const { driver, poolName, generation, nodeName, validationError } = pool;
  checkName(errors, `${at}.driver`, driver, isDNS1123SubdomainCaseless);
  if (poolName) validatePool(errors, `${at}.poolName`, poolName);
  else errors.push(required(`${at}.poolName`));
  if (generation) checkAtLeast(errors, `${at}.generation`, generation, 0);
  else errors.push(required(`${at}.generation`));
  checkAtLeast(errors, `${at}.resourceSliceCount`, pool.resourceSliceCount, 1);
  for (const count of counts) checkAtLeast(errors, `${at}.${count}`, pool[count], 0);
  if (nodeName !== undefined) addProblems(errors, `${at}.nodeName`, nodeName, isDNS1123Subdomain(nodeName).map(inBytes));
  if (validationError !== undefined && byteLength(validationError) > maxErrorBytes)
    errors.push(tooLong(`${at}.validationError`, maxErrorBytes));
}

/** As upstream's own type shows it. */
const shownStatus = (status: NonNullable<ResourcePoolStatusRequest["status"]>): unknown => ({
  PoolCount: status.poolCount ?? null,
  Pools:
    status.pools?.map((pool) => ({
      Driver: pool.driver ?? "",
      PoolName: pool.poolName ?? "",
      Generation: pool.generation ?? 0,
      ResourceSliceCount: pool.resourceSliceCount ?? null,
      TotalDevices: pool.totalDevices ?? null,
      AllocatedDevices: pool.allocatedDevices ?? null,
      AvailableDevices: pool.availableDevices ?? null,
      UnavailableDevices: pool.unavailableDevices ?? null,
      NodeName: pool.nodeName ?? null,
      ValidationError: pool.validationError ?? null,
    })) ??
    sentEmptyOf(status, "pools") ??
    null,
  Conditions: status.conditions?.map(shownCondition) ?? sentEmptyOf(status, "conditions") ?? null,
});
