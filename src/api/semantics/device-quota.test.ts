import { describe, expect, it, test } from "vitest";
import { resourceclaims } from "../resources.generated.ts";
import type { Pod } from "../types/core-v1.ts";
import type { ObjectMeta } from "../types/meta-v1.ts";
import type { DeviceClass, DeviceRequest, ResourceClaim } from "../types/resource-v1.ts";
import type { ClaimSurroundings } from "./device-quota.ts";
import type { Quantities } from "./pod-quantities.ts";
import { isCountedFor, usageOf } from "./quota-usage.ts";

const claimOf = (requests: readonly DeviceRequest[], metadata: Partial<ObjectMeta> = {}) =>
  ({ metadata: { name: "c", namespace: "d", ...metadata }, spec: { devices: { requests } } }) as unknown as ResourceClaim; // what is looked at

const textsOf = (quantities: Quantities): Record<string, string> =>
  Object.fromEntries(Object.entries(quantities).map(([name, quantity]) => [name, quantity.toString()]));

const costs = (...requests: DeviceRequest[]): Record<string, string> => textsOf(usageOf(resourceclaims, claimOf(requests), { nowMs: 0 }));

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

describe("classes that stand for extended resources", () => {
  const gpus = { metadata: { name: "gpus" }, spec: { extendedResourceName: "example.com/gpu" } } as DeviceClass;
  const asked = [{ name: "a", exactly: { deviceClassName: "gpus", allocationMode: "ExactCount" as const, count: 3 } }];
  const pod = {
    metadata: { name: "p", namespace: "d", uid: "u" },
    spec: { containers: [{ name: "c", resources: { requests: { "example.com/gpu": "2" } } }] },
  } as unknown as Pod; // what is looked at
  const ofPod = {
    annotations: { "resource.kubernetes.io/extended-resource-claim": "true" },
    ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "p", uid: "u", controller: true }],
    creationTimestamp: "2026-01-01T00:00:01Z",
  };
  const around = (claims: readonly ResourceClaim[] = [], status: Pod["status"] = {}): ClaimSurroundings => ({
    classes: () => [gpus],
    pod: (_, name) => (name === "p" ? { ...pod, status } : undefined),
    claims: () => claims,
  });
  const cost = (claim: ResourceClaim, surroundings: ClaimSurroundings) =>
    textsOf(usageOf(resourceclaims, claim, { nowMs: 0, around: surroundings }));
  const perDevice = { "count/resourceclaims.resource.k8s.io": "1", "gpus.deviceclass.resource.k8s.io/devices": "3" };
  const implicit = "requests.deviceclass.resource.kubernetes.io/gpus";

  it("are paid for under the resource's name too", () => {
    expect(cost(claimOf(asked), around())).toEqual({ ...perDevice, [implicit]: "3", "requests.example.com/gpu": "3" });
    for (const name of [implicit, "requests.example.com/gpu"]) expect(isCountedFor(resourceclaims, name, around())).toBe(true);
    expect(isCountedFor(resourceclaims, "requests.example.com/nic", around())).toBe(false);
  });

  it("cost nothing twice that the pod has paid for which the claim was made", () => {
    const claim = claimOf(asked, ofPod);
    const paid = { ...perDevice, [implicit]: "3", "requests.example.com/gpu": "1" };
    const full = { ...paid, "requests.example.com/gpu": "3" };
    expect(cost(claim, around())).toEqual(paid);
    expect(cost(claimOf(asked, { ...ofPod, annotations: {} }), around())).toEqual(full);
    const older = claimOf(asked, { ...ofPod, name: "older", creationTimestamp: "2026-01-01T00:00:00Z" });
    expect(cost(claim, around([older]))).toEqual(full);
    const named = (resourceClaimName: string): Pod["status"] => ({
      extendedResourceClaimStatus: { resourceClaimName, requestMappings: [] },
    });
    expect(cost(claim, around([older], named("c")))).toEqual(paid);
    expect(cost(claim, around([], named("other")))).toEqual(full);
  });
});
