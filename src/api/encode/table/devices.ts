// Tables of the kinds of resource.k8s.io.
import type { DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice } from "../../types/resource-v1.ts";
import { age, ageColumn, column, nameColumn } from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import type { TableConvertor } from "./table.ts";

export const deviceClassTable: TableConvertor<DeviceClass> = {
  columns: [nameColumn, ageColumn],
  cells: (deviceClass, nowMs) => [deviceClass.metadata.name, age(deviceClass, nowMs)],
};

/** "allocated,reserved". */
function stateText({ metadata, status }: ResourceClaim): string {
  const deleted = metadata.deletionTimestamp !== undefined;
  const states = deleted ? ["deleted"] : [];
  if (!status?.allocation) return [...states, ...(deleted ? [] : ["pending"])].join(",");
  return [...states, "allocated", ...((status.reservedFor ?? []).length > 0 ? ["reserved"] : [])].join(",");
}

export const resourceClaimTable: TableConvertor<ResourceClaim> = {
  columns: [nameColumn, column("State", "A summary of the current state (allocated, pending, reserved, etc.)."), ageColumn],
  cells: (claim, nowMs) => [claim.metadata.name, stateText(claim), age(claim, nowMs)],
};

export const resourceClaimTemplateTable: TableConvertor<ResourceClaimTemplate> = {
  columns: [nameColumn, ageColumn],
  cells: (template, nowMs) => [template.metadata.name, age(template, nowMs)],
};

export const resourceSliceTable: TableConvertor<ResourceSlice> = {
  columns: [
    nameColumn,
    column("Node", texts.ResourceSliceSpec.nodeName),
    column("Driver", texts.ResourceSliceSpec.driver),
    column("Pool", texts.ResourcePool.name),
    ageColumn,
  ],
  cells: (slice, nowMs) => [slice.metadata.name, slice.spec.nodeName ?? "", slice.spec.driver, slice.spec.pool.name, age(slice, nowMs)],
};
