// The kinds of resource.k8s.io: claims for devices, the classes they choose from and the slices that offer them. Fields of
// features that are off by default are dropped: lists as values of attributes, and capacities that stand for resources of
// a node.
import { checkExpression } from "../../../api/cel/expression-check.ts";
import { defaultResourceClaim, defaultResourceClaimTemplate, defaultResourceSlice } from "../../../api/defaults/devices.ts";
import { change, changeEach } from "../../../api/defaults/fill.ts";
import { deviceClassTable, resourceClaimTable, resourceClaimTemplateTable, resourceSliceTable } from "../../../api/encode/table/devices.ts";
import { isDNS1123Subdomain } from "../../../api/meta/names.ts";
import { deviceclasses, resourceclaims, resourceclaimtemplates, resourceslices } from "../../../api/resources.generated.ts";
import type {
  Device,
  DeviceAttribute,
  DeviceClass,
  ResourceClaim,
  ResourceClaimTemplate,
  ResourceSlice,
} from "../../../api/types/resource-v1.ts";
import { validateDeviceClass } from "../../../api/validation/device-class.ts";
import {
  validateResourceClaim,
  validateResourceClaimTemplate,
  validateResourceClaimUpdate,
} from "../../../api/validation/resource-claim.ts";
import { identityOf, validateResourceClaimStatus } from "../../../api/validation/resource-claim-status.ts";
import { validateResourceSlice } from "../../../api/validation/resource-slice.ts";
import { checked, describe, statusKeepsMetadata, withStatusKeepingMetadata } from "./describe.ts";

export const deviceClassDefinition = describe(deviceclasses, {
  // A generateName is checked only for what no path may have.
  validateName: (name, prefix) => (prefix ? [] : isDNS1123Subdomain(name)),
  metadataOnUpdate: ["whole", "changes"],
  ...checked<DeviceClass>((deviceClass, old) => validateDeviceClass(deviceClass, old, checkExpression)),
  countsGeneration: true,
  deletionReturnsObject: true,
  table: deviceClassTable,
});

/** What drivers said of devices that the claim no longer has goes with them. */
function withoutDeallocatedDevices(claim: ResourceClaim, old: ResourceClaim): ResourceClaim {
  const { status } = claim;
  if (!status?.devices) return claim;
  const gone = new Set((old.status?.allocation?.devices?.results ?? []).map(identityOf));
  for (const result of status.allocation?.devices?.results ?? []) gone.delete(identityOf(result));
  const devices = status.devices.filter((device) => !gone.has(identityOf(device)));
  if (devices.length === status.devices.length && devices.length > 0) return claim;
  const { devices: _, ...rest } = status;
  return { ...claim, status: devices.length > 0 ? { ...rest, devices } : rest };
}

export const resourceClaimDefinition = describe<ResourceClaim>(resourceclaims, {
  metadataOnUpdate: ["whole", "changes"],
  defaults: defaultResourceClaim,
  countsGeneration: false,
  create: { validate: (claim) => validateResourceClaim(claim, checkExpression) },
  update: { validate: validateResourceClaimUpdate },
  resetFields: statusKeepsMetadata,
  status: {
    prepare: (claim, old) => withoutDeallocatedDevices(withStatusKeepingMetadata(claim, old), old),
    validate: validateResourceClaimStatus,
  },
  tablelessStatus: true,
  deletionReturnsObject: true,
  table: resourceClaimTable,
});

export const resourceClaimTemplateDefinition = describe(resourceclaimtemplates, {
  metadataOnUpdate: ["whole", "changes"],
  ...checked<ResourceClaimTemplate>((template, old) => validateResourceClaimTemplate(template, old, checkExpression)),
  defaults: defaultResourceClaimTemplate,
  deletionReturnsObject: true,
  table: resourceClaimTemplateTable,
});

function driverWarnings({ spec }: ResourceSlice): string[] {
  if (spec.driver === spec.driver.toLowerCase()) return [];
  return [`spec.driver: driver names should be lowercase; ${JSON.stringify(spec.driver)} contains uppercase characters`];
}

function withPlainValues(attribute: DeviceAttribute): DeviceAttribute {
  const { bools, ints, strings, versions, ...plain } = attribute;
  return bools || ints || strings || versions ? plain : attribute;
}

function withEnabledFields(device: Device): Device {
  const { nodeAllocatableResourceMappings: mappings, ...rest } = device;
  return change(mappings ? rest : device, "attributes", (attributes) => {
    const entries = Object.entries(attributes);
    if (entries.every(([, attribute]) => withPlainValues(attribute) === attribute)) return attributes;
    return Object.fromEntries(entries.map(([name, attribute]) => [name, withPlainValues(attribute)]));
  });
}

const prepared = (slice: ResourceSlice): ResourceSlice => change(slice, "spec", (spec) => changeEach(spec, "devices", withEnabledFields));

export const resourceSliceDefinition = describe<ResourceSlice>(resourceslices, {
  defaults: defaultResourceSlice,
  countsGeneration: true,
  create: {
    prepare: prepared,
    validate: (slice) => validateResourceSlice(slice),
    warnings: driverWarnings,
  },
  update: {
    prepare: prepared,
    validate: validateResourceSlice,
    warnings: driverWarnings,
  },
  deletionReturnsObject: true,
  fieldRefusal: (field, { version }) => `field label not supported for resource.k8s.io/${version}, Kind=ResourceSlice: ${field}`,
  selectableFields: { "spec.nodeName": ({ spec }) => spec.nodeName ?? "", "spec.driver": ({ spec }) => spec.driver },
  table: resourceSliceTable,
});
