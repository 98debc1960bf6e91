// Defaults of the kinds of resource.k8s.io: a request is for one device unless it says otherwise.

import { formatTime } from "../../base/clock.ts";
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

type ToDevices = (devices: DeviceClaim) => DeviceClaim;

const devicesBy =
  (toExactly: (request: ExactDeviceRequest) => ExactDeviceRequest): ToDevices =>
  (devices) =>
    changeEach(devices, "requests", (request) =>
      changeEach(change(request, "exactly", toExactly), "firstAvailable", defaultRequest<DeviceSubRequest>),
    );

const inClaim =
  (toDevices: ToDevices) =>
  (claim: ResourceClaim): ResourceClaim =>
    change(claim, "spec", (spec) => change(spec, "devices", toDevices));

const inTemplate =
  (toDevices: ToDevices) =>
  (template: ResourceClaimTemplate): ResourceClaimTemplate =>
    change(template, "spec", (outer) => change(outer, "spec", (spec) => change(spec, "devices", toDevices)));

const defaultDevices = devicesBy(defaultRequest<ExactDeviceRequest>);

export const defaultResourceClaim = inClaim(defaultDevices);

export const defaultResourceClaimTemplate = inTemplate(defaultDevices);

/** In v1beta1 a request without a class is taken for one that has alternatives: only what it tolerates gets defaults. */
const defaultDevicesV1beta1 = devicesBy((request) =>
  request.deviceClassName ? defaultRequest(request) : changeEach(request, "tolerations", defaultToleration),
);

/** Of claims in v1beta1, in v1's form. */
export const defaultResourceClaimV1beta1 = inClaim(defaultDevicesV1beta1);

export const defaultResourceClaimTemplateV1beta1 = inTemplate(defaultDevicesV1beta1);

type Mappings = Readonly<Record<string, NodeAllocatableResourceMapping>>;

function defaultMappings(mappings: Mappings): Mappings {
  if (Object.values(mappings).every((mapping) => mapping.allocationMultiplier !== undefined)) return mappings;
  return Object.fromEntries(Object.entries(mappings).map(([name, mapping]) => [name, fill(mapping, { allocationMultiplier: "1" })]));
}

/** A taint that does not say since when it holds does so from now on. */
export const withTimeAdded = <T extends { readonly timeAdded?: string }>(taint: T, nowMs: number | undefined): T =>
  nowMs === undefined || taint.timeAdded ? taint : { ...taint, timeAdded: formatTime(nowMs) };

export const defaultResourceSlice = (slice: ResourceSlice, nowMs?: number): ResourceSlice =>
  change(slice, "spec", (spec) =>
    changeEach(spec, "devices", (device) =>
      changeEach(change(device, "nodeAllocatableResourceMappings", defaultMappings), "taints", (taint) => withTimeAdded(taint, nowMs)),
    ),
  );
