// Defaults of the kinds of resource.k8s.io: a request is for one device unless it says otherwise.
import type {
  DeviceClaim,
  DeviceSubRequest,
  DeviceToleration,
  ExactDeviceRequest,
  NodeAllocatableResourceMapping,
  ResourceClaim,
  ResourceClaimTemplate,
  ResourceSlice,
} from "../types/resource-v1.ts";
import { change, changeEach, fill } from "./fill.ts";

function defaultRequest<R extends ExactDeviceRequest | DeviceSubRequest>(request: R): R {
  const r = (request.allocationMode ? request : { ...request, allocationMode: "ExactCount" }) as R;
  const counted = r.allocationMode === "ExactCount" && !r.count ? { ...r, count: 1 } : r;
  return changeEach(counted as ExactDeviceRequest, "tolerations", defaultToleration) as R;
}

const defaultToleration = (toleration: DeviceToleration): DeviceToleration =>
  toleration.operator ? toleration : { ...toleration, operator: "Equal" };

const defaultDevices = (devices: DeviceClaim): DeviceClaim =>
  changeEach(devices, "requests", (request) =>
    changeEach(change(request, "exactly", defaultRequest<ExactDeviceRequest>), "firstAvailable", defaultRequest<DeviceSubRequest>),
  );

export const defaultResourceClaim = (claim: ResourceClaim): ResourceClaim =>
  change(claim, "spec", (spec) => change(spec, "devices", defaultDevices));

export const defaultResourceClaimTemplate = (template: ResourceClaimTemplate): ResourceClaimTemplate =>
  change(template, "spec", (outer) => change(outer, "spec", (spec) => change(spec, "devices", defaultDevices)));

type Mappings = Readonly<Record<string, NodeAllocatableResourceMapping>>;

function defaultMappings(mappings: Mappings): Mappings {
  if (Object.values(mappings).every((mapping) => mapping.allocationMultiplier !== undefined)) return mappings;
  return Object.fromEntries(Object.entries(mappings).map(([name, mapping]) => [name, fill(mapping, { allocationMultiplier: "1" })]));
}

export const defaultResourceSlice = (slice: ResourceSlice): ResourceSlice =>
  change(slice, "spec", (spec) =>
    changeEach(spec, "devices", (device) => change(device, "nodeAllocatableResourceMappings", defaultMappings)),
  );
