// Devices, slices, classes and claims for the scheduler's tests, as short as a test can say them.
import type {
  Device,
  DeviceAttribute,
  DeviceClaimConfiguration,
  DeviceClass,
  DeviceClassSpec,
  DeviceConstraint,
  DeviceRequest,
  ExactDeviceRequest,
  ResourceClaim,
  ResourceSlice,
  ResourceSliceSpec,
} from "../../api/types/resource-v1.ts";

export const driver = "gpu.example.com";
const meta = (name: string) => ({ name, uid: `uid-${name}`, resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" });

export const testDevice = (name: string, attributes: Record<string, DeviceAttribute> = {}, more: Partial<Device> = {}): Device => ({
  name,
  ...(Object.keys(attributes).length > 0 ? { attributes } : {}),
  ...more,
});

/** On node "a" unless something else is said. */
export function testSlice(name: string, devices: readonly Device[], more: Partial<ResourceSliceSpec> = {}): ResourceSlice {
  const placed = more.nodeSelector || more.allNodes || more.perDeviceNodeSelection ? {} : { nodeName: "a" };
  const pool = { name: "a", generation: 1, resourceSliceCount: 1 };
  const given = devices.length > 0 ? { devices } : {};
  return {
    apiVersion: "resource.k8s.io/v1",
    kind: "ResourceSlice",
    metadata: meta(name),
    spec: { driver, pool, ...placed, ...given, ...more },
  };
}

export const testClass = (name: string, spec: DeviceClassSpec = {}): DeviceClass => ({
  apiVersion: "resource.k8s.io/v1",
  kind: "DeviceClass",
  metadata: meta(name),
  spec,
});

export const selecting = (expression: string) => ({ selectors: [{ cel: { expression } }] });

export const exactly = (name: string, more: Partial<ExactDeviceRequest> = {}): DeviceRequest => ({
  name,
  exactly: { deviceClassName: "gpu", allocationMode: "ExactCount", count: 1, ...more },
});

export function testClaim(
  name: string,
  requests: readonly DeviceRequest[],
  more: {
    readonly constraints?: readonly DeviceConstraint[];
    readonly config?: readonly DeviceClaimConfiguration[];
  } = {},
): ResourceClaim {
  return {
    apiVersion: "resource.k8s.io/v1",
    kind: "ResourceClaim",
    metadata: { ...meta(name), namespace: "default" },
    spec: { devices: { requests, ...more } },
  };
}
