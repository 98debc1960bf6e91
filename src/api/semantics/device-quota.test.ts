import { expect, test } from "vitest";
import { resourceclaims } from "../resources.generated.ts";
import type { DeviceRequest, ResourceClaim } from "../types/resource-v1.ts";
import { isCountedFor, usageOf } from "./quota-usage.ts";

const costs = (...requests: DeviceRequest[]): Record<string, string> => {
  const claim = { metadata: { name: "c", namespace: "d" }, spec: { devices: { requests } } } as unknown as ResourceClaim; // what is looked at
  return Object.fromEntries(Object.entries(usageOf(resourceclaims, claim)).map(([name, quantity]) => [name, quantity.toString()]));
};

test("a claim costs the devices of each class that it may get at most", () => {
  const exactly = (deviceClassName: string, count: number) => ({ deviceClassName, allocationMode: "ExactCount" as const, count });
  expect(
    costs(
      { name: "a", exactly: exactly("gpu", 2) },
      { name: "b", exactly: { deviceClassName: "nic", allocationMode: "All" } },
      {
        name: "c",
        firstAvailable: [
          { name: "x", ...exactly("gpu", 1) },
          { name: "y", ...exactly("gpu", 4) },
        ],
      },
    ),
  ).toEqual({
    "count/resourceclaims.resource.k8s.io": "1",
    "gpu.deviceclass.resource.k8s.io/devices": "6",
    "nic.deviceclass.resource.k8s.io/devices": "32",
  });
});

test("quotas of device classes concern claims alone", () => {
  expect(isCountedFor(resourceclaims, "gpu.deviceclass.resource.k8s.io/devices")).toBe(true);
  expect(isCountedFor(resourceclaims, "requests.cpu")).toBe(false);
});
