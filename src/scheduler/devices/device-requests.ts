// What a claim asks for, in the form that the search works on: each request with the ways in which it can be satisfied, the
// preferred one first. Without alternatives there is one way.
import { keyOf } from "../../api/meta/object.ts";
import type {
  CapacityRequirements,
  DeviceClass,
  DeviceRequest,
  DeviceSelector,
  DeviceSubRequest,
  DeviceToleration,
  ExactDeviceRequest,
  ResourceClaim,
} from "../../api/types/resource-v1.ts";
import type { RequestRef } from "./device-constraints.ts";

/** Something about a claim, its classes or the devices keeps the scheduler from looking for devices at all. */
export class AllocationError extends Error {
  override name = "AllocationError";
}

/** One way to satisfy a request. */
export interface RequestOption extends RequestRef {
  readonly class: DeviceClass;
  readonly selectors: readonly DeviceSelector[];
  /** "All": every device that can be selected; `count` means nothing then. */
  readonly mode: "ExactCount" | "All";
  readonly count: number;
  readonly adminAccess: boolean;
  readonly tolerations: readonly DeviceToleration[] | undefined;
  readonly capacity: CapacityRequirements | undefined;
}

export type ClassLookup = (name: string) => DeviceClass | undefined;

/** Throws AllocationError. */
export function optionsOf(claim: ResourceClaim, request: DeviceRequest, classOf: ClassLookup): readonly RequestOption[] {
  const { name, exactly, firstAvailable = [] } = request;
  if (exactly) return [optionOf(claim, { request: name, ref: name }, { wanted: exactly, classOf })];
  return firstAvailable.map((each) => optionOf(claim, { request: name, ref: `${name}/${each.name}` }, { wanted: each, classOf }));
}

interface Wanted {
  readonly wanted: ExactDeviceRequest | DeviceSubRequest;
  readonly classOf: ClassLookup;
}

function optionOf(claim: ResourceClaim, names: RequestRef, { wanted, classOf }: Wanted): RequestOption {
  const { deviceClassName, selectors = [], allocationMode: mode = "ExactCount", count = 1, tolerations, capacity } = wanted;
  const name = names.ref.slice(names.ref.indexOf("/") + 1);
  const fail = (problem: string): never => {
    throw new AllocationError(`claim ${keyOf(claim)}, request ${name}${problem}`);
  };
  for (const [i, selector] of selectors.entries())
    if (!selector.cel) fail(`, selector #${i}: CEL expression empty (unsupported selector type?)`);
  if (!deviceClassName) fail(": missing device class name (unsupported request type?)");
  const found = classOf(deviceClassName);
  if (!found) {
    const missing = `deviceclass.resource.k8s.io "${deviceClassName}" not found`;
    return fail(`: could not retrieve device class ${deviceClassName}: ${missing}`);
  }
  if (mode !== "ExactCount" && mode !== "All") fail(`: unsupported count mode ${String(mode)}`);
  const adminAccess = "adminAccess" in wanted && wanted.adminAccess === true;
  return { ...names, class: found, selectors, mode, count, adminAccess, tolerations, capacity };
}
