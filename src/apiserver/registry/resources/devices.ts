// The kinds of resource.k8s.io: claims for devices, the classes they choose from and the slices that offer them.
import { defaultResourceClaim, defaultResourceClaimTemplate, defaultResourceSlice } from "../../../api/defaults/devices.ts";
import { change, changeEach, fill } from "../../../api/defaults/fill.ts";
import { deviceClassTable, resourceClaimTable, resourceClaimTemplateTable, resourceSliceTable } from "../../../api/encode/table/devices.ts";
import { deviceclasses, resourceclaims, resourceclaimtemplates, resourceslices } from "../../../api/resources.generated.ts";
import type { ResourceClaim, ResourceSlice } from "../../../api/types/resource-v1.ts";
import { formatTime } from "../../../base/clock.ts";
import { describe, withStatusKeepingMetadata } from "./describe.ts";

export const deviceClassDefinition = describe(deviceclasses, {
  countsGeneration: true,
  deletionReturnsObject: true,
  table: deviceClassTable,
});

/** A claim that is no longer allocated has no devices to tell of. */
function withoutDeallocatedDevices(claim: ResourceClaim, old: ResourceClaim): ResourceClaim {
  const { status } = claim;
  if (!status?.devices || status.allocation || !old.status?.allocation) return claim;
  const { devices: _, ...rest } = status;
  return { ...claim, status: rest };
}

export const resourceClaimDefinition = describe<ResourceClaim>(resourceclaims, {
  defaults: defaultResourceClaim,
  countsGeneration: false,
  status: { prepare: (claim, old) => withoutDeallocatedDevices(withStatusKeepingMetadata(claim, old), old) },
  deletionReturnsObject: true,
  table: resourceClaimTable,
});

export const resourceClaimTemplateDefinition = describe(resourceclaimtemplates, {
  defaults: defaultResourceClaimTemplate,
  deletionReturnsObject: true,
  table: resourceClaimTemplateTable,
});

function driverWarnings({ spec }: ResourceSlice): string[] {
  if (spec.driver === spec.driver.toLowerCase()) return [];
  return [`spec.driver: driver names should be lowercase; ${JSON.stringify(spec.driver)} contains uppercase characters`];
}

/** A taint that does not say since when it holds does so from now on. */
function withTaintTimes(slice: ResourceSlice, nowMs: number): ResourceSlice {
  return change(slice, "spec", (spec) =>
    changeEach(spec, "devices", (device) => changeEach(device, "taints", (taint) => fill(taint, { timeAdded: formatTime(nowMs) }))),
  );
}

export const resourceSliceDefinition = describe<ResourceSlice>(resourceslices, {
  defaults: defaultResourceSlice,
  countsGeneration: true,
  create: { prepare: (slice, { nowMs }) => withTaintTimes(slice, nowMs), warnings: driverWarnings },
  update: { prepare: (slice, _old, { nowMs }) => withTaintTimes(slice, nowMs), warnings: driverWarnings },
  deletionReturnsObject: true,
  selectableFields: { "spec.nodeName": ({ spec }) => spec.nodeName ?? "", "spec.driver": ({ spec }) => spec.driver },
  table: resourceSliceTable,
});
