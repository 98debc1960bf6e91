// A resource quota's status as a pure function of what is in its namespace. Admission charges what it lets in; this is the
// recount that gives back what has gone.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { parseQuantity } from "../../api/meta/quantity.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { addQuantities, type Quantities } from "../../api/semantics/pod-quantities.ts";
import { isCountedFor, isInScope, type Present, usageOf } from "../../api/semantics/quota-usage.ts";
import type { ResourceQuota, ResourceQuotaStatus } from "../../api/types/core-v1.ts";

/** The objects of one resource in a quota's namespace. */
export interface Population {
  readonly type: ResourceType;
  readonly objects: readonly KubernetesObject[];
}

const zero = parseQuantity("0");

/** What an object costs the quota at present: nothing where it is out of its scope. */
export function costTo(quota: ResourceQuota, type: ResourceType, object: KubernetesObject, present: Present): Quantities {
  if (!isInScope(type, object, quota)) return {};
  const hard = quota.spec?.hard ?? {};
  const usage = Object.entries(usageOf(type, object, present));
  return Object.fromEntries(usage.filter(([name]) => hard[name] !== undefined && isCountedFor(type, name, present.around)));
}

export interface Counted extends Present {
  readonly populations: readonly Population[];
  /** Charged for objects that are not among them yet. */
  readonly pending: Quantities;
}

/** The quota's limits as they are taken over, and the use of each. What nothing here counts keeps the use it had. */
export function quotaStatus(quota: ResourceQuota, { populations, pending, ...present }: Counted): ResourceQuotaStatus {
  const hard = quota.spec?.hard ?? {};
  const names = Object.keys(hard);
  let used: Quantities = {};
  for (const { type, objects } of populations) {
    const counted = names.filter((name) => isCountedFor(type, name, present.around));
    used = addQuantities(used, Object.fromEntries(counted.map((name) => [name, zero])));
    for (const object of objects) used = addQuantities(used, costTo(quota, type, object, present));
  }
  const waiting = Object.entries(pending).filter(([name]) => used[name] !== undefined);
  used = addQuantities(used, Object.fromEntries(waiting));
  const texts = names.flatMap((name) => {
    const text = used[name]?.toString() ?? quota.status?.used?.[name];
    return text === undefined ? [] : [[name, text] as const];
  });
  return { hard, used: Object.fromEntries(texts) };
}
